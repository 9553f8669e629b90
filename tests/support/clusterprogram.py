"""The program of stacks that put the layer on a cluster, captured without an engine and without a cluster."""

from __future__ import annotations

import functools
from typing import Any

import awsprogram
import capture
from mlplat.spec.platform import PlatformSpec

STACKS = ("staging",)
CHARTS = ("kubernetes:helm.sh/v3:Release",)
"""What holds objects that nobody here has seen."""


@functools.cache
def spec(stack: str) -> PlatformSpec:
    """Return what a stack file says."""
    return awsprogram.spec(stack)


@functools.cache
def graph(stack: str) -> capture.Graph:
    """Return what the program declares for one of this repository's stacks."""
    return awsprogram.graph(stack)


def of(written: PlatformSpec, stack: str = "staging", **config: Any) -> capture.Graph:
    """Return what the program declares for any platform, its images locked and definitions kept."""
    return awsprogram.of(written, stack, **config)


def documents(graph: capture.Graph) -> list[dict[str, Any]]:
    """Return every Kubernetes object of a graph as the API server would get it, in the order of its declaration."""
    return [
        {key: value for key, value in each.inputs.items() if not key.startswith("__")}
        for each in graph
        if each.type.startswith("kubernetes:") and each.type not in CHARTS and "apiVersion" in each.inputs
    ]
