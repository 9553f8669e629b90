from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlplat import locking
from mlplat.errors import StateError
from mlplat.locking import held, lock

HOLD = (
    "import sys, time; from pathlib import Path; from mlplat.locking import lock\n"
    "with lock(Path(sys.argv[1]), 'mlplat up', timeout=1): print('held', flush=True); time.sleep(600)"
)


def holding(path: Path) -> subprocess.Popen[str]:
    """Start a process that holds a lock, and return when it does."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_who_waits_is_told_for_whom_and_since_when(tmp_path: Path) -> None:
    path, told = tmp_path / "lock", list[str]()
    with holding(path) as process:
        shown = rf"mlplat up \(pid {process.pid}\) since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d.*, \d+ s ago"
        with pytest.raises(StateError, match=shown), lock(path, "x", timeout=0.1, waiting=told.append):
            pass
        assert len(told) == 1
        assert re.fullmatch(f"waiting for {shown}", told[0])
        assert re.fullmatch(shown, str(held(path)))
        process.kill()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holding(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert held(path) is None
        with lock(path, "x", timeout=0):
            assert f"(pid {os.getpid()})" in str(held(path))
    assert held(path) is None


def test_a_lock_whose_folder_was_removed_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    with lock(path, "mlplat down", timeout=0):
        shutil.rmtree(path.parent)
        with lock(path, "mlplat up", timeout=0):
            assert "mlplat up" in str(held(path))


def test_a_clock_that_was_set_back_gives_no_negative_age(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(json.dumps({"who": "x", "pid": 1, "since": "2031-01-01", "uptime": 1e12}))
    assert locking.holder(path) == "x (pid 1) since 2031-01-01, 0 s ago"


@pytest.mark.parametrize("content", ["", "{", "[]", "x (pid 1)\n", '{"who": 1}'])
def test_an_unreadable_signature_does_no_harm(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lock"
    path.write_text(content)
    assert locking.holder(path) == "another process"
    with lock(path, "x", timeout=0):
        pass


def test_a_full_disk_does_not_keep_anybody_from_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with lock(tmp_path / "lock", "x", timeout=0):
        assert held(tmp_path / "lock") == "another process"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StateError, match="cannot be written") as caught,
        lock(tmp_path / "file" / "lock", "x", timeout=0),
    ):
        pass
    assert "MLPLAT_STATE_DIR" in str(caught.value.hint)
