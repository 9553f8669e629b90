"""The platform itself: what an `up` does, and what it leaves alone."""

from __future__ import annotations

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


def test_a_second_up_touches_no_process_and_says_so(platform: Mlplat) -> None:
    before = platform.pids()
    done = platform.run("up")
    assert "nothing to do" in done.err
    assert platform.pids() == before


def test_status_says_that_everything_is_ready(platform: Mlplat) -> None:
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
    for pid in platform.pids().values():
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            listening = [c.laddr.ip for c in each.net_connections() if c.status == psutil.CONN_LISTEN]
            assert set(listening) <= {"127.0.0.1", "::1"}


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


def test_down_ends_everything_and_up_goes_on_from_there(own: Mlplat) -> None:
    own.run("up", timeout=900)
    tracking = own.run("outputs", "--json").json()["endpoints"]["tracking"]
    body = json.dumps({"name": "kept"}).encode()
    request = urllib.request.Request(
        tracking + "/api/2.0/mlflow/experiments/create", body, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=20).close()
    pids = own.pids()
    own.run("down")
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]
    assert "nothing ran" in own.run("down").err
    own.run("up")
    by_name = tracking + "/api/2.0/mlflow/experiments/get-by-name?experiment_name=kept"
    urllib.request.urlopen(by_name, timeout=20).close()
    refused = own.run("down", "--delete-data", code=2)
    assert "would be removed" in refused.err
    own.run("down", "--delete-data", "--yes")
    assert not (own.folder / "state" / "tests" / "local").exists()
    assert "was never stood up" in own.run("outputs", code=1).err


def test_a_taken_port_is_refused_with_its_holder(own: Mlplat) -> None:
    port = json.loads((own.folder / "stacks" / "Pulumi.local.yaml").read_text())["config"]["mlplat:platform"][
        "gateway"
    ]["port"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
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
