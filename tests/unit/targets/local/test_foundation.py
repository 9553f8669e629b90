from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlplat.clock import Clock
from mlplat.errors import StateError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.local import foundation as module
from mlplat.targets.local.foundation import foundation, provision

SET = PlatformSpec(clock=datetime(2013, 7, 1, tzinfo=UTC))


def test_looking_makes_nothing() -> None:
    assert not Path(foundation(SET, "local").state).exists()


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
