"""Images of a stack as if somebody had pushed and locked them: digests that follow from their names."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from mlplat import images
from mlplat.images import Lock
from mlplat.images.lock import Locked
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import images as held


def locked(written: PlatformSpec) -> Lock:
    """Return a lock that has every image of a platform."""
    registry = written.kubernetes.images.registry or "111122223333.dkr.ecr.eu-west-1.amazonaws.com/mlplat"
    return Lock(
        images={
            name: Locked(reference=f"{registry}/{name}@sha256:{hashlib.sha256(name.encode()).hexdigest()}", tag="1")
            for name in images.NAMES
        }
    )


def given(written: PlatformSpec) -> AbstractContextManager[Any]:
    """Let a program find such a lock beside its stack file, whichever that is."""
    return mock.patch.object(held, "lock", return_value=locked(written))
