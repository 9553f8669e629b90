"""A service with a secret, and one that does not become ready, under a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from commands import free_ports
from engine import Pulumi

pytestmark = pytest.mark.engine
PROGRAM = """
import json, sys
from pathlib import Path
import pulumi
from mlplat.services import Http
from mlplat.supervision import Program
from mlplat.targets.local.resolve import Resolved
from mlplat.targets.local.resources import Provider

told = json.loads(Path("told.json").read_text())
state = Path(told["state"])
program = Program(
    "page", (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(told["port"])), {}, str(state),
    str(state / "logs" / "page.log"),
)
page = Resolved(program, Http(told["path"], timeout=told["timeout"]), {"http": told["port"]}, ("platform",), {}, {}, {})
secret = pulumi.Config("test").require_secret("token")
opts = pulumi.ResourceOptions(provider=Provider())
values = {**page.document(), "address": None, "running": None}
values["program"] = {**page.document()["program"], "env": {"TOKEN": secret}}
pulumi.CustomResource("mlplat:local:Service", "page", values, opts)
"""
PLANTED = "planted-3f1c9a"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulumi]:
    """Return an engine on a program with one service, which is told of a secret."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "platform").mkdir()
    (folder / "platform" / "__main__.py").write_text(PROGRAM)
    (folder / "Pulumi.yaml").write_text("{name: pages, runtime: python, main: platform/}")
    made = Pulumi(folder, folder / "home")
    made.run("stack", "init", "local")
    made.run("config", "set", "--secret", "test:token", PLANTED, "-s", "local")
    told(made, path="/", timeout=20, port=free_ports(1)[0])
    yield made
    made.run("destroy", "-s", "local", "--yes", "--skip-preview")
    end(made)


def told(pulumi: Pulumi, **values: object) -> None:
    path = pulumi.folder / "platform" / "told.json"
    kept = json.loads(path.read_text()) if path.exists() else {"state": str(pulumi.home / "state" / "pages" / "local")}
    path.write_text(json.dumps({**kept, **values}))


def processes(pulumi: Pulumi) -> list[psutil.Process]:
    """Return the service's own processes, by what they were told."""
    port = str(json.loads((pulumi.folder / "platform" / "told.json").read_text())["port"])
    return [each for each in psutil.process_iter(["cmdline"]) if (each.info["cmdline"] or [])[-1:] == [port]]


def end(pulumi: Pulumi) -> None:
    """End the supervisord that the service ran under: this program has no foundation that would."""
    from mlplat.supervision import Supervisor

    Supervisor(pulumi.home / "state" / "pages" / "local").stop()


def test_a_secret_reaches_the_process_and_lies_nowhere_in_the_state(pages: Pulumi) -> None:
    said = pages.run("up", "-s", "local", "--yes")
    (process,) = processes(pages)
    assert process.environ()["TOKEN"] == PLANTED
    assert PLANTED not in pages.raw_state()
    assert PLANTED not in said.out + said.err
    assert pages.resources()["mlplat:local:Service::page"]["outputs"]["program"]["env"]["TOKEN"]["ciphertext"]
    pages.run("refresh", "-s", "local", "--yes", "--skip-preview")
    assert PLANTED not in pages.raw_state()


def test_a_changed_secret_restarts_the_service_and_is_not_shown(pages: Pulumi) -> None:
    pages.run("up", "-s", "local", "--yes", "--skip-preview")
    (before,) = processes(pages)
    pages.run("config", "set", "--secret", "test:token", PLANTED + "-2", "-s", "local")
    shown = pages.run("preview", "-s", "local", "--diff").out
    assert "[secret]" in shown
    pages.run("up", "-s", "local", "--yes", "--skip-preview")
    (after,) = processes(pages)
    assert after.pid != before.pid
    assert PLANTED not in shown + pages.raw_state()


def test_a_service_that_is_not_ready_is_remembered_and_made_once(pages: Pulumi) -> None:
    pages.run("up", "-s", "local", "--yes", "--skip-preview")
    told(pages, path="/nowhere", timeout=2)
    failed = pages.run("up", "-s", "local", "--yes", "--skip-preview", code=None)
    assert failed.code != 0
    assert "`page` is not ready" in failed.out
    kept = pages.resources()["mlplat:local:Service::page"]
    assert "is not ready" in kept["initErrors"][0]
    told(pages, path="/", timeout=20)
    pages.run("up", "-s", "local", "--yes", "--skip-preview")
    assert "initErrors" not in pages.resources()["mlplat:local:Service::page"]
    assert len(processes(pages)) == 1


def test_a_secret_inside_the_spec_is_refused(pulumi: Pulumi, tmp_path: Path) -> None:
    path = pulumi.folder / "stacks" / "Pulumi.local.yaml"
    kept = path.read_text()
    pulumi.run("config", "set", "--path", "mlplat:platform.name", "--secret", PLANTED, "-s", "local")
    refused = pulumi.run("preview", "-s", "local", code=None)
    path.write_text(kept)
    assert refused.code != 0
    assert "holds a secret, which would land in the state" in refused.out + refused.err
