"""The watchdog as supervisord runs it: beside the services, and like them from a copy of the code."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mlplat import environment
from mlplat.supervision import Process, Program
from mlplat.targets.local.folders import log_file
from mlplat.watchdog.listener import EVENTS

NAME = "watchdog"
OWNER = "watchdog"


def program(state: Path, code: Path) -> Program:
    """Return its program, which runs the copy of mlplat's code at `code`. Makes nothing."""
    return Program(
        name=NAME,
        argv=(
            str(environment.service_folder("platform") / "bin" / "python"),
            *("-m", "mlplat.watchdog", "--state", str(state)),
        ),
        env={"PYTHONPATH": str(code), "PYTHONUNBUFFERED": "1"},
        directory=str(state),
        log=str(log_file(state, NAME)),
        log_bytes=1_000_000,
        log_backups=1,
        stop_seconds=2,
        events=EVENTS,
    )


def is_awake(process: Process | None) -> bool:
    """Tell whether the watchdog runs and is not stopped; a pass of its own that hangs ends it."""
    import psutil

    if process is None or not process.pid:
        return False
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(process.pid).status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE))
    return False
