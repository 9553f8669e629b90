from __future__ import annotations

import os
import time

import psutil
import pytest

from mlplat import uptime


def test_an_age_does_not_follow_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    before = uptime.age(os.getpid())
    assert before is not None
    monkeypatch.setattr(time, "time", lambda: 0.0)
    after = uptime.age(os.getpid())
    assert after is not None
    assert 0 <= before <= after < before + 60


def test_ages_agree_with_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    age = uptime.age(os.getpid())
    assert age == pytest.approx(time.time() - psutil.Process().create_time(), abs=5)


def test_what_is_not_there_has_no_age() -> None:
    assert uptime.age(2**22 + 1) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (90, "2 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_durations_are_told_in_one_unit(seconds: float, text: str) -> None:
    assert uptime.told(seconds) == text
