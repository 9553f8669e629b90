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


def test_what_the_handler_needs_is_there_before_a_signal_can_come() -> None:
    """It came while the body imported psutil, and the handler found half of that."""
    script = "import sys\nfrom mlplat.cli.interrupts import in_order\nwith in_order(''): print('psutil' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_a_ctrl_c_while_the_command_line_is_imported_shows_no_half_of_it() -> None:
    script = """
import os, signal, sys
from mlplat.__main__ import main

class Looks:
    def find_spec(self, name, path, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Looks())
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_later_a_ctrl_c_is_said_again() -> None:
    script = """
import os, signal
from mlplat import cli
from mlplat.__main__ import main

cli.cli.main = lambda **_: os.kill(os.getpid(), signal.SIGINT)
try:
    main()
except KeyboardInterrupt:
    print("raised")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "raised\n"
