"""`make test` says all that a failed level says, fails with it, lets the others go on, and ends what it began."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from commands import ROOT, until

LEVELS = ("e2e", "node", "cluster", "engine", "lint", "types", "imports", "docs-check", "unit", "required")
SECONDS = 240


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout each of whose levels passes at once."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "levels.py", tmp_path / "scripts")
    makefile(tmp_path)
    return tmp_path


def makefile(folder: Path, **commands: str) -> None:
    """Write what each level does, which is to say its name unless it is told otherwise."""
    rules = [f"{level}:\n\t@{commands.get(level, f'echo this is {level}')}\n" for level in LEVELS]
    (folder / "Makefile").write_text("\n".join(rules))


def begun(folder: Path, *asked: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, folder / "scripts" / "levels.py", *asked],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "MAKEFLAGS": "--always-make -j4"},
    )


def test_every_level_runs_once_and_passes(checkout: Path) -> None:
    process = begun(checkout)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert [said.count(f"\nthis is {level}\n") for level in LEVELS] == [1] * len(LEVELS)


def test_a_failed_level_is_shown_whole_and_stops_no_other(checkout: Path) -> None:
    makefile(checkout, cluster="echo first; seq 1000; echo last >&2; false")
    process = begun(checkout)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "\n".join(["first", *map(str, range(1, 1001)), "last"]) in said
    assert "this is engine" in said
    assert "cluster  FAILED" in said.splitlines()[-1]


def test_only_what_is_asked_for_runs_and_an_unknown_one_is_refused(checkout: Path) -> None:
    said, _ = (process := begun(checkout, "lint")).communicate(timeout=SECONDS)
    assert (process.returncode, said.count("this is")) == (0, 1)
    said, _ = (process := begun(checkout, "lnit")).communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert "no level is called lnit" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_that_was_begun(checkout: Path, number: signal.Signals) -> None:
    waits = "echo $$$$ >$@.pid; exec sleep 1000"
    makefile(checkout, e2e=waits, unit=waits)
    process = begun(checkout)
    files = [checkout / f"{level}.pid" for level in ("e2e", "unit")]
    until(lambda: all(file.exists() and file.read_text().endswith("\n") for file in files), what="both levels")
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number
    assert not [file for file in files if psutil.pid_exists(int(file.read_text()))]
    assert not (checkout / ".cache" / "levels" / "node.log").exists(), "nothing begins after it"
