"""A test node leaves this computer as it was, also when the tests are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import kubenode
from commands import ROOT, until
from kubeprocesses import run

REASON = kubenode.missing()
pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(
        REASON is not None and "node" not in os.environ.get("MLPLAT_REQUIRE", "").split(","), reason=str(REASON)
    ),
]
PROGRAM = """
import sys, time
from pathlib import Path
import kubenode
with kubenode.running(Path(sys.argv[1])):
    Path(sys.argv[1], "up").touch()
    time.sleep(600)
"""


def left(folder: Path) -> list[str]:
    """Return what there is of a node: programs, mounts, rules, control groups, its bridge."""
    found = [each for each in run(["ps", "-eo", "args"]).splitlines() if str(folder) in each and "pytest" not in each]
    found += [each for each in Path("/proc/mounts").read_text(encoding="utf-8").splitlines() if str(folder) in each]
    found += [each for each in run(["iptables-save"]).splitlines() if "KUBE-" in each]
    found += [str(each) for each in kubenode.groups()]
    return found + [each for each in run(["ip", "-br", "link"]).splitlines() if each.startswith(kubenode.BRIDGE)]


def test_nothing_is_left_of_a_node_whose_tests_were_killed(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "support"), str(ROOT / "platform")])}
    with (tmp_path / "log").open("wb") as log:
        tests = subprocess.Popen([sys.executable, "-c", PROGRAM, folder], env=env, stdout=log, stderr=log)
    try:
        until(lambda: (folder / "up").exists() or tests.poll() is not None, 120, "the node")
        assert tests.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
        assert len(left(folder)) > 10
    finally:
        tests.send_signal(signal.SIGKILL)
        tests.wait(timeout=30)
    until(lambda: not left(folder), 60, "an end of all that belongs to it")
