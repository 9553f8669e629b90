"""The command line as a process of its own, and waiting: what end-to-end tests share."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

ROOT = Path(__file__).parents[2]
DATA = ROOT / ".cache" / "mlplat"
TRACEBACK = "Traceback (most recent call last)"
T = TypeVar("T")
PATIENCE = 4
"""By how much longer than on a quiet computer something may take: levels run side by side, on two cores."""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Mlplat:
    """The command line, in folders of its own."""

    folder: Path
    command: tuple[str, ...] = (sys.executable, "-m", "mlplat")
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLPLAT_")}
        self.env = {
            **kept,
            "MLPLAT_STATE_DIR": str(self.folder / "state"),
            "MLPLAT_CONFIG_DIR": str(self.folder / "config"),
            "MLPLAT_DATA_DIR": str(DATA),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **self.env,
        }

    def stack(self, **settings: Any) -> None:
        """Write the stack `local`: free ports, and what a test sets."""
        ports = free_ports(5)
        spec = {
            "name": "tests",
            "tracking": {"port": ports[0]},
            "gateway": {"port": ports[1], "admin_port": ports[2]},
            "controller": {"port": ports[3], "interval_seconds": 0.2},
            "serving": {"first_port": ports[4]},
        }
        path = self.folder / "stacks" / "Pulumi.local.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        # JSON is YAML.
        path.write_text(json.dumps({"config": {"mlplat:platform": merged(spec, settings)}}))

    def run(self, *argv: str, cwd: Path | None = None, timeout: float = 300, code: int | None = 0) -> Done:
        """Run a command to its end, and check its exit code unless that is None."""
        done = run([*self.command, *argv], cwd or self.folder, self.env, timeout, code)
        assert TRACEBACK not in done.err, done.err
        return done

    def start(self, *argv: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start a command and let it go on."""
        return subprocess.Popen(
            [*self.command, *argv],
            cwd=cwd or self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def pids(self) -> dict[str, int]:
        """Return the process ids of what runs, by name."""
        rows = self.run("status", "--json", code=None).json()
        return {row["name"]: row["pid"] for row in rows if row["pid"]}


def run(
    argv: Sequence[str],
    cwd: Path,
    env: dict[str, str],
    timeout: float,
    code: int | None,
    executable: str | None = None,
) -> Done:
    """Run a program to its end, and check its exit code unless that is None. `timeout` is of a quiet computer."""
    ended = subprocess.run(
        argv,
        executable=executable,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE * timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    done = Done(ended.returncode, ended.stdout, ended.stderr)
    told = f"{' '.join(argv[-6:])} ended with {done.code}\n{done.out}\n{done.err}"
    assert code is None or done.code == code, told
    return done


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay one nested map over another."""
    both = {key: merged(base[key], value) for key, value in over.items() if isinstance(base.get(key), dict)}
    return {**base, **over, **both}


PORTS = 200
"""Ports that a process of tests takes from; it gives them out in turn, and one that is in use is left out."""
ROOM = 20
"""What is left behind the ports of one caller, for model servers, and behind the last of all."""
FIRST, PROCESSES = 11_000, 95
"""They begin above what kubelet and kube-proxy take, and end below Kubernetes' ports of nodes. A computer of many cores
has a process of tests on each."""


def free_ports(count: int) -> list[int]:
    """Return loopback ports below the range that outgoing connections use, with room behind the last one.

    What was given out a moment ago is not given again: who got it may be starting, and not listen yet.
    """
    start, turn, _ = _own_ports()
    found: list[int] = []
    while len(found) < count:
        port = start + next(turn) % (PORTS - ROOM)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    for _ in range(ROOM if count > 1 else 0):
        next(turn)
    return found


@functools.cache
def _own_ports() -> tuple[int, Iterator[int], int]:
    """Return the first port of those that are this process of tests' alone, whose turn it is, and the lock on them."""
    for number in range(PROCESSES):
        place = (number + os.getpid()) % PROCESSES
        path = Path(tempfile.gettempdir(), f"mlplat-test-ports-{os.getuid()}-{place}")
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return FIRST + PORTS * place, itertools.count(), lock
        os.close(lock)
    raise AssertionError(f"{PROCESSES} processes of tests are running")


def has_ended(process: psutil.Process) -> bool:
    """Tell whether a process is no more; one that its parent has not asked for yet is none either."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        # It went between the two questions.
        return True


def until(condition: Callable[[], T], seconds: float = 60, what: str = "the condition") -> T:
    """Wait for a condition, failing after so many seconds of a quiet computer; return what it came to."""
    deadline = time.monotonic() + PATIENCE * seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {PATIENCE * seconds} s"
        time.sleep(0.1)
    return found


def is_gone(group: int) -> bool:
    """Tell whether no process of a group is left; those that were killed are there until somebody has taken note."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False
