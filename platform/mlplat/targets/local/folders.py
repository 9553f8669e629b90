"""Where a local platform keeps what it is and what it holds."""

from __future__ import annotations

from pathlib import Path

from mlplat.contracts import Foundation
from mlplat.files import state_dir
from mlplat.spec.platform import PlatformSpec

PLAN_FILE = "plan.json"
"""Says what a state folder is the state of."""
COMMAND_LOCK = "command.lock"
"""Held by one `up` or `down` at a time, from its first look to its end."""


def state_folder(spec: PlatformSpec, stack: str) -> Path:
    """Return the folder of one platform's stack, whatever folder the command was called in."""
    return state_dir() / spec.name / stack


def store_address(foundation: Foundation) -> str:
    """Return where endpoint documents are kept."""
    return f"sqlite:///{foundation.state}/endpoints.db"


def service_files(state: Path, service: str) -> Path:
    """Return the folder of what a service is given."""
    return state / "services" / service


def service_record(state: Path, service: str) -> Path:
    """Return the file that says what a service was last brought to."""
    return state / "services" / f"{service}.json"


def service_data(state: Path, service: str) -> Path:
    """Return the folder of what a service keeps."""
    return state / service


def log_file(state: Path, program: str) -> Path:
    """Return a program's log."""
    return state / "logs" / f"{program}.log"
