from __future__ import annotations

from pathlib import Path

import pytest

from mlplat.watchdog import restarts
from mlplat.watchdog.restarts import Counter


def test_a_restarted_watchdog_goes_on_counting_and_a_new_supervisord_begins_anew(tmp_path: Path) -> None:
    Counter(tmp_path, 7).add("gateway", "ended of itself")
    Counter(tmp_path, 7).add("gateway", "did not answer")
    found = restarts.read(tmp_path, 7)["gateway"]
    assert (found.count, found.why) == (2, "did not answer")
    assert restarts.read(tmp_path, 8) == {}
    assert restarts.read(tmp_path, None) == {}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1, "supervisord": 7, "programs": {"a": {"b": 1}}}'])
def test_an_unreadable_count_is_none(tmp_path: Path, content: str) -> None:
    path = restarts.path(tmp_path)
    path.parent.mkdir()
    path.write_text(content)
    assert restarts.read(tmp_path, 7) == {}
    Counter(tmp_path, 7).add("gateway", "x")
    assert restarts.read(tmp_path, 7)["gateway"].count == 1


def test_a_full_disk_does_not_end_the_watchdog(tmp_path: Path) -> None:
    (tmp_path / "watchdog").write_text("")
    Counter(tmp_path, 7).add("gateway", "x")
