from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlplat.clock import Clock
from mlplat.errors import UsageError


def test_an_anchored_clock_runs_on_through_restarts() -> None:
    clock = Clock.parse("2013-07-01T00:00:00Z=2026-01-01T00:00:00Z")
    since = datetime.now(UTC) - datetime(2026, 1, 1, tzinfo=UTC)
    assert abs(clock.now() - (datetime(2013, 7, 1, tzinfo=UTC) + since)) < timedelta(seconds=5)


def test_a_date_alone_begins_at_midnight_utc_now() -> None:
    assert abs(Clock.parse("2013-07-01").now() - datetime(2013, 7, 1, tzinfo=UTC)) < timedelta(seconds=5)


def test_without_the_variable_it_is_the_computers_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clock.from_environment() == Clock()
    monkeypatch.setenv("MLPLAT_CLOCK", "2013-07-01")
    assert Clock.from_environment().now().year == 2013


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(UsageError, match="is no time"):
        Clock.parse("yesterday")
