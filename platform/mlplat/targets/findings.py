"""What `mlplat doctor` says of one thing that it looked at, alike on every target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    said: str
    """What was seen."""
    mend: str | None = None
