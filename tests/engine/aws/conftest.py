"""The engine's tests on an emulated account: one moto server for all of them, which holds an account for each stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import awsengine


@pytest.fixture(scope="session")
def emulation() -> Iterator[awsengine.Emulation]:
    """Return a running emulation."""
    with awsengine.emulation() as running:
        yield running
