from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import RefusedError, StateError
from mlplat.locking import lock
from mlplat.runtime import search, trials
from mlplat.runtime.fitting import Measured
from mlplat.runtime.shards import Shard, plan
from mlplat.runtime.trials import Trial
from mlplat.spec.project import ProjectSpec, TrainingSpec

MakeSpec = Callable[..., ProjectSpec]
FOLDS = 4
BOOSTED = Shard("gradient_boosting", 0, 14)


def score(settings: TrainingSpec, fold: int) -> Measured:
    """Return measures that are best at one setting, and a little harder in each fold."""
    return {"auc": 0.9 - abs(settings.learning_rate - 0.1) - settings.leaves / 1000 - fold / 100, "log_loss": 0.5}


def tried(
    spec: ProjectSpec, folder: Path, shard: Shard = BOOSTED, attempt: search.Try = score, told: list[str] | None = None
) -> tuple[Trial, ...]:
    tell = (told if told is not None else []).append
    return search.run(spec, shard, folder, attempt, folds=FOLDS, tell=lambda trial: tell(trial.name))


def seen(found: tuple[Trial, ...]) -> list[Any]:
    return [(trial.name, dict(trial.settings), trial.state, trial.folds) for trial in found]


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
import test_search as test
from mlplat.spec.project import ProjectSpec

calls = 0


def attempt(settings, fold):
    global calls
    calls += 1
    if calls == {last}:
        os.kill(os.getpid(), signal.SIGKILL)
    return test.score(settings, fold)


