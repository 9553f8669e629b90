from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

SCRIPT = """
import subprocess, sys, time
from pathlib import Path
from mlplat.cli.interrupts import in_order
from mlplat.locking import lock

with in_order("what was started stays"), lock(Path(sys.argv[1]), "mlplat up", timeout=0):
    installer = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    quiet = subprocess.DEVNULL
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    daemon = subprocess.Popen(sleep, start_new_session=True, stdout=quiet, stderr=quiet)
    print(installer.pid, daemon.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_and_its_installers_but_not_what_outlives_it(tmp_path: object, number: int) -> None:
    begun = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, f"{tmp_path}/lock"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert begun.stdout is not None
    installer, daemon = map(psutil.Process, map(int, begun.stdout.readline().split()))
    try:
        begun.send_signal(number)
        told = begun.communicate(timeout=60)[1]
        assert begun.returncode == 128 + number
        assert "interrupted: what was started stays\n" in told
        assert "Traceback" not in told
        psutil.wait_procs([installer], timeout=20)
        assert not installer.is_running()
        assert daemon.is_running()
    finally:
        daemon.kill()


def test_a_ctrl_c_while_models_are_built_waits_and_is_not_lost() -> None:
    """It came while pydantic compiled a pattern, which swallowed it, and `down` went on."""
    script = """
import os, signal
from mlplat.cli.interrupts import held

signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with held():
        os.kill(os.getpid(), signal.SIGINT)
        print("built", flush=True)
    print("went on")
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "built\ninterrupted\n"
