"""MLflow as a cluster runs it, on a real PostgreSQL: the commands of its service, by the environment of its image."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import postgres
from commands import PATIENCE, free_ports
from mlplat import environment
from mlplat.jobs import development
from mlplat.services import Ref, Service
from mlplat.services.cluster.launch import DATABASE_URL
from mlplat.services.cluster.tracking import tracking
from mlplat.spec.platform import PlatformSpec

pytestmark = pytest.mark.e2e
SECONDS = PATIENCE * 180


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    """Return the variables of a container whose database is empty."""
    home = environment.service("tracking", progress=print)
    with postgres.required() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(development, "ADMIN", postgres.SUPERUSER)
        url = f"postgresql://tracking:secret@127.0.0.1:{server.port}/tracking"
        development.make_databases({"tracking": url}, postgres.PASSWORD)
        path = f"{home.parent}:/usr/bin:/bin"
        yield {"PATH": path, DATABASE_URL: url, "MLFLOW_DISABLE_TELEMETRY": "true", "HOME": "/tmp"}  # noqa: S108


@pytest.fixture(scope="module")
def service() -> Service:
    """Return MLflow's service."""
    return tracking(PlatformSpec())


def test_two_migrations_at_once_do_no_harm(service: Service, variables: dict[str, str]) -> None:
    argv = [str(each) for each in service.setup[-1].argv]
    twins = [subprocess.Popen(argv, env=variables, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [each.communicate(timeout=SECONDS)[1] for each in twins]
    assert [each.returncode for each in twins] == [0, 0], said


def test_it_is_ready_on_a_migrated_database_and_answers_to_its_names_alone(
    service: Service, variables: dict[str, str], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    given = {name: value for name, value in service.env.items() if isinstance(value, str)}
    env = {**given, **variables, "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(tmp_path)}
    env["MLFLOW_SERVER_ALLOWED_HOSTS"] = "tracking,localhost:*"
    argv = ["127.0.0.1" if each == Ref("host") else str(each) for each in service.argv]
    argv[argv.index("--port") + 1] = str(port)
    with (tmp_path / "log").open("w+") as log:
        server = subprocess.Popen(argv, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}{service.ready.path}"
            _wait(server, url, tmp_path / "log")
            assert {host: _status(url, host) for host in ("tracking", f"localhost:{port}", "evil.example")} == {
                "tracking": 200,
                f"localhost:{port}": 200,
                "evil.example": 403,
            }
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE * 30)


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if _status(url, "tracking") == 200:
            return
        time.sleep(0.2)
    pytest.fail(f"MLflow is not ready: {log.read_text()[-2000:]}")


def _status(url: str, host: str) -> int | None:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None