spec = ProjectSpec.model_validate_json(sys.argv[1])
# Each line at once: what is left in a buffer goes with the process.
tell = lambda trial: print(trial, flush=True)
test.search.run(spec, test.BOOSTED, Path(sys.argv[2]), attempt, folds=test.FOLDS, tell=tell)
"""


def test_a_search_that_is_killed_goes_on_as_one_that_was_not_and_tries_nothing_twice(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec()
    unbroken = tried(spec, tmp_path / "whole")
    assert {trial.state for trial in unbroken} == {"complete", "pruned"}, "both kinds have to survive"
    # The 23rd fold lies within the seventh trial or a later one, in which it had reported some folds already.
    child = CHILD.format(here=str(Path(__file__).parent), last=23)
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(child), spec.model_dump_json(), str(tmp_path / "killed")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    done = ran.stdout.count("gradient_boosting-0-")
    assert 0 < done < BOOSTED.trials
    told: list[str] = []
    resumed = tried(spec, tmp_path / "killed", told=told)
    assert seen(resumed) == seen(unbroken)
    assert told == [trial.name for trial in unbroken[done:]]


def test_half_a_line_at_a_journal_s_end_is_left_behind(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec()
    first = tried(spec, tmp_path, Shard("gradient_boosting", 0, 5))
    journal = tmp_path / "gradient_boosting-0.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x","study_id":0,"datetime_sta')
    whole = tried(spec, tmp_path)
    assert seen(whole[:5]) == seen(first)
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_more_trials_go_on_from_those_there_are(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec, calls = make_spec(), list[int]()

    def counted(settings: TrainingSpec, fold: int) -> Measured:
        calls.append(fold)
        return score(settings, fold)

    five = tried(spec, tmp_path, Shard("gradient_boosting", 0, 5), counted)
    before = len(calls)
    again = tried(spec, tmp_path, Shard("gradient_boosting", 0, 5), counted)
    assert (seen(again), len(calls)) == (seen(five), before)
    assert seen(tried(spec, tmp_path, attempt=counted)[:5]) == seen(five)
    assert seen(tried(spec, tmp_path / "other")) == seen(tried(spec, tmp_path))
    assert seen(tried(spec, tmp_path, Shard("gradient_boosting", 0, 5))) == seen(five), "as if there were no others"


def test_the_first_trial_is_what_is_written_and_so_the_best_is_never_worse(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(training__leaves=2)
    found = tried(spec, tmp_path)
    assert dict(found[0].settings) == {"family": "gradient_boosting"}
    best = trials.best("binary", found)
    assert best is not None
    assert trials.summary(best.folds)["cv_auc"] >= trials.summary(found[0].folds)["cv_auc"]
    other = tried(spec, tmp_path, Shard("gradient_boosting", 1, 3))
    assert all(len(trial.settings) > 1 for trial in other), "one part of a family tries it"


def test_parts_of_a_family_try_other_settings(make_spec: MakeSpec, tmp_path: Path) -> None:
    first, second = (tried(make_spec(), tmp_path, Shard("gradient_boosting", part, 5)) for part in (0, 1))
    assert not {str(trial.settings) for trial in first} & {str(trial.settings) for trial in second}


def test_what_a_family_has_no_use_for_is_not_searched(make_spec: MakeSpec) -> None:
    space = {
        "trees": {"low": 10, "high": 20},
        "preprocessing.encode": {"choices": ["target", "one_hot"]},
        "penalty": {"low": 1, "high": 9, "log": True},
    }
    spec = make_spec(search__space=space)
    assert set(search.space(spec, "linear")) == {"penalty", "preprocessing.encode"}
    boosted = search.space(spec, "gradient_boosting")
    assert set(boosted) == {*search.SPACES["gradient_boosting"], "preprocessing.encode"}
    assert boosted["trees"].to_internal_repr(13) == 13
    assert not boosted["trees"].single()
    assert "trees" not in search.space(make_spec(), "random_forest")
    assert "trees" in search.space(spec, "random_forest")


def test_settings_that_a_model_refuses_fail_alone(make_spec: MakeSpec, tmp_path: Path) -> None:
    def fussy(settings: TrainingSpec, fold: int) -> Measured:
        if settings.leaves > 15:
            raise ValueError("too many leaves")
        return score(settings, fold)

    found = tried(make_spec(), tmp_path, attempt=fussy)
    failed = [trial for trial in found if trial.state == "failed"]
    assert failed
    assert {trial.error for trial in failed} == {"ValueError: too many leaves"}
    assert len(found) == BOOSTED.trials
    assert seen(tried(make_spec(), tmp_path, attempt=fussy)) == seen(found)
    best = trials.best("binary", found)
    assert best is not None
    assert best.state == "complete"


def test_a_search_without_a_completed_trial_is_refused_with_the_reason(make_spec: MakeSpec, tmp_path: Path) -> None:
    def never(_settings: TrainingSpec, _fold: int) -> Measured:
        raise ValueError("no nulls, please")

    found = tried(make_spec(), tmp_path, Shard("linear", 0, 2), never)
    with pytest.raises(RefusedError, match="none of 2 trials was completed: ValueError: no nulls, please"):
        trials.best("binary", found)


def test_a_search_begins_no_trial_when_its_time_is_over(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr("mlplat.runtime.search.time.perf_counter", lambda: next(ticks))
    spec = make_spec(search__seconds=3.0)
    assert len(tried(spec, tmp_path)) == 3
    # What a search took before it was killed counts.
    assert len(tried(spec, tmp_path)) == 3


def test_two_processes_do_not_search_in_one_journal(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "HELD_SECONDS", 0.0)
    with (
        lock(tmp_path / "gradient_boosting-0.held", "another", timeout=0.0),
        pytest.raises(StateError, match="another"),
    ):
        tried(make_spec(), tmp_path)


@pytest.mark.parametrize("trials_", [0, 1, 5, 8])
def test_the_parts_share_all_trials_of_each_family(make_spec: MakeSpec, trials_: int) -> None:
    spec = make_spec(search__trials=trials_, search__families=["linear", "random_forest"], search__shards=3)
    parts = plan(spec)
    for family in ("linear", "random_forest"):
        assert sum(each.trials for each in parts if each.family == family) == trials_
    assert all(each.trials > 0 for each in parts)
    assert len({each.name for each in parts}) == len(parts)
    if trials_ == 5:
        assert {each.family for each in plan(make_spec(search__trials=5))} == {"gradient_boosting"}
