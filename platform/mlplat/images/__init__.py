"""Images of the platform's own services: built from what mlplat brings, pushed to a stack's registry, pinned by digest.

Dockerfiles are in `files/`, requirements with hashes in `mlplat/environments`. What is built, its tag and
its reference are values that need neither a builder nor a registry; `builder` and `work` are the edge.
"""

from mlplat.images.catalogue import NAMES
from mlplat.images.lock import Lock, Locked, lock_file, read
from mlplat.images.references import LOCAL, missing, needed, reference, refuse_missing, tag, tagged

__all__ = [
    "LOCAL",
    "NAMES",
    "Lock",
    "Locked",
    "lock_file",
    "missing",
    "needed",
    "read",
    "reference",
    "refuse_missing",
    "tag",
    "tagged",
]
