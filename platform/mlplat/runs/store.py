"""Runs as they are recorded in a project: one folder each, numbered from 1.

A folder holds `run.json` (the record), `log.txt` (all the flow's output), `result.json` (written by the flow) and
`metaflow-run` (Metaflow's own number). A run goes on when the command that started it was killed, so whether it is
alive is asked of its process, known by number and start time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

import mlplat
from mlplat.errors import MlplatError, UsageError
from mlplat.files import write_atomic

FOLDER = ".mlplat/runs"

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
    mlplat: str = mlplat.__version__
    version: int = 1


@dataclass(frozen=True)
class Run:
    """One recorded run and its folder."""

    folder: Path
    record: Record = field(compare=False)

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
            raise MlplatError(f"{self.result_file}: is no JSON: {error}") from error
        return read if isinstance(read, dict) else None

    def save(self, **changes: Any) -> Run:
        """Record changes; return the run with them."""
        record = replace(self.record, **changes)
        write_atomic(self.folder / "run.json", json.dumps(asdict(record), indent=2) + "\n")
        return Run(self.folder, record)

    def process(self) -> psutil.Process | None:
        """Return the run's process while it lives."""
        if self.record.pid is None or self.record.status != "running":
            return None
        try:
            process = psutil.Process(self.record.pid)
            same = abs(process.create_time() - (self.record.pid_started or 0)) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    def settled(self) -> Run:
        """Return the run with the status it has by now, should whoever started it have gone before it ended."""
        if self.record.status != "running" or self.record.pid is None or self.process():
            return self
        return self.save(status=ended(self, None))


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


class Runs:
    """All runs of a project."""

    def __init__(self, project: Path) -> None:
        self._folder = project / FOLDER

    def begin(self, flow: str, arguments: list[str], *, platform: str, stack: str) -> Run:
        """Record a new run under the next number; of two at once each gets its own."""
        self._folder.mkdir(parents=True, exist_ok=True)
        number = max(self._numbers(), default=0) + 1
        while True:
            try:
                (self._folder / str(number)).mkdir()
                break
            except FileExistsError:
                number += 1
        started = datetime.now(UTC).isoformat(timespec="seconds")
        record = Record(number, flow, arguments, platform=platform, stack=stack, started=started)
        return Run(self._folder / str(number), record).save()

    def all(self) -> list[Run]:
        """Return every run, the newest first."""
        found = (self._read(number) for number in sorted(self._numbers(), reverse=True))
        return [run.settled() for run in found if run]

    def get(self, number: int) -> Run:
        """Return a run. Raises `UsageError` when there is none of that number."""
        run = self._read(number)
        if run is None:
            raise UsageError(f"there is no run {number} in {self._folder}", hint="`mlplat run list` lists them")
        return run.settled()

    def last_unfinished(self, flow: str) -> Run:
        """Return the newest run of a flow when Metaflow can go on from it. Raises `UsageError` without one."""
        for run in self.all():
            if (
                run.record.flow == flow
                and run.metaflow_id
                and run.record.status not in ("running", "registered", "done")
            ):
                return run
        raise UsageError(
            f"no failed run of `{flow}` is left to go on from", hint=f"start a new one with `mlplat run {flow}`"
        )

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
            raise MlplatError(
                f"{folder / 'run.json'}: {error}", hint=f"remove {folder} if the run is not needed"
            ) from error
