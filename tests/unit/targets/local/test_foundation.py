from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlplat.clock import Clock
from mlplat.errors import StateError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.local import foundation as module
from mlplat.targets.local.foundation import (
    PLAN_VERSION,
    NewerStateError,
    foundation,
    provision,
    record,
    refuse_newer,
)

SET = PlatformSpec(clock=datetime(2013, 7, 1, tzinfo=UTC))


def test_looking_makes_nothing() -> None:
    assert not Path(foundation(SET, "local").state).exists()


def test_a_clock_begins_when_it_was_planned_however_long_environments_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow `up` anchored it twice: services had one clock, the state another, and the next `up` changed it."""
    planned = foundation(SET, "local")
    later = dataclasses.replace(planned, clock="2013-07-01T00:00:00+00:00=2030-01-01T00:00:00+00:00")
    with monkeypatch.context() as slow:
        slow.setattr(module, "foundation", lambda *_: later)
        assert provision(SET, "local", planned).clock == planned.clock
    assert foundation(SET, "local").clock == planned.clock


def test_a_clock_is_anchored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = provision(SET, "local")
    assert first.clock is not None
    assert Clock.parse(first.clock).now().year == 2013

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Later:
            return cls(2030, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(module, "datetime", Later)
    assert provision(SET, "local").clock == first.clock
    moved = provision(PlatformSpec(clock=datetime(2014, 1, 1, tzinfo=UTC)), "local")
    assert moved.clock == "2014-01-01T00:00:00+00:00=2030-01-01T00:00:00+00:00"


def test_the_state_is_the_users_own() -> None:
    assert Path(provision(PlatformSpec(), "local").state).stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_written_the_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLPLAT_STATE_DIR", str(tmp_path / "file"))
    with pytest.raises(StateError, match="cannot be written") as caught:
        provision(PlatformSpec(), "local")
    assert "MLPLAT_STATE_DIR" in str(caught.value.hint)


@pytest.mark.parametrize("content", ["{", "[]", "{}", "\x00"])
def test_a_damaged_clock_is_found_again_in_the_record(content: str) -> None:
    first = provision(SET, "local")
    record(SET, "local", first)
    path = Path(first.state) / "clock.json"
    path.write_text(content)
    assert foundation(SET, "local").clock == first.clock
    assert provision(SET, "local").clock == first.clock
    assert json.loads(path.read_text())["clock"] == first.clock


def test_a_clock_that_nothing_knows_is_not_begun_anew() -> None:
    first = provision(SET, "local")
    (Path(first.state) / "clock.json").write_text("{")
    with pytest.raises(StateError, match=r"clock\.json: cannot be read") as caught:
        foundation(SET, "local")
    assert "remove" in str(caught.value.hint)


def test_a_newer_versions_folder_is_refused_and_a_damaged_record_is_not() -> None:
    made = provision(SET, "local")
    record(SET, "local", made)
    path = Path(made.state) / "plan.json"
    assert refuse_newer(path.parent) is None
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": PLAN_VERSION + 1, "mlplat": "9.9"}))
    with pytest.raises(NewerStateError, match=r"newer mlplat \(9\.9"):
        refuse_newer(path.parent)
    path.write_text("[")
    assert "cannot be read" in str(refuse_newer(path.parent))
