"""Runs as they are recorded in a project: one folder each, numbered from 1.

A folder holds `run.json` (the record), `log.txt` (all the flow's output), `result.json` (written by the flow) and
`metaflow-run` (Metaflow's own number). A run goes on when the command that started it was killed, so whether it is
alive is asked of its process, known by number and by when it started, counted from the computer's own start: nobody
sets that clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

import mlplat
from mlplat.boot import boot
from mlplat.errors import MlplatError, StateError, UsageError
from mlplat.files import write_atomic
from mlplat.uptime import age, uptime

FOLDER = ".mlplat/runs"
RESULT = "MLPLAT_RESULT"
"""Variable that every process of a run has: where it writes its result, and what it is known by."""
SAME_SECONDS = 1.0
"""By which two looks at when a process started may differ."""

Status = Literal["running", "registered", "done", "refused", "failed", "cancelled", "interrupted"]
"""`done` is a flow that registers nothing; `interrupted` one whose process vanished without a result."""


@dataclass(frozen=True)
class Record:
    """What is known of a run, apart from its result."""

    id: int
    flow: str
    arguments: list[str]
    """What the flow was given, as `mlplat run` words."""
    platform: str
    stack: str
    started: str
    """UTC, ISO 8601, by this computer's clock."""
    status: Status = "running"
    seconds: float | None = None
    exit_code: int | None = None
    pid: int | None = None
    """Leader of the run's process group."""
    pid_started: float | None = None
    """Seconds from the computer's start to its own; of a run without `boot`, seconds since the epoch."""
    boot: str | None = None
    """Which start of the computer."""
    starter: int | None = None
    """Process that began the run."""
    starter_started: float | None = None
    key: str = ""
    """What is registered carries it, so that a run which goes on from this one registers nothing twice."""
    origin: int | None = None
    """Run that this one goes on from."""
    mlplat: str = mlplat.__version__
    version: int = 1


def home(result: Path) -> Path:
    """Return the folder whose run writes its result to this file."""
    return result.parents[3]


