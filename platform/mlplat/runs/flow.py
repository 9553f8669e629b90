"""How a project's flow is called: the command and its variables, as values."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlplat import clock, environment
from mlplat.contracts import FEATURES, Connection
from mlplat.errors import UsageError
from mlplat.runs.store import RESULT, Run, home

FLOWS = "flows"
METAFLOW = ".metaflow"
"""Where Metaflow keeps what steps hand on, beside the runs' records. It would take the nearest one above."""


@dataclass(frozen=True)
class Request:
    """What a person wants of a flow."""

    flow: str
    until: str | None = None
    sample: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Values by dotted key of mlplat.yaml, for this run only."""
    dates: Mapping[str, str] = field(default_factory=dict)
    """`train-start`, `train-end`, `holdout-start`, `holdout-end`: exact dates instead of `until`'s."""
    step: str | None = None
    """Step from which the last failed run goes on, with that run's parameters."""
    resumes: bool = False
    """Whether a run goes on behind the steps that it has finished."""
    origin: int | None = None
    """Which one, or the newest that did not end well."""
    version: str | None = None
    """Version that a monitor looks at instead of the one that serves."""
    snapshot: str | None = None
    """Hash of a training set to train on again, instead of reading the source."""
    rows: tuple[str, str] | None = None
    """Two times: a monitor looks at the project's own rows between them, instead of the prediction log."""

    def values(self) -> dict[str, Any]:
        """Return the flow's own parameters: only what was asked for, since a flow need not have all of them."""
        wanted = {
            "until": self.until,
            "sample": self.sample,
            "snapshot": self.snapshot,
            "version": self.version,
            **self.dates,
        }
        if self.rows:
            wanted["rows"] = "/".join(self.rows)
        if self.overrides:
            wanted["set-json"] = json.dumps(dict(self.overrides), sort_keys=True)
        return {name: value for name, value in wanted.items() if value is not None}

    def options(self) -> list[str]:
        """Return them as options."""
        return [part for name, value in self.values().items() for part in (f"--{name}", str(value))]


def find(project: Path, flow: str) -> Path:
    """Return a flow's file. Raises `UsageError` with the flows there are."""
    path = project / FLOWS / f"{flow}.py"
    if not path.is_file():
        known = sorted(each.stem for each in (project / FLOWS).glob("[!_]*.py"))
        listed = ", ".join(f"`{each}`" for each in known) or "none"
        raise UsageError(f"there is no flow `{flow}` in {project / FLOWS}", hint=f"flows here: {listed}")
    return path


def check_time(text: str | None, option: str) -> None:
    """Raise `UsageError` unless a date or time can be read."""
    try:
        clock.moment(text or "2000-01-01")
    except ValueError as error:
        raise UsageError(f"{option}: `{text}` is no date", hint="write it as 2013-04-01 (ISO 8601)") from error


def command(python: Path, file: Path, request: Request, run: Run, origin: str | None) -> list[str]:
    """Return the command of a run under Metaflow; with `origin`, the one that goes on from that Metaflow run."""
    base = [str(python), str(file), "--no-pylint", "--datastore", "local", "--metadata", "local"]
    number = ["--run-id-file", str(run.metaflow_file)]
    if request.step or request.resumes:
        return [*base, "resume", *([request.step] if request.step else []), "--origin-run-id", str(origin), *number]
    return [*base, "run", *number, *request.options()]


def debug_command(python: Path, package: str, request: Request) -> list[str]:
    """Return the command of the same steps in one process, which the debugger can stop."""
    return [str(python), "-m", package, request.flow, *request.options(), "--pdb"]


def variables(
    connection: Connection, python: Path, *, result: Path, key: str = "", marks: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of a run; `key` and `marks`, by variable, are written down with what it registers.

    Settings of Metaflow that lie around (a profile, another datastore) do not reach it; its own MLflow and loopback
    addresses never go through a proxy.
    """
    kept = {name: value for name, value in environment.inherited().items() if not name.startswith("METAFLOW_")}
    direct = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), "127.0.0.1", "localhost"]))
    timed = {clock.VARIABLE: connection.clock} if connection.clock else {}
    own = {
        "MLFLOW_TRACKING_URI": connection.tracking,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # A server that was killed is back within seconds: it is asked again for half a minute.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": kept.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5"),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": kept.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
        "DO_NOT_TRACK": "1",
        "METAFLOW_USER": _user(),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home(result)),
        "METAFLOW_HOME": str(result.parent / "no-metaflow-settings"),
        FEATURES: connection.features or "",
        "MLPLAT_PLATFORM": connection.platform,
        "MLPLAT_STACK": connection.stack,
        RESULT: str(result),
        "MLPLAT_RUN": key,
        **(marks or {}),
        "NO_PROXY": direct,
        "no_proxy": direct,
        "PATH": os.pathsep.join([str(python.parent), kept.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": str(python.parents[1]),
    }
    return {**kept, **timed, **own}


def _user() -> str:
    """Return a name for Metaflow, which refuses to run without one and takes `root` for none."""
    try:
        name = os.environ.get("METAFLOW_USER") or getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without an entry
        name = ""
    return "mlplat" if name in ("", "root") else name
