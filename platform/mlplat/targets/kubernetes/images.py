"""References of a stack's images, for its services: by digest where they are locked."""

from __future__ import annotations

from pathlib import Path

import pulumi

from mlplat import images
from mlplat.images import Lock
from mlplat.spec.platform import PlatformSpec, stack_file


def lock(stack: str) -> Lock:
    """Return the lock beside a stack's file; an empty one where there is none."""
    found = stack_file(stack, Path.cwd())
    return images.read(images.lock_file(found)) if found else Lock()


def references(spec: PlatformSpec, stack: str) -> dict[str, str]:
    """Return the reference of each image that a stack needs. Raises `RefusedError` where production lacks one."""
    held = lock(stack)
    return {name: images.reference(spec, name, held) for name in images.needed(spec)}


def of_account(spec: PlatformSpec, stack: str) -> dict[str, str]:
    """Return likewise for a stack that makes its own registry: none at all until the first image is locked.

    The first `up` makes the registry to which they are pushed, so it cannot ask for them.
    """
    if lock(stack).images:
        return references(spec, stack)
    pulumi.log.warn(
        "no image is locked yet, so the platform's own services are left out. Once this is up:"
        f" `mlplat images build -s {stack}`, `mlplat images push -s {stack}`, and `mlplat up -s {stack}` again"
    )
    return {}