@dataclass(frozen=True)
class Run:
    """One recorded run and its folder."""

    folder: Path
    record: Record = field(compare=False)

    @property
    def home(self) -> Path:
        """The folder whose run it is: a project's, or one of its own."""
        return home(self.result_file)

    @property
    def log(self) -> Path:
        """The flow's whole output."""
        return self.folder / "log.txt"

    @property
    def result_file(self) -> Path:
        """Where the flow writes its result."""
        return self.folder / "result.json"

    @property
    def metaflow_file(self) -> Path:
        """Where Metaflow writes its number of the run."""
        return self.folder / "metaflow-run"

    @property
    def cancel_file(self) -> Path:
        """There when somebody asked for the run's end."""
        return self.folder / "cancel"

    @property
    def metaflow_id(self) -> str | None:
        """Metaflow's number of the run; None before it started."""
        return self.metaflow_file.read_text().strip() if self.metaflow_file.exists() else None

    def result(self) -> dict[str, Any] | None:
        """Return what the flow reported; None when it reported nothing. Raises `MlplatError` when that is no JSON."""
        try:
            read = json.loads(self.result_file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise MlplatError(
                f"{self.result_file}: is no JSON: {error}",
                hint=f"remove it: what the run came to stands in {self.log} as well",
            ) from error
        if not isinstance(read, dict):
            raise MlplatError(f"{self.result_file}: holds no result", hint=f"remove it; {self.log} says the same")
        return read

    def save(self, **changes: Any) -> Run:
        """Record changes; return the run with them."""
        record = replace(self.record, **changes)
        write_atomic(self.folder / "run.json", json.dumps(asdict(record), indent=2) + "\n")
        return Run(self.folder, record)

    def process(self) -> psutil.Process | None:
        """Return the run's process while it lives, or one of its tasks that has outlived it."""
        record = self.record
        if record.status != "running":
            return None
        with contextlib.suppress(psutil.Error):
            if record.pid is not None and is_same(record.pid, record.pid_started, record.boot):
                process = psutil.Process(record.pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    return process
        return self._left()

    def _left(self) -> psutil.Process | None:
        """Return a process of the run that is known by its environment alone.

        There is one when the starter was killed before it wrote the number down, and when the run's own was killed.
        """
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(RESULT) == str(self.result_file):
                    return process
        return None

    def started_as(self, pid: int) -> Run:
        """Record the run's process."""
        return self.save(pid=pid, pid_started=_started(pid), boot=boot())

    def settled(self) -> Run:
        """Return the run with the status it has by now, should whoever started it have gone before it ended."""
        record = self.record
        if record.status != "running":
            return self
        if self.process():
            return self
        if record.pid is None and record.starter and is_same(record.starter, record.starter_started, record.boot):
            return self
        return self.save(status=ended(self, None))


def is_same(pid: int, started: float | None, of_boot: str | None) -> bool:
    """Tell whether a process is the one that was recorded, and not another that has got its number."""
    if of_boot is None:  # as mlplat 0.1 wrote it
        return (
            abs(psutil.Process(pid).create_time() - (started or 0)) < SAME_SECONDS if psutil.pid_exists(pid) else False
        )
    now = _started(pid)
    return of_boot == boot() and now is not None and abs(now - (started or 0)) < SAME_SECONDS


def _started(pid: int) -> float | None:
    lived = age(pid)
    return None if lived is None else uptime() - lived


def ended(run: Run, exit_code: int | None) -> Status:
    """Judge a run that is over: by whether its end was asked for, by its own result, then by its exit code if known."""
    if run.cancel_file.exists():
        return "cancelled"
    told = (run.result() or {}).get("status")
    if told in ("refused", "failed") or (told == "registered" and not exit_code):
        return told  # type: ignore[no-any-return]  # one of the words just compared with
    if exit_code is None:
        return "interrupted"
    return "failed" if exit_code else "done"


UNFINISHED: tuple[Status, ...] = ("refused", "failed", "cancelled", "interrupted")
"""Metaflow can go on from these."""


class Runs:
    """All runs of a project."""

    def __init__(self, project: Path) -> None:
        self._folder = project / FOLDER

    def begin(
        self, flow: str, arguments: list[str], *, platform: str, stack: str, origin: Run | None = None, key: str = ""
    ) -> Run:
        """Record a new run under the next number; of two at once each gets its own.

        What it registers bears `key`, or else the key of the run that it goes on from, or one of its own.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        number = max(self._numbers(), default=0) + 1
        while True:
            try:
                (self._folder / str(number)).mkdir()
                break
            except FileExistsError:
                number += 1
        started = datetime.now(UTC).isoformat(timespec="seconds")
        record = Record(
            number, flow, arguments, platform=platform, stack=stack, started=started,
            boot=boot(), starter=os.getpid(), starter_started=_started(os.getpid()),
            key=key or (origin.record.key if origin else "") or uuid.uuid4().hex,
            origin=origin.record.id if origin else None,
        )  # fmt: skip
        return Run(self._folder / str(number), record).save()

    def all(self, damaged: Callable[[MlplatError], None] | None = None) -> list[Run]:
        """Return every run, the newest first.

        A run whose files cannot be read is left out and told to `damaged`; without it that is raised.
        """
        found = []
        for number in sorted(self._numbers(), reverse=True):
            try:
                run = self._read(number)
                if run:
                    found.append(run.settled())
                    run.result()
            except MlplatError as error:
                if damaged is None:
                    raise
                damaged(error)
                found = [each for each in found if each.record.id != number]
        return found

    def get(self, number: int) -> Run:
        """Return a run. Raises `UsageError` when there is none of that number."""
        run = self._read(number)
        if run is None:
            raise UsageError(f"there is no run {number} in {self._folder}", hint="`mlplat run list` lists them")
        return run.settled()

    def last_unfinished(self, flow: str | None = None) -> Run:
        """Return the newest run (of one flow or any) that Metaflow can go on from. Raises `UsageError` without one."""
        for run in self.all(damaged=lambda _: None):
            if flow in (None, run.record.flow) and run.metaflow_id and run.record.status in UNFINISHED:
                return run
        of = f" of `{flow}`" if flow else ""
        raise UsageError(
            f"no failed run{of} is left to go on from", hint=f"start a new one with `mlplat run {flow or 'train'}`"
        )

    def unfinished(self, number: int) -> Run:
        """Return a run that Metaflow can go on from. Raises `UsageError` when it cannot, with why."""
        run = self.get(number)
        if run.record.status not in UNFINISHED or run.record.status == "refused":
            hints = {"running": f"`mlplat run cancel {number}` ends it", "refused": "change something and start anew"}
            hint = hints.get(run.record.status, f"`mlplat run {run.record.flow}` starts a new one")
            raise UsageError(f"run {number} is {run.record.status}: there is nothing to go on from", hint=hint)
        if not run.metaflow_id:
            raise UsageError(f"run {number} ended before its first step", hint=f"`mlplat run {run.record.flow}`")
        return run

    def _numbers(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return [int(entry.name) for entry in self._folder.iterdir() if entry.name.isdecimal()]

    def _read(self, number: int) -> Run | None:
        folder = self._folder / str(number)
        try:
            return Run(folder, Record(**json.loads((folder / "run.json").read_bytes())))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise StateError(
                f"{folder / 'run.json'}: is damaged: {error}",
                hint=f"remove {folder}: what the run registered stays registered",
            ) from error
