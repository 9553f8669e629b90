"""The platform itself: what an `up` does, and what it leaves alone."""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from commands import Mlplat

pytestmark = pytest.mark.e2e
SERVICES = {"tracking", "gateway", "controller"}
KEEPING = {"supervisord", "watchdog"}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Mlplat]:
    """A platform of the test's own, for what would disturb others."""
    made = Mlplat(tmp_path)
    made.stack()
    yield made
    made.run("down", code=None)


def test_status_counts_what_keeps_the_services_as_well(platform: Mlplat) -> None:
    rows = platform.run("status", "--json").json()
    assert {row["name"] for row in rows if row["ready"]} >= SERVICES | KEEPING
    assert all(row["memory_bytes"] > 2**20 for row in rows if row["pid"])


def test_doctor_finds_nothing_wrong(platform: Mlplat) -> None:
    findings = platform.run("doctor", "--json").json()
    assert [finding for finding in findings if not finding["ok"]] == []


def test_outputs_are_addresses_that_answer(platform: Mlplat) -> None:
    outputs = platform.run("outputs", "--json").json()
    assert outputs["connection"]["tracking"] == outputs["endpoints"]["tracking"]
    with urllib.request.urlopen(outputs["endpoints"]["tracking"] + "/version", timeout=10) as answer:
        assert answer.read().decode() == "3.17.2"
    assert platform.run("open", "tracking", "--print").out.strip() == outputs["endpoints"]["tracking"] + "/"


def test_logs_are_printed(platform: Mlplat) -> None:
    assert "downstream connections" in platform.run("logs", "gateway").out


def test_nothing_listens_beyond_loopback(platform: Mlplat) -> None:
    heard = {name: _listening(pid) for name, pid in platform.pids().items()}
    assert {name for name, addresses in heard.items() if addresses} >= SERVICES
    assert set().union(*heard.values()) <= {"127.0.0.1", "::1"}


def _listening(pid: int) -> set[str]:
    """Return the addresses that a process and its children listen on; none of what has ended meanwhile."""
    found: set[str] = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                found |= {c.laddr.ip for c in each.net_connections() if c.status == psutil.CONN_LISTEN}
    return found


def test_a_changed_setting_restarts_only_what_it_concerns(own: Mlplat) -> None:
    own.run("up", timeout=900)
    before = own.pids()
    ports = _ports(own)
    own.stack(**{**ports, "gateway": {**ports["gateway"], "threads": 2}, "serving": {"first_port": 19999}})
    preview = own.run("up", "--preview")
    assert "restart service/gateway  (command)" in preview.err
    assert "update  service/controller  (settings.json)" in preview.err
    assert own.pids() == before
    refused = own.run("up", code=2)
    assert "`--yes`" in refused.err
    own.run("up", "--yes")
    after = own.pids()
    assert {name for name in SERVICES if after[name] != before[name]} == {"gateway"}


def test_a_taken_port_is_refused_with_its_holder(own: Mlplat) -> None:
    port = json.loads((own.folder / "stacks" / "Pulumi.local.yaml").read_text())["config"]["mlplat:platform"][
        "gateway"
    ]["port"]
    with socket.create_server(("127.0.0.1", port)):
        refused = own.run("up", code=1, timeout=900)
    assert f"port {port}, which `gateway` needs, is held by" in refused.err
    assert "`gateway.port`" in refused.err
    assert "`ports: auto`" in refused.err
    assert own.pids() == {}


def _ports(own: Mlplat) -> dict[str, dict[str, int]]:
    written = json.loads((own.folder / "stacks" / "Pulumi.local.yaml").read_text())
    found: dict[str, dict[str, int]] = {
        name: group for name, group in written["config"]["mlplat:platform"].items() if isinstance(group, dict)
    }
    return found
