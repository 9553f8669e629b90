from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlplat.controller import retraining, wishes
from mlplat.controller.document import Endpoint, Event, Revision, Status
from mlplat.controller.errands import Errands
from mlplat.controller.registry import Version
from mlplat.controller.retraining import Attendant, Outcome, Wish
from mlplat.controller.store import SqliteStore, digest
from mlplat.controller.triggers import Alarm, Verdict
from mlplat.errors import RefusedError, UnreachableError, UsageError
from mlplat.labels import Name
from mlplat.spec.pipelines import TimesSpec
from mlplat.spec.privacy import LoggedColumns
from mlplat.spec.retraining import RetrainingPolicy
from mlplat.spec.rollout import RolloutPolicy
from mlplat.spec.scale import ScaleSpec

LATE = Name("flights", "late")
ROLLOUT = RolloutPolicy(min_requests=7)
NOW = datetime(2013, 7, 1, tzinfo=UTC)
SERVES = Revision(
    number=1,
    model="flights/late",
    version="1",
    digest="sha256:1",
    source="",
    port=1,
    state="ready",
    since=0,
    created=NOW,
)


@dataclass
class Platform:
    """A runner and a registry that answer what a test says."""

    published: bool = True
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    begun: list[tuple[str, Wish]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    silent: bool = False
    unreachable: str = ""
    """The step at which the cluster does not answer."""
    where: str = ""
    served: tuple[Name, ...] = (LATE,)
    """Endpoints, each of a model of its name."""

    def begin(self, name: Name, wish: Wish, key: str) -> tuple[str, str]:
        assert name in self.served
        if self.unreachable == "begin":
            raise UnreachableError("the cluster does not answer")
        if not self.published:
            raise RefusedError("nothing is published")
        self.begun.append((key, wish))
        return f"run-{key}", self.where

    def outcome(self, endpoint: Endpoint, run: str) -> Outcome | None:
        assert endpoint.name in self.served
        if self.unreachable == "follow":
            raise UnreachableError("the cluster does not answer")
        return self.outcomes.get(run)

    def version(self, model: Name, number: str) -> Version:
        assert (model in self.served, number) == (True, "1")
        if self.silent:
            raise UnreachableError("the registry does not answer")
        return Version(model, number, "sha256:1", "", "", NOW - timedelta(days=30))

    def registered_by(self, model: Name, key: str) -> str:
        raise AssertionError("only Argo's runner asks")

    def verdict(self, model: Name, endpoint: Name, version: str) -> Verdict | None:
        assert model == endpoint in self.served
        found = [each for each in self.verdicts if each.model_version == version]
        return found[-1] if found else None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "endpoints.db") as opened:
        yield opened


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def attendant(store: SqliteStore, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Attendant:
    monkeypatch.setattr(retraining, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(retraining, "QUIET_SECONDS", 0.0)
    at_once = Errands(start=lambda call: call())
    return Attendant(store, platform, lambda: platform, at_once)


def serve(
    store: SqliteStore, policy: RetrainingPolicy | None = None, *, name: Name = LATE, champion: int | None = 1
) -> None:
    spec = wishes.deploy(
        name, name, "1", ROLLOUT, by="ada", retraining=policy, log=LoggedColumns(hash=("dest",)), scale=ScaleSpec(cpu=2)
    )
    made = store.wish(name, lambda _: spec, Event(time=NOW, generation=0, kind="wished", text=""))
    generation = made.spec.generation
    status = Status(phase="serving", champion=champion, observed_generation=generation, revisions=(SERVES,))
    store.report(name, generation, status)


def ask(store: SqliteStore, reason: str = "new airport", time: datetime = NOW) -> str:
    text = retraining.wish("train", by="ada", reason=reason, time=time).model_dump_json()
    store.retrain(LATE, text)
    return digest(text)


def kinds(store: SqliteStore) -> list[str]:
    return [event.kind for event in store.events(LATE)][1:]


def alarm(time: datetime = NOW, version: str = "1") -> Verdict:
    raised = (Alarm(kind="drift", message="temp"),)
    return Verdict(version=1, endpoint="flights/late", model_version=version, time=time, alarms=raised)


def test_a_wish_becomes_one_run_however_often_it_is_looked_at(
    store: SqliteStore, platform: Platform, attendant: Attendant
) -> None:
    serve(store)
    key = ask(store)
    for _ in range(3):
        attendant.attend(NOW)
    assert [each for each, _ in platform.begun] == [key]
    assert store.retraining(LATE)["run"] == f"run-{key}"
    assert kinds(store) == [retraining.BEGUN]


def test_what_cannot_be_begun_is_answered_once(store: SqliteStore, platform: Platform, attendant: Attendant) -> None:
    serve(store)
    platform.published = False
    ask(store)
    attendant.attend(NOW)
    attendant.attend(NOW)
    assert store.retraining(LATE)["run"] == ""
    assert kinds(store) == [retraining.REFUSED]


def test_a_version_that_came_of_it_is_deployed_by_the_endpoints_own_policy(
    store: SqliteStore, platform: Platform, attendant: Attendant
) -> None:
    serve(store, RetrainingPolicy(monthly=9))
    run = f"run-{ask(store)}"
    attendant.attend(NOW)
    platform.outcomes[run] = Outcome("registered", "registered version 2", "2")
    attendant.attend(NOW)
    endpoint = store.get(LATE)
    assert endpoint is not None
    assert (endpoint.spec.version, endpoint.spec.by) == ("2", retraining.PLATFORM)
    # All else stays as it was said before.
    assert (endpoint.spec.name, endpoint.spec.model, endpoint.spec.policy) == (str(LATE), str(LATE), ROLLOUT)
    assert (endpoint.spec.log.hash, endpoint.spec.scale.cpu) == (("dest",), 2)
    assert endpoint.spec.retraining.monthly == 9
    assert store.retraining(LATE)["status"] == "registered"
    attendant.attend(NOW)
    assert kinds(store) == [retraining.BEGUN, "wished", retraining.ENDED]


def test_a_version_waits_for_the_rollout_that_is_under_way(
    store: SqliteStore, platform: Platform, attendant: Attendant
) -> None:
    serve(store)
    run = f"run-{ask(store)}"
    attendant.attend(NOW)
    platform.outcomes[run] = Outcome("registered", "registered version 3", "3")
    other = wishes.deploy(LATE, LATE, "2", RolloutPolicy(), by="ada")
    store.wish(LATE, lambda _: other, Event(time=NOW, generation=0, kind="wished", text=""))
    attendant.attend(NOW)
    present = store.get(LATE)
    assert present is not None
    assert present.spec.version == "2"
    status = present.status.model_copy(update={"observed_generation": present.spec.generation})
    store.report(LATE, present.spec.generation, status)
    attendant.attend(NOW)
    after = store.get(LATE)
    assert after is not None
    assert after.spec.version == "3"


def test_a_version_is_left_to_people_where_the_policy_says_so(
    store: SqliteStore, platform: Platform, attendant: Attendant
) -> None:
    serve(store, RetrainingPolicy(deploy=False))
    run = f"run-{ask(store)}"
    attendant.attend(NOW)
    platform.outcomes[run] = Outcome("registered", "registered version 2", "2")
    attendant.attend(NOW)
    endpoint = store.get(LATE)
    assert endpoint is not None
    assert endpoint.spec.version == "1"
    assert kinds(store) == [retraining.BEGUN, retraining.ENDED]


def test_a_run_that_came_to_nothing_is_told(store: SqliteStore, platform: Platform, attendant: Attendant) -> None:
    serve(store)
    run = f"run-{ask(store)}"
    attendant.attend(NOW)
    platform.outcomes[run] = Outcome("refused", "auc_floor: too low")
    attendant.attend(NOW)
    assert kinds(store) == [retraining.BEGUN, retraining.FAILED]
    assert "auc_floor" in store.retraining(LATE)["message"]


def test_an_alarm_has_the_model_trained_anew_once(store: SqliteStore, platform: Platform, attendant: Attendant) -> None:
    serve(store, RetrainingPolicy(on=("drift",)))
    platform.verdicts.append(alarm())
    for hours in range(4):
        attendant.attend(NOW + timedelta(hours=hours))
    ((_, wish),) = platform.begun
    assert (wish.by, wish.reason) == (retraining.PLATFORM, "drift: temp")
    assert attendant.kinds == {LATE: {"drift"}}


def test_an_alarm_within_the_cool_down_waits_for_its_end(
    store: SqliteStore, platform: Platform, attendant: Attendant
) -> None:
    serve(store, RetrainingPolicy(on=("drift",), cooldown_days=7))
    run = f"run-{ask(store)}"
    attendant.attend(NOW)
    platform.outcomes[run] = Outcome("refused", "no")
    attendant.attend(NOW)
    platform.verdicts.append(alarm(NOW + timedelta(days=1)))
    attendant.attend(NOW + timedelta(days=6))
    attendant.attend(NOW + timedelta(days=6))
    assert len(platform.begun) == 1
    attendant.attend(NOW + timedelta(days=7))
    attendant.attend(NOW + timedelta(days=7))
    assert [wish.by for _, wish in platform.begun] == ["ada", retraining.PLATFORM]


def test_without_a_policy_an_alarm_is_shown_and_nothing_begun(
    store: SqliteStore, platform: Platform, attendant: Attendant
) -> None:
    serve(store)
    platform.verdicts.append(alarm())
    attendant.attend(NOW)
    assert attendant.kinds == {LATE: {"drift"}}
    assert (platform.begun, store.retrainings()) == ([], [])


def test_what_cannot_be_begun_is_not_asked_for_again_at_once(
    store: SqliteStore, platform: Platform, attendant: Attendant
) -> None:
    serve(store, RetrainingPolicy(on=("drift",)))
    platform.verdicts.append(alarm())
    platform.published = False
    for minutes in (0, 1, 30, 59):
        attendant.attend(NOW + timedelta(minutes=minutes))
        attendant.attend(NOW + timedelta(minutes=minutes))
    assert kinds(store) == [retraining.REFUSED]
    assert attendant.failed == {LATE: "nothing is published"}
    platform.published = True
    attendant.attend(NOW + retraining.AGAIN)
    attendant.attend(NOW + retraining.AGAIN)
    assert kinds(store) == [retraining.REFUSED, retraining.BEGUN]
    assert attendant.failed == {}


def test_without_a_policy_the_registry_is_asked_less_often(
    store: SqliteStore, platform: Platform, attendant: Attendant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "QUIET_SECONDS", 1e9)
    serve(store)
    attendant.attend(NOW)
    platform.verdicts.append(alarm())
    attendant.attend(NOW)
    assert attendant.kinds == {LATE: set()}
    serve(store, RetrainingPolicy(on=("drift",)))
    attendant.attend(NOW)
    assert attendant.kinds == {LATE: {"drift"}}


@pytest.mark.parametrize(("status", "failed"), [("failed", True), ("refused", False), ("cancelled", False)])
def test_only_what_failed_is_a_failure(
    store: SqliteStore, platform: Platform, attendant: Attendant, status: str, failed: bool
) -> None:
    serve(store)
    run = f"run-{ask(store)}"
    attendant.attend(NOW)
    platform.outcomes[run] = Outcome(status, "why")  # type: ignore[arg-type]  # one of a run's words
    attendant.attend(NOW)
    attendant.attend(NOW)
    assert (LATE in attendant.failed) is failed


def test_a_registry_that_does_not_answer_stops_no_other_wish(
    store: SqliteStore, platform: Platform, attendant: Attendant, caplog: pytest.LogCaptureFixture
) -> None:
    serve(store, RetrainingPolicy(on=("drift",)))
    platform.silent = True
    attendant.attend(NOW)
    attendant.attend(NOW)
    assert [record.message for record in caplog.records].count(f"{LATE}: retraining: the registry does not answer") == 1
    ask(store)
    attendant.attend(NOW)
    assert len(platform.begun) == 1


def test_an_endpoint_that_is_gone_has_no_wishes(store: SqliteStore, attendant: Attendant, platform: Platform) -> None:
    serve(store)
    ask(store)
    present = store.get(LATE)
    assert present is not None
    store.remove(LATE, present.spec.generation, Event(time=NOW, generation=1, kind="deleted", text=""))
    attendant.attend(NOW)
    assert platform.begun == []
    with pytest.raises(RefusedError, match="there is no endpoint flights/late"):
        ask(store)


def test_a_wish_that_cannot_be_read_is_answered(store: SqliteStore, attendant: Attendant) -> None:
    serve(store)
    store.retrain(LATE, json.dumps({"flow": "Train"}))
    attendant.attend(NOW)
    assert "is no wish" in store.retraining(LATE)["message"]


def test_two_wishes_differ_by_their_time_and_one_is_always_the_same() -> None:
    first, second = (
        retraining.wish("train", by="ada", reason="", time=datetime(2026, 1, day, tzinfo=UTC)).model_dump_json()
        for day in (1, 2)
    )
    assert digest(first) == digest(first) != digest(second)


@pytest.mark.parametrize("given", [{"flow": "Train"}, {"reason": "x" * 300}], ids=["flow", "reason"])
def test_what_no_resource_could_hold_is_wrong_usage(given: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=next(iter(given))):
        retraining.wish(**{"flow": "train", "by": "ada", "reason": "", "time": datetime.now(UTC), **given})  # type: ignore[arg-type]


def said(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize(
    ("reason", "where", "text"),
    [("new airport", "http://argo/1", "ada: new airport; http://argo/1"), ("", "", "ada")],
    ids=["all", "nothing"],
)
def test_a_run_is_told_with_who_asked_for_it_and_where_it_is_seen(
    store: SqliteStore,
    platform: Platform,
    attendant: Attendant,
    caplog: pytest.LogCaptureFixture,
    reason: str,
    where: str,
    text: str,
) -> None:
    caplog.set_level(logging.INFO)
    serve(store)
    platform.where = where
    run = f"run-{ask(store, reason)}"
    attendant.attend(NOW)
    platform.outcomes[run] = Outcome("failed", "no rows")
    attendant.attend(NOW)
    told = [f"run {run} of `train`, asked for by {text}", f"run {run}: no rows"]
    assert [event.text for event in store.events(LATE)[1:]] == told
    assert said(caplog, logging.INFO) == [f"{LATE}: {each}" for each in told]


def test_the_times_of_the_latest_runs_are_kept_and_of_no_wish_that_became_none(
    store: SqliteStore, platform: Platform, attendant: Attendant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "KEPT_TIMES", 2)
    serve(store)
    times = [NOW + timedelta(hours=hour) for hour in range(4)]
    for time, published in zip(times, (True, True, True, False), strict=True):
        platform.published = published
        ask(store, time=time)
        attendant.attend(time)
    assert store.retraining(LATE)["begun"] == [time.isoformat() for time in times[1:3]]


@pytest.mark.parametrize("step", ["begin", "follow", "look"])
def test_what_fails_is_told_once_for_as_long_as_it_does(
    store: SqliteStore, platform: Platform, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    """A wish that cannot be begun was told pass by pass, since the look at what serves went well; and each time the
    registry did not answer, since between two answers there is a pass that waits."""
    under_way: list[Callable[[], None]] = []
    attendant = Attendant(store, platform, lambda: platform, Errands(start=under_way.append))
    serve(store, RetrainingPolicy(on=("drift",)))
    if step != "look":
        ask(store)
    if step == "follow":
        attendant.attend(NOW)
    reason = f"the {'registry' if step == 'look' else 'cluster'} does not answer"

    def passes(*, fails: bool) -> None:
        platform.unreachable, platform.silent = step if fails else "", fails and step == "look"
        for _ in range(4):
            attendant.attend(NOW)
            while under_way:
                under_way.pop()()

    passes(fails=True)
    assert said(caplog) == [f"{LATE}: retraining: {reason}"]
    passes(fails=False)
    if step == "begin":
        ask(store, "again")
    attendant._looked.clear()
    passes(fails=True)
    assert said(caplog) == [f"{LATE}: retraining: {reason}"] * 2


def test_a_reason_that_is_put_off_is_told_once_however_often_one_looks(
    store: SqliteStore, platform: Platform, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(retraining, "time", SimpleNamespace(monotonic=lambda: clock.now))
    attendant = Attendant(store, platform, lambda: platform, Errands(start=lambda call: call()))
    serve(store, RetrainingPolicy(on=("age",), max_age_days=20))
    run = f"run-{ask(store)}"
    platform.outcomes[run] = Outcome("refused", "no")
    for _ in range(30):
        attendant.attend(NOW)
        clock.now += 1
    told = f"{LATE}: retraining: age: version 1 has learned nothing of the last 30 days; put off: "
    assert [each[: len(told)] for each in said(caplog)] == [told]


def test_between_two_looks_is_a_pause(store: SqliteStore, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(retraining, "time", SimpleNamespace(monotonic=lambda: clock.now))
    attendant = Attendant(store, platform, lambda: platform, Errands(start=lambda call: call()))
    assert (attendant.alarms, attendant.failed) == ({}, {})
    serve(store, RetrainingPolicy(on=("volume",)))
    seen = []
    for moment in (0.0, retraining.LOOK_SECONDS - 0.1, retraining.LOOK_SECONDS):
        clock.now = moment
        attendant.attend(NOW)
        seen.append(attendant.kinds[LATE])
        platform.verdicts.append(alarm())
    assert seen == [set(), set(), {"drift"}]


def test_two_endpoints_are_looked_at_beside_each_other(store: SqliteStore, platform: Platform) -> None:
    under_way: list[Callable[[], None]] = []
    attendant = Attendant(store, platform, lambda: platform, Errands(start=under_way.append))
    platform.served = (LATE, Name("flights", "gone"))
    for name in platform.served:
        serve(store, name=name)
    attendant.attend(NOW)
    assert len(under_way) == 2


def test_what_serves_nothing_or_is_being_changed_is_not_looked_at(
    store: SqliteStore, platform: Platform, attendant: Attendant
) -> None:
    platform.verdicts.append(alarm())
    serve(store, champion=None)
    attendant.attend(NOW)
    serve(store)
    other = wishes.deploy(LATE, LATE, "2", RolloutPolicy(), by="ada")
    store.wish(LATE, lambda _: other, Event(time=NOW, generation=0, kind="wished", text=""))
    attendant.attend(NOW)
    assert attendant.kinds == {}


def test_what_was_refused_a_moment_ago_is_not_asked_for(
    store: SqliteStore, platform: Platform, attendant: Attendant
) -> None:
    serve(store, RetrainingPolicy(on=("drift",)))
    platform.verdicts.append(alarm())
    platform.published = False
    ask(store)
    attendant.attend(NOW)
    assert (kinds(store), store.retrainings()) == ([retraining.REFUSED], [])


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (RetrainingPolicy(on=("age",), max_age_days=20), "age: version 1 has learned nothing of the last 32 days"),
        (RetrainingPolicy(on=("schedule",), schedule=TimesSpec(cron=["30 4 * * *"])), "schedule: 2013-07-03 04:30 UTC"),
    ],
    ids=["age", "schedule"],
)
def test_the_clock_alone_can_have_a_model_trained_anew(
    store: SqliteStore, platform: Platform, attendant: Attendant, policy: RetrainingPolicy, reason: str
) -> None:
    serve(store, policy)
    for _ in range(2):
        attendant.attend(NOW + timedelta(days=2, hours=12))
    ((_, wish),) = platform.begun
    assert wish.reason == reason
