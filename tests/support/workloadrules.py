"""What holds for the documents of every service that runs on a cluster, whoever made them.

A rule looks at all documents together and yields where it is broken, and why. `broken` asks them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import workloadedges  # noqa: F401 - enters its rules
import workloadpods
from workloadbase import RULES, SERVICE
from workloads import Document

__all__ = ["IN_PRODUCTION", "RULES", "SERVICE", "broken"]
IN_PRODUCTION = {workloadpods.images_have_digests.__name__}
"""Rules that development may break."""


def broken(found: Sequence[Document], *, production: bool = False) -> list[str]:
    """Return what the rules find: `<rule>: <where>: <why>`."""
    asked = {name: each for name, each in RULES.items() if production or name not in IN_PRODUCTION}
    return [f"{name}: {at}: {why}" for name, each in asked.items() for at, why in each(found)]
