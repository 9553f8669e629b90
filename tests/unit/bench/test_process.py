"""A server is waited for, and everything it started ends with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import commands
from bench.process import Command, free_ports, memory, running
from mlplat.errors import NotReadyError

CHILDREN = """
import http.server, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


def command(source: str, folder: Path) -> Command:
    (port,) = commands.free_ports(1)
    return Command([sys.executable, "-c", source, str(port)], f"http://127.0.0.1:{port}/", folder)


def test_a_servers_children_end_with_it(tmp_path: Path) -> None:
    with running("a server", command(CHILDREN, tmp_path), tmp_path / "log") as server:
        tree = server.tree()
        assert len(tree) == 2
        assert memory(tree) > 2**20
    assert all(map(commands.has_ended, tree))


def test_a_server_that_ends_is_told_of_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(NotReadyError, match="a server ended with 3:\n  no such model"),
        running("a server", command("print('no such model'); raise SystemExit(3)", tmp_path), tmp_path / "log"),
    ):
        pass


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20
