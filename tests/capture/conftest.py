"""What the proofs over captured graphs share."""

from __future__ import annotations

import pytest

import awsstacks
from capture import Graph


@pytest.fixture(params=awsstacks.STACKS)
def graph(request: pytest.FixtureRequest) -> Graph:
    """Return each stack's graph in turn."""
    return awsstacks.graph(request.param)
