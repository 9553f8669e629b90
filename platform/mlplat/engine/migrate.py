"""A stack's state, moved from one backend to another.

The old one stays in force until the new one holds the same and the stack file says so: a move that is interrupted
before that has changed nothing but the new backend, and can be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlplat import deployment
from mlplat.engine import backend as backends
from mlplat.engine.binary import Binary
from mlplat.engine.stack import Say, Stack, begin, on
from mlplat.errors import RefusedError, StateError
from mlplat.files import write_atomic
from mlplat.spec.base import read_text
from mlplat.spec.platform import KEY
from mlplat.spec.rewrite import edit

CIPHERTEXT = "ciphertext"
"""Differs each time the same secret is encrypted."""


@dataclass(frozen=True)
class Moved:
    """What was moved."""

    resources: int
    source: str
    target: str


def migrate(source: Stack, url: str, say: Say, engine: Binary) -> Moved:
    """Copy a stack's state to the backend at `url`, verify it, make the stack file name that backend, mark the old one.

    Raises `RefusedError` for a stack that is locked, has operations that never ended, or is there already.
    """
    chosen = backends.of(source.spec, source.name, url)
    if chosen.url == source.backend.url:
        raise RefusedError(f"the stack's state is at {url} already")
    source.refuse_locked()
    state = source.state()
    if pending := state.get("pending_operations"):
        raise RefusedError(f"{len(pending)} operations never ended", hint="`mlplat state unlock` drops them")
    for line in chosen.prepare():
        say(line)
    target = _target(source, chosen, state, say, engine)
    _copy(source, target, state)
    _point(source.file, chosen.url)
    # From here on the new one is in force, and whoever still names the old one is told where it went.
    source.seal(f"{deployment.MOVED}{chosen.url}")
    return Moved(len(state.get("resources") or []), source.backend.url, chosen.url)


def _target(source: Stack, chosen: backends.Backend, state: dict[str, Any], say: Say, engine: Binary) -> Stack:
    args = (chosen, source.spec, source.name, source.file, say)
    target = on(*args, engine=engine)
    if target is None:
        return begin(*args, engine=engine)
    there = target.state()
    # Empty, or a copy of the same: what an interrupted move leaves.
    if there.get("resources") and known(there) != known(state):
        raise RefusedError(
            f"{chosen.url} has another stack `{source.name}` of this project", hint="choose another address"
        )
    return target


def _copy(source: Stack, target: Stack, state: dict[str, Any]) -> None:
    target.put(state)
    # Somebody may have worked on the old one in the meantime.
    if known(target.state()) != known(state) or known(source.state()) != known(state):
        raise StateError(
            f"{target.backend.url} does not hold what {source.backend.url} holds, so the latter stays in force",
            hint="run the command again",
        )


def known(state: dict[str, Any]) -> list[Any]:
    """Return what two states have to agree on: every resource with all it holds, but how its secrets are encrypted."""
    return sorted((_plain(each) for each in state.get("resources") or []), key=lambda each: str(each["urn"]))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key != CIPHERTEXT}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _point(file: Path, url: str) -> None:
    def change(document: Any) -> None:
        platform = document["config"][KEY]
        platform["engine"] = {**(platform.get("engine") or {}), "backend": url}

    write_atomic(file.resolve(), edit(read_text(file), change), mode=file.stat().st_mode & 0o777)
