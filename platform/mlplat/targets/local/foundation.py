"""What lies below the services on one computer: folders, a database file, a clock. Nothing runs yet."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlplat
from mlplat.contracts import Foundation
from mlplat.errors import StateError
from mlplat.files import state_dir, write_atomic, write_if_changed, writing
from mlplat.locking import lock
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.local.folders import PLAN_FILE, service_data, state_folder
from mlplat.targets.local.ports import refuse_recorded

CLOCK_FILE = "clock.json"
PORTS_SECONDS = 30.0
"""Each platform here holds the lock of their ports for a moment only."""
PLAN_VERSION = 2
"""2: records of services, and a watchdog. A folder of version 1 is taken over as it is."""


class NewerStateError(StateError):
    """A state folder holds what only a newer mlplat understands."""


def foundation(spec: PlatformSpec, stack: str) -> Foundation:
    """Return the foundation as it will be, touching nothing."""
    state = state_folder(spec, stack)
    kept = service_data(state, "tracking")
    return Foundation(
        state=str(state),
        artifacts=str(kept / "artifacts"),
        database=f"sqlite:///{kept / 'mlflow.db'}",
        clock=_clock(spec, state),
    )


def provision(spec: PlatformSpec, stack: str, planned: Foundation | None = None) -> Foundation:
    """Make the folders and set the clock; what is there stays. Raises `StateError` where nothing can be written.

    A clock that is set for the first time begins when it was `planned`, as what was resolved since then says.
    """
    made = planned or foundation(spec, stack)
    state = Path(made.state)
    try:
        Path(made.artifacts).mkdir(parents=True, exist_ok=True)
        state.chmod(0o700)
        if made.clock:
            write_atomic(state / CLOCK_FILE, json.dumps({"clock": made.clock}) + "\n")
    except OSError as error:
        hint = "free some space there, or set MLPLAT_STATE_DIR to another folder"
        raise StateError(f"{state}: cannot be written: {error.strerror}", hint=hint) from error
    return made


def record(spec: PlatformSpec, stack: str, made: Foundation) -> None:
    """Write down what a state folder is the state of: for `doctor`, `down`, newer versions, and the ports it keeps.

    Raises `PortTakenError` when another platform has recorded one of them, `StateError` when it cannot be written.
    """
    document = {
        "version": PLAN_VERSION,
        "mlplat": mlplat.__version__,
        "stack": stack,
        "spec": spec.model_dump(mode="json"),
        "foundation": asdict(made),
    }
    path = Path(made.state) / PLAN_FILE
    with lock(state_dir() / "ports.lock", "mlplat", timeout=PORTS_SECONDS), writing(path.parent):
        refuse_recorded(spec, stack)
        write_if_changed(path, json.dumps(document, indent=2) + "\n", mode=0o600)


def read_record(state: Path) -> dict[str, Any] | None:
    """Return what a state folder says it is the state of; None for one that says nothing.

    Raises `StateError` for a record that is broken, `NewerStateError` for one that a newer mlplat wrote.
    """
    path = state / PLAN_FILE
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        version = int(document["version"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path}: cannot be read: {error}", hint="`mlplat up` writes it again") from error
    if version > PLAN_VERSION:
        writer = document.get("mlplat")
        raise NewerStateError(
            f"{path}: was written by a newer mlplat ({writer}; form {version}, this one knows {PLAN_VERSION})",
            hint=f"use mlplat {writer} here; nothing was changed",
        )
    return document


def refuse_newer(state: Path) -> str | None:
    """Raise `NewerStateError` for a folder that a newer mlplat has used; return what is wrong with a broken record."""
    try:
        read_record(state)
    except NewerStateError:
        raise
    except StateError as error:
        return error.message
    return None


def is_anchored(spec: PlatformSpec, stack: str) -> bool:
    """Tell whether a platform's clock no longer depends on the moment of the next `up`."""
    return spec.clock is None or _kept_clock(state_folder(spec, stack)).startswith(f"{spec.clock.isoformat()}=")


def _clock(spec: PlatformSpec, state: Path) -> str | None:
    # The anchor is the moment of the first `up` with this setting: a restart must not turn the clock back.
    if spec.clock is None:
        return None
    start, kept = spec.clock.isoformat(), _kept_clock(state)
    return kept if kept.startswith(f"{start}=") else f"{start}={datetime.now(UTC).isoformat(timespec='seconds')}"


def _kept_clock(state: Path) -> str:
    path, broken = state / CLOCK_FILE, None
    try:
        return str(json.loads(path.read_bytes())["clock"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        broken = error
    try:
        kept = read_record(state)
    except StateError:
        kept = None
    if kept is None and broken is not None:
        # Beginning anew would turn the platform's time back.
        raise StateError(
            f"{path}: cannot be read: {broken}",
            hint=f'write `{{"clock": "START=ANCHOR"}}` there as the connection document has it, or remove {path}'
            " to begin again at `clock` of the stack file",
        )
    return str((kept or {}).get("foundation", {}).get("clock") or "")
