from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlplat.labels import Name
from mlplat.runtime import ledger, registry
from mlplat.runtime.ledger import Ledger, Use

NAME = Name("tests", "late")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(registry.TRACKING, (tmp_path / "store").as_uri())
    for name in ("MLFLOW_EXPERIMENT_ID", registry.RUN):
        monkeypatch.delenv(name, raising=False)


def looked(digest: str, *, window: str = "sha256:w", passed: bool = False) -> str:
    """Write down a run that was judged on a window, and return its id."""
    tags = {"mlplat.digest": digest, "mlplat.window": window}
    report: dict[str, Any] = {}
    return registry.log(registry.Entry(NAME, Path(), digest, {}, {}, tags, report), passed=passed, register=False)[0]


def test_a_window_that_nobody_looked_at_has_an_empty_ledger(store: None) -> None:
    found = ledger.read(NAME, "sha256:w")
    assert (found.uses, found.look("sha256:a")) == ((), 1)


def test_without_a_registry_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(registry.TRACKING, raising=False)
    assert ledger.read(NAME, "sha256:w") == Ledger()


def test_a_ledger_says_who_was_told_what_on_these_rows_and_no_others(store: None) -> None:
    first = looked("sha256:a")
    second = looked("sha256:b", passed=True)
    looked("sha256:c", window="sha256:other")
    found = ledger.read(NAME, "sha256:w")
    assert [(use.run, use.digest, use.verdict) for use in found.uses] == [
        (first, "sha256:a", "refused"),
        (second, "sha256:b", "passed"),
    ]
    assert all(use.by and use.at.endswith("+00:00") for use in found.uses)
    assert found.look("sha256:c") == 3
    assert ledger.read(Name("tests", "other"), "sha256:w") == Ledger()


def test_the_same_model_asked_again_is_no_further_look(store: None) -> None:
    looked("sha256:a")
    looked("sha256:a")
    found = ledger.read(NAME, "sha256:w")
    assert (len(found.uses), found.look("sha256:a"), found.look("sha256:b")) == (2, 1, 2)


def test_what_a_killed_run_wrote_down_is_no_use_when_it_is_resumed(
    store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(registry.RUN, "k1")
    looked("sha256:a")
    assert ledger.read(NAME, "sha256:w") == Ledger()
    monkeypatch.setenv(registry.RUN, "k2")
    assert len(ledger.read(NAME, "sha256:w").uses) == 1


def test_a_report_names_the_latest_uses() -> None:
    uses = tuple(Use(f"2013-01-01T00:00:{number:02}+00:00", "a", "r", str(number), "refused") for number in range(30))
    shown = Ledger(uses).described()
    assert [use["digest"] for use in shown] == [str(number) for number in range(10, 30)]
    assert Ledger(uses).look("x") == 31
