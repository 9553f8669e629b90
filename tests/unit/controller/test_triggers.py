from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.controller.triggers import MONTH, Alarm, Due, Serving, Verdict, due
from mlplat.spec.retraining import RetrainingPolicy

NOW = datetime(2013, 7, 1, tzinfo=UTC)
SINCE = NOW - timedelta(days=10)
SERVING = Serving("3", NOW - timedelta(days=20), SINCE)
TEMPERATURE = Alarm(kind="drift", message="temp is over its threshold")


def days(count: float) -> datetime:
    return NOW - timedelta(days=count)


def verdict(*alarms: Alarm, version: str = "3", time: datetime = NOW) -> Verdict:
    return Verdict(version=1, endpoint="flights/late", model_version=version, time=time, alarms=alarms)


def policy(**changes: object) -> RetrainingPolicy:
    return RetrainingPolicy.model_validate({"on": ("drift",), **changes})


def test_without_a_policy_nothing_is_ever_due() -> None:
    assert due(RetrainingPolicy(), NOW, SERVING, verdict(TEMPERATURE), []) is None


def test_an_alarm_of_a_kind_that_is_waited_for_is_a_reason_and_says_which() -> None:
    assert due(policy(), NOW, SERVING, verdict(TEMPERATURE), []) == Due("drift: temp is over its threshold")
    other = verdict(Alarm(kind="volume", message="half the rows are missing"))
    assert due(policy(), NOW, SERVING, other, []) is None


def test_what_was_said_of_another_version_is_no_reason() -> None:
    assert due(policy(), NOW, SERVING, verdict(TEMPERATURE, version="2"), []) is None


def test_a_verdict_is_answered_by_one_retraining() -> None:
    before = policy(cooldown_days=0)
    assert due(before, NOW, SERVING, verdict(TEMPERATURE, time=days(2)), [days(1)]) is None
    assert due(before, NOW, SERVING, verdict(TEMPERATURE, time=days(1)), [days(2)]) is not None


@pytest.mark.parametrize(("known", "expected"), [(20, False), (20.5, True)])
def test_a_model_that_has_learned_nothing_for_too_long_is_due(known: float, expected: bool) -> None:
    found = due(policy(on=("age",), max_age_days=20), NOW, Serving("3", days(known), SINCE), None, [])
    assert (found is not None) is expected


def test_a_model_whose_rows_have_no_time_has_no_age() -> None:
    assert due(policy(on=("age",), max_age_days=1), NOW, Serving("3", None, SINCE), None, []) is None


def test_it_waits_for_the_cool_down_and_then_for_the_budget() -> None:
    found = due(policy(cooldown_days=7), NOW, SERVING, verdict(TEMPERATURE), [days(6)])
    assert found is not None
    assert "not before 2013-07-02" in found.held
    spent = due(policy(cooldown_days=1, monthly=2), NOW, SERVING, verdict(TEMPERATURE), [days(29), days(10)])
    assert spent is not None
    assert "2 are allowed: not before 2013-07-02" in spent.held


def test_what_it_says_it_waits_for_is_when_it_goes_on() -> None:
    once = policy(cooldown_days=0, monthly=1)
    assert due(once, NOW, SERVING, verdict(TEMPERATURE), [NOW - MONTH]) == Due("drift: temp is over its threshold")
    held = due(once, NOW, SERVING, verdict(TEMPERATURE), [NOW - MONTH + timedelta(minutes=1)])
    assert held is not None
    assert "not before 2013-07-01 00:01 UTC" in held.held


MONDAYS = {"cron": ["30 4 * * mon"]}


@pytest.mark.parametrize(
    ("ripe", "expected"), [(None, False), (NOW - timedelta(days=15), False), (NOW - timedelta(days=6), True)]
)
def test_labels_that_it_has_not_learned_from_are_a_reason_once_there_are_enough(
    ripe: datetime | None, expected: bool
) -> None:
    said = verdict().model_copy(update={"ripe_until": ripe})
    found = due(policy(on=("data",), min_new_days=14), NOW, SERVING, said, [])
    assert (found is not None) is expected
    assert due(policy(on=("drift",)), NOW, SERVING, said, []) is None
    # A retraining that the gate refused has seen them as well.
    assert due(policy(on=("data",), min_new_days=14), NOW, SERVING, said, [NOW]) is None


def test_a_time_that_people_have_set_is_not_held_up_and_counts() -> None:
    mondays = policy(on=("drift", "schedule"), schedule=MONDAYS, cooldown_days=30, monthly=1)
    # 1 July 2013 is a Monday.
    now = NOW + timedelta(hours=5)
    assert due(mondays, now, SERVING, verdict(TEMPERATURE), [days(3)]) == Due("schedule: 2013-07-01 04:30 UTC")
    after = due(mondays, now, SERVING, verdict(TEMPERATURE, time=now + timedelta(hours=1)), [now])
    assert after is not None
    assert after.reason.startswith("drift")
    assert after.held


def test_a_time_before_the_version_served_is_none_of_its_own() -> None:
    mondays = policy(on=("schedule",), schedule=MONDAYS)
    assert due(mondays, NOW, Serving("3", None, days(6)), None, []) is None
    assert due(mondays, NOW, Serving("3", None, days(7)), None, []) == Due("schedule: 2013-06-24 04:30 UTC")


@settings(max_examples=30, deadline=None)
@given(looks=st.lists(st.integers(0, 40 * 24 * 60), max_size=30))
def test_however_often_it_is_asked_a_time_has_one_retraining(looks: list[int]) -> None:
    mondays = policy(on=("schedule",), schedule=MONDAYS)
    made: list[tuple[datetime, str]] = []
    for now in sorted(NOW + timedelta(minutes=look) for look in looks):
        if found := due(mondays, now, SERVING, None, [time for time, _ in made]):
            made.append((now, found.reason))
    assert len({reason for _, reason in made}) == len(made)


times = st.lists(st.floats(0.01, 90).map(days), max_size=12)


@settings(deadline=None)
@given(begun=times, cooldown=st.floats(0, 40), monthly=st.integers(1, 5))
def test_it_may_begin_exactly_when_cool_down_and_budget_leave_room(
    begun: list[datetime], cooldown: float, monthly: int
) -> None:
    found = due(policy(cooldown_days=cooldown, monthly=monthly), NOW, SERVING, verdict(TEMPERATURE), begun)
    assert found is not None
    rested = all(NOW - time >= timedelta(days=cooldown) for time in begun)
    afforded = sum(NOW - time < MONTH for time in begun) < monthly
    assert (found.held == "") == (rested and afforded)


@settings(deadline=None)
@given(begun=times, monthly=st.integers(1, 4))
def test_however_often_it_is_asked_a_month_never_has_more_than_its_budget(begun: list[datetime], monthly: int) -> None:
    made: list[datetime] = []
    for now in sorted(begun):
        found = due(policy(cooldown_days=0, monthly=monthly), now, SERVING, verdict(TEMPERATURE, time=now), made)
        if found and not found.held:
            made.append(now)
    assert all(
        sum(0 <= (time - start).total_seconds() < MONTH.total_seconds() for time in made) <= monthly for start in made
    )
