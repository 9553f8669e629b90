"""The local target under a real engine: what `pulumi` sees, does and remembers."""

from __future__ import annotations

import json
import re
import signal
import socket

import psutil
import pytest

from commands import has_ended, until
from engine import Pulumi
from platforms import mlplat, supervisord, write_stack

pytestmark = pytest.mark.engine
SERVICES = {"controller", "gateway", "tracking"}


def running(pulumi: Pulumi) -> dict[str, int]:
    """Return the process ids of the services that run, by name."""
    return {name: pid for name, pid in mlplat(pulumi).pids().items() if name in SERVICES}


@pytest.fixture(scope="module")
def standing(pulumi: Pulumi) -> Pulumi:
    """Return the engine once its stack is up."""
    pulumi.run("up", "-s", "local", "--yes", "--skip-preview", timeout=900)
    return pulumi


def test_a_preview_makes_nothing_and_knows_everything(pulumi: Pulumi) -> None:
    shown = pulumi.run("preview", "-s", "local", "--diff").out
    assert "mlplat:local:Service" in shown
    assert "--concurrency" in shown
    assert not re.search(r"\bunknown\b|output<", shown)
    assert not (pulumi.home / "state").exists()


def test_both_ways_up_agree_in_turn(standing: Pulumi) -> None:
    pids = running(standing)
    assert set(pids) == SERVICES
    standing.run("preview", "-s", "local", "--expect-no-changes")
    assert "nothing to do" in mlplat(standing).run("up").err
    write_stack(standing, gateway={"threads": 2})
    mlplat(standing).run("up", "--yes")
    changed = running(standing)
    assert {name for name in SERVICES if changed[name] != pids[name]} == {"gateway"}
    standing.run("up", "-s", "local", "--yes", "--skip-preview")
    assert running(standing) == changed
    standing.run("preview", "-s", "local", "--expect-no-changes")


def test_a_diff_names_the_field_on_its_way(standing: Pulumi) -> None:
    write_stack(standing, gateway={"threads": 3})
    shown = standing.run("preview", "-s", "local", "--diff").out
    write_stack(standing, gateway={"threads": 2})
    assert "~ threads: 2 => 3" in shown
    assert '~ [4]: "2" => "3"' in shown
    assert "local:Service::tracking" not in shown


def test_what_died_shows_up_and_is_mended_without_duplicates(standing: Pulumi) -> None:
    before = running(standing)
    daemon = supervisord(before["gateway"])
    daemon.kill()
    until(lambda: has_ended(daemon))
    shown = standing.run("preview", "-s", "local").out
    assert "gateway: does not run" in shown
    assert "3 to update" in shown
    standing.run("refresh", "-s", "local", "--yes", "--skip-preview")
    assert standing.resources()["mlplat:local:Service::gateway"]["outputs"]["running"] is False
    standing.run("up", "-s", "local", "--yes", "--skip-preview")
    assert set(running(standing)) == SERVICES
    assert not [pid for pid in before.values() if psutil.pid_exists(pid)]
    standing.run("preview", "-s", "local", "--expect-no-changes")


def test_a_file_changed_by_hand_shows_up_and_is_written_again(standing: Pulumi) -> None:
    path = standing.home / "state" / "tests" / "local" / "services" / "controller" / "settings.json"
    kept = path.read_text()
    path.write_text(json.dumps({**json.loads(kept), "interval": 7}))
    shown = standing.run("preview", "-s", "local")
    assert f'controller: was changed here: live["{path}"].interval' in shown.out
    standing.run("up", "-s", "local", "--yes", "--skip-preview")
    assert json.loads(path.read_text()) == json.loads(kept)


def test_what_the_engine_forgot_is_imported(standing: Pulumi) -> None:
    before = running(standing)
    urn = "urn:pulumi:local::mlplat::mlplat:local:Service::gateway"
    provider = next(each["urn"] for name, each in standing.resources().items() if name.startswith("pulumi:providers"))
    standing.run("state", "delete", urn, "-s", "local", "--yes", "--force", "--target-dependents", code=None)
    standing.run(
        *("import", "mlplat:local:Service", "gateway", "tests/local/gateway", "-s", "local", "--yes"),
        *("--provider", f"local={provider}", "--generate-code=false", "--protect=false", "--skip-preview"),
    )
    standing.run("up", "-s", "local", "--yes", "--skip-preview")
    standing.run("preview", "-s", "local", "--expect-no-changes")
    assert running(standing) == before


def test_an_interrupted_up_drains_and_leaves_no_lock(standing: Pulumi) -> None:
    mlplat(standing).run("down")
    started = standing.start("up", "-s", "local", "--yes", "--skip-preview")
    assert started.stdout is not None
    seen = next(line for line in started.stdout if "tracking updating" in line)
    started.send_signal(signal.SIGINT)
    rest, _ = started.communicate(timeout=200)
    assert started.returncode != 0, seen + rest
    assert "Traceback" not in rest
    assert not json.loads(standing.run("stack", "export", "-s", "local").out)["deployment"].get("pending_operations")
    standing.run("up", "-s", "local", "--yes", "--skip-preview")
    assert set(running(standing)) == SERVICES


def test_a_taken_port_is_said_with_its_mend(standing: Pulumi) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        write_stack(standing, tracking={"port": port})
        mlplat(standing).run("down")
        refused = standing.run("up", "-s", "local", "--yes", "--skip-preview", code=None)
    write_stack(standing, gateway={"threads": 2})
    assert refused.code != 0
    assert f"port {port}, which `tracking` needs, is held by" in refused.out, refused.out
    assert "`tracking.port`" in refused.out
    standing.run("up", "-s", "local", "--yes", "--skip-preview")


def test_destroy_ends_what_needs_others_first_and_keeps_the_data(standing: Pulumi) -> None:
    pids = running(standing)
    database = standing.home / "state" / "tests" / "local" / "tracking" / "mlflow.db"
    said = standing.run("destroy", "-s", "local", "--yes", "--skip-preview").out
    ended = [line.split() for line in said.splitlines() if " deleted (" in line]
    order = [words[2] for words in ended if words[1].startswith("mlplat:local:")]
    assert order.index("controller") < min(order.index("tracking"), order.index("gateway"))
    assert order[-1] == "tests"
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]
    assert database.is_file()
