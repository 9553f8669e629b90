from __future__ import annotations

from pathlib import Path

import pytest

from typed import mlplat


def test_what_means_nothing_on_this_computer_is_refused_before_anything_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stacks").mkdir()
    written = "config: {'mlplat:platform': {version: 2, teams: {flights: {}}, cost: {}}}\n"
    (tmp_path / "stacks" / "Pulumi.local.yaml").write_text(written)
    assert mlplat("up") == (
        "exit 2\n--- stdout\n--- stderr\n"
        "error: stack local: teams: means nothing to the target `local`: this computer is all there is\n"
        "error: stack local: cost: means nothing to the target `local`: it costs nothing\n"
        "hint: remove it, or choose another target\n"
    )
