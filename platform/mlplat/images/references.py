"""What a stack's images are called, and whether it may run yet."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mlplat.errors import RefusedError
from mlplat.images import catalogue, context
from mlplat.images.lock import Lock, lock_file, read
from mlplat.services.cluster import standing
from mlplat.spec.platform import PlatformSpec

LOCAL = "localhost/mlplat"
"""Begins the name of an image that is in no registry: no node ever looks for it on another computer."""


def tag(spec: PlatformSpec, name: str) -> str:
    """Return the tag of an image as this mlplat builds it for a stack. Raises `UsageError` for an unknown image."""
    images = spec.kubernetes.images
    return _tag(name, images.base, images.platform)


@cache
def _tag(name: str, base: str, platform: str) -> str:
    # Once: while it runs, a program is of one mlplat, also where somebody edits the checkout.
    return context.tag(catalogue.find(name), base, platform)


def tagged(spec: PlatformSpec, name: str, registry: str | None = None) -> str:
    """Return registry, name and tag of an image; `registry` is the account's own on a cloud."""
    return f"{registry or spec.kubernetes.images.registry or LOCAL}/{name}:{tag(spec, name)}"


def reference(spec: PlatformSpec, name: str, lock: Lock | None = None, *, registry: str | None = None) -> str:
    """Return the reference by which nodes pull an image: with its digest where it is locked, otherwise by its tag.

    Raises `RefusedError` for one that is not locked on a stack that is production, `UsageError` for an unknown one.
    """
    catalogue.find(name)
    locked = lock.images.get(name) if lock else None
    if locked:
        return locked.reference
    if spec.kubernetes.production:
        raise _refusal([name])
    return tagged(spec, name, registry)


def needed(spec: PlatformSpec) -> tuple[str, ...]:
    """Return the images that a stack's services run in: Feast's only where there is a database for it."""
    has_features = standing.has_database(spec, "features")
    return tuple(name for name in catalogue.NAMES if name != "features" or has_features)


def missing(spec: PlatformSpec, lock: Lock) -> tuple[str, ...]:
    """Return the images of a stack that are not locked as this mlplat builds them."""
    found = {name: locked.tag for name, locked in lock.images.items()}
    return tuple(name for name in needed(spec) if found.get(name) != tag(spec, name))


def refuse_missing(spec: PlatformSpec, stack_file: Path) -> None:
    """Raise `RefusedError` for a stack that is production and lacks an image, or has one of another mlplat.

    Not for one without any whose registry its own first `up` makes: its services come with the next.
    """
    lock = read(lock_file(stack_file))
    is_first = spec.target == "aws" and spec.kubernetes.images.registry is None and not lock.images
    if spec.kubernetes.production and not is_first and (names := missing(spec, lock)):
        stack = stack_file.name.removeprefix("Pulumi.").removesuffix(".yaml")
        raise _refusal(list(names), stack, lock_file(stack_file))


def _refusal(names: list[str], stack: str = "STACK", file: Path | None = None) -> RefusedError:
    which = ", ".join(f"`{name}`" for name in names)
    where = f"{file}: has" if file else "the lock of the stack's images has"
    return RefusedError(
        f"{where} no digest of {which} as this mlplat builds {'them' if len(names) > 1 else 'it'}",
        hint=f"run `mlplat images build -s {stack}` and `mlplat images push -s {stack}`, or, if somebody else pushed,"
        f" `mlplat images lock -s {stack}`; `kubernetes.production: false` does without digests",
    )
