"""Waiting for services: ready is what a service answers, never that its process is there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import httpx

from mlplat.errors import NotReadyError
from mlplat.services import Http
from mlplat.supervision import Supervisor
from mlplat.targets.local.folders import log_file
from mlplat.targets.local.ports import Listening

POLL_SECONDS = 0.05
FAILED = ("FATAL", "EXITED", "BACKOFF")
GOOD = 400
LOG_LINES = 15


class Answering(Listening, Protocol):
    """Whatever says itself whether it is ready."""

    @property
    def ready(self) -> Http:
        """Where it says so."""


def address(service: Listening, port: str = "http") -> str:
    """Return the URL of one of a service's ports."""
    return f"http://127.0.0.1:{service.ports[port]}"


def is_ready(service: Answering, *, timeout: float = 2.0) -> bool:
    """Ask a service once whether it is ready, for at most `timeout` seconds."""
    url = address(service, service.ready.port) + service.ready.path
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=timeout, trust_env=False).status_code < GOOD
    return False


def wait(services: Iterable[Answering], supervisor: Supervisor, tell: Callable[[str, float], None]) -> None:
    """Wait until every service is ready, calling `tell(name, seconds)` for each one as it is.

    Raises `NotReadyError` with the end of its log for one whose process ends or that takes too long.
    """
    started, waiting = time.monotonic(), list(services)
    while waiting:
        for service in [service for service in waiting if is_ready(service)]:
            waiting.remove(service)
            tell(service.name, time.monotonic() - started)
        processes = supervisor.processes()
        for service in waiting:
            process = processes.get(service.name)
            if process is None or process.state in FAILED:
                raise _failure(service, "ended", process.detail if process else "no process", supervisor.state)
            if time.monotonic() - started > service.ready.timeout:
                raise _failure(service, "is not ready", f"after {service.ready.timeout:.0f} s", supervisor.state)
        time.sleep(POLL_SECONDS if waiting else 0)


def _failure(service: Answering, what: str, why: str, state: Path) -> NotReadyError:
    path = log_file(state, service.name)
    tail = path.read_text(errors="replace").splitlines()[-LOG_LINES:] if path.is_file() else []
    lines = "\n".join(f"  {line}" for line in tail)
    return NotReadyError(
        f"`{service.name}` {what}: {why}\n{lines}".rstrip(), hint=f"`mlplat logs {service.name}` prints all of its log"
    )
