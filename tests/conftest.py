"""What every test stands on: folders of its own, and no network but loopback."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from commands import DATA, free_ports

# What a module or a session sets up is made before any test's own folders: not among those of whoever runs this.
os.environ.setdefault("MLPLAT_DATA_DIR", str(DATA))
pytest_plugins = ["conformancefixtures"]
# A busy computer is no failure, and the same examples everywhere are one less reason for a check to differ. It is set
# here since a test takes the profile that is there when its module is read: one of a folder came too late for others.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
FOLDERS = {
    "e2e": ("e2e", "conformance"),
    "engine": ("engine", "conformance"),
    "cluster": ("cluster", "engine", "conformance"),
    "node": ("node",),
}
"""Where the Makefile looks for a level's tests: to read all the others takes longer than some levels do."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that its level would not find."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        lost = [level for level, own in FOLDERS.items() if item.get_closest_marker(level) and folder not in own]
        if lost:
            raise pytest.UsageError(
                f"{item.nodeid} is of {lost[0]}, whose tests are in {' or '.join(FOLDERS[lost[0]])}"
            )


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path) -> Iterator[None]:
    """Point every folder that mlplat keeps things in at the test's own.

    Not by the test's `monkeypatch`, whose `undo` would send the rest of a test to the folders of whoever runs it.
    """
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("STATE", "DATA", "CONFIG"):
            patch.setenv(f"MLPLAT_{kind}_DIR", str(tmp_path / kind.lower()))
        for name in ("MLPLAT_STACK", "MLPLAT_CLOCK"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def loopback_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that connects to anything but this computer: its loopback, and the bridge of its own test node."""
    connect = socket.socket.connect
    own = ("10.244.0.", "10.96.") if request.node.get_closest_marker("node") else ()

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in LOOPBACK and not address[0].startswith(own):
            pytest.fail(f"an unexpected connection to {address[0]}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture
def free_port() -> int:
    """Return a loopback port that nothing listens on, and that no other process of tests is given."""
    (port,) = free_ports(1)
    return port
