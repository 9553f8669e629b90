from __future__ import annotations

import subprocess
import sys

from mlplat.boot import boot


def test_all_processes_know_one_start_of_the_computer() -> None:
    script = "from mlplat.boot import boot; print(boot())"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert boot() == other.strip() != ""
