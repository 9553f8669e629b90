"""What lies below the services on one computer: folders, a database file, a clock. Nothing runs yet."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import mlplat
from mlplat.contracts import Foundation
from mlplat.errors import StateError
from mlplat.files import write_atomic, write_if_changed
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.local.folders import service_data, state_folder

CLOCK_FILE = "clock.json"
PLAN_FILE = "plan.json"
PLAN_VERSION = 1


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


def provision(spec: PlatformSpec, stack: str) -> Foundation:
    """Make the folders and set the clock; what is there stays. Raises `StateError` where nothing can be written."""
    made = foundation(spec, stack)
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
    """Write down what a state folder is the state of, for `doctor`, `down` and newer versions."""
    document = {
        "version": PLAN_VERSION,
        "mlplat": mlplat.__version__,
        "stack": stack,
        "spec": spec.model_dump(mode="json"),
        "foundation": asdict(made),
    }
    write_if_changed(Path(made.state) / PLAN_FILE, json.dumps(document, indent=2) + "\n", mode=0o600)


def _clock(spec: PlatformSpec, state: Path) -> str | None:
    # The anchor is the moment of the first `up` with this setting: a restart must not turn the clock back.
    if spec.clock is None:
        return None
    start = spec.clock.isoformat()
    try:
        kept: str = json.loads((state / CLOCK_FILE).read_text())["clock"]
    except (OSError, ValueError, KeyError):
        kept = ""
    return kept if kept.startswith(f"{start}=") else f"{start}={datetime.now(UTC).isoformat(timespec='seconds')}"
