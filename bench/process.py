"""Server processes: started on a free port of loopback, waited for, weighed, and ended with all they started."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from mlplat.environment import inherited
from mlplat.errors import NotReadyError

READY_SECONDS = 90
LOOK_SECONDS = 0.02
STOP_SECONDS = 10
TAIL_LINES = 15


@dataclass(frozen=True)
class Command:
    """How a server is started."""

    argv: Sequence[str]
    ready: str
    """URL that answers with success once requests are."""
    directory: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    process: psutil.Process
    ready_seconds: float
    """From its start to its first successful answer."""

    def tree(self) -> list[psutil.Process]:
        """Return its processes."""
        return [self.process, *self.process.children(recursive=True)]


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nothing listens on now."""
    with contextlib.ExitStack() as held:
        taken = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]


@contextlib.contextmanager
def running(name: str, command: Command, log: Path) -> Iterator[Running]:
    """Run a server for as long as the context lasts. Raises `NotReadyError` with the end of its log."""
    started = time.perf_counter()
    with log.open("wb") as output:
        child = subprocess.Popen(
            command.argv,
            cwd=command.directory,
            env={**inherited(), **command.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = psutil.Process(child.pid)
    try:
        _wait(name, child, command.ready, log)
        yield Running(process, time.perf_counter() - started)
    finally:
        end(process)
        child.wait()


def end(process: psutil.Process) -> None:
    """End a process and all it started, by their ids: asked first, then made."""
    with contextlib.suppress(psutil.NoSuchProcess):
        processes = [process, *process.children(recursive=True)]
        for each in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.terminate()
        for each in psutil.wait_procs(processes, timeout=STOP_SECONDS)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def memory(processes: Iterable[psutil.Process]) -> int:
    """Return the bytes of some processes, pages that several use counted once (proportional set size; Linux).

    Where the system does not tell that, it is what each has for itself.
    """
    total = 0
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            full = each.memory_full_info()
            total += getattr(full, "pss", full.uss)
    return total


def _wait(name: str, child: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with httpx.Client(trust_env=False, timeout=2) as http:
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise NotReadyError(f"{name} ended with {child.returncode}:\n{_tail(log)}")
            with contextlib.suppress(httpx.HTTPError):
                if http.get(url).is_success:
                    return
            time.sleep(LOOK_SECONDS)
    raise NotReadyError(f"{name} was not ready within {READY_SECONDS} s:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
