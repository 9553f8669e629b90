from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import mlplat
from commands import until
from mlplat.controller import settings as settings_file
from mlplat.controller import wishes
from mlplat.controller.document import Event
from mlplat.controller.live import Live
from mlplat.controller.loop import LiveSettings
from mlplat.controller.metrics import Metrics, application
from mlplat.controller.store import SqliteStore
from mlplat.controller.unattended import Published, published_file
from mlplat.errors import StateError
from mlplat.files import write_atomic
from mlplat.labels import Name
from mlplat.spec.pipelines import ScheduleSpec
from mlplat.spec.rollout import RolloutPolicy
from receiver import receiving

LATE = Name("flights", "late")
DEADLINE = 120.0


def write(path: Path, **changes: Any) -> Path:
    folder = path.parent
    document = {
        "state": str(folder), "tracking": "http://127.0.0.1:9", "gateway": "http://127.0.0.1:9",
        "gateway_admin": "http://127.0.0.1:9", "xds": str(folder / "xds"), "store": f"sqlite:///{folder}/endpoints.db",
        "python": sys.executable, "code": str(folder), "first_port": 20000, "port": 0, "interval": 0.2, **changes,
    }  # fmt: skip
    # As `mlplat up` does: what is written in place may be read half, or within a tick of the clock be no change.
    write_atomic(path, json.dumps(document))
    return path


def page(url: str) -> str:
    """Return what is answered; nothing where there is no answer yet, or none in time."""
    try:
        return httpx.get(url, trust_env=False).text
    except httpx.HTTPError:
        return ""


@pytest.fixture
def controller(tmp_path: Path, free_port: int) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    path = write(tmp_path / "settings.json", port=free_port)
    code = str(Path(mlplat.__file__).parents[1])
    command = [sys.executable, "-m", "mlplat.controller", "--settings", str(path)]
    environment = {**os.environ, "PYTHONPATH": code}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        url = f"http://127.0.0.1:{free_port}"
        until(lambda: page(f"{url}/health") == "ok\n")
        yield process, url, path
        process.kill()


def test_the_process_tells_of_its_life_and_ends_when_asked(
    controller: tuple[subprocess.Popen[str], str, Path], tmp_path: Path
) -> None:
    process, url, path = controller
    with SqliteStore(tmp_path / "endpoints.db") as store:
        spec = wishes.deploy(LATE, LATE, "1", RolloutPolicy(), by="ada")
        clock = settings_file.read(path).now_by()
        store.wish(LATE, lambda _: spec, Event(time=clock.now(), generation=0, kind="wished", text="a wish"))

        def has_trouble() -> bool:
            endpoint = store.get(LATE)
            return endpoint is not None and endpoint.status.trouble != ""

        until(has_trouble)
    until(lambda: 'mlplat_endpoint_phase{endpoint="flights/late"' in page(f"{url}/metrics"))
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert "flights/late: the gateway does not answer" in log
    assert "the controller ends" in log


def test_a_schedule_that_cannot_be_kept_is_told_to_whoever_listens(
    controller: tuple[subprocess.Popen[str], str, Path], tmp_path: Path
) -> None:
    process, url, path = controller
    # Half an hour from now: no time comes by itself meanwhile, nor a third one within the two hours.
    minute = (datetime.now(UTC) + timedelta(minutes=30)).minute
    published = Published(
        id="1", folder="", python="", paths=(), commit="", flows=(), platform="mlplat", stack="local",
        schedules={"monitor": ScheduleSpec(cron=[f"{minute} * * * *"])},
    )  # fmt: skip
    place = published_file(tmp_path, "flights")
    place.parent.mkdir()
    place.write_text(published.model_dump_json())
    metric = 'mlplat_schedule_failed{flow="monitor",project="flights"}'
    until(lambda: f"{metric} 0.0" in page(f"{url}/metrics"))
    with receiving() as receiver:
        secret = tmp_path / "webhook"
        secret.write_text(f"http://127.0.0.1:{receiver.port}/T0PSECRET")
        secret.chmod(0o600)
        # Two hours ahead: a time has come, and another has passed.
        ahead, now = (datetime.now(UTC) + timedelta(hours=hours) for hours in (2, 0))
        write(
            path, port=int(url.rpartition(":")[2]), webhook=str(secret), clock=f"{ahead.isoformat()}={now.isoformat()}"
        )
        until(lambda: bool(receiver.taken))
    until(lambda: f"{metric} 1.0" in page(f"{url}/metrics"))
    (alert,) = receiver.taken[0][2]["alerts"]
    assert alert["labels"]["alertname"] == "ScheduledRunFailed"
    assert "has published no flow `monitor`" in alert["annotations"]["message"]
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=DEADLINE)
    assert "1 time before that passed without a run" in log
    assert log.count('"state": "firing"') == 1
    kept = b"".join(each.read_bytes() for each in tmp_path.glob("endpoints.db*"))
    assert b"ScheduledRunFailed" in kept
    assert "T0PSECRET" not in log
    assert b"T0PSECRET" not in kept


@pytest.mark.parametrize("damaged", [b"garbage " * 1000, b""], ids=["garbage", "emptied"])
def test_a_damaged_store_is_said_and_read_again_when_it_is_back(
    controller: tuple[subprocess.Popen[str], str, Path], tmp_path: Path, damaged: bytes
) -> None:
    process, url, _ = controller
    path, programs = tmp_path / "endpoints.db", tmp_path / "supervisor" / "programs"
    kept = tmp_path / "kept.db"
    with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(kept)) as target:
        source.backup(target)
    # An endpoint serves: its store cannot be an empty one.
    programs.mkdir(parents=True)
    (programs / "endpoint@flights.late.conf").write_text("; []\n")
    replacement = tmp_path / "damaged.db"
    replacement.write_bytes(damaged)
    replacement.replace(path)
    until(lambda: str(path) in page(f"{url}/health"))
    assert process.poll() is None
    assert httpx.get(f"{url}/health", trust_env=False, timeout=DEADLINE).status_code == 503
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    kept.replace(path)
    # Only now: an empty file without it is a new store, into which the controller would write.
    (programs / "endpoint@flights.late.conf").unlink()
    until(lambda: page(f"{url}/health") == "ok\n")


def test_missing_settings_are_an_error_with_a_hint(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlplat.controller", "--settings", str(tmp_path / "none.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: {tmp_path / 'none.json'}: No such file or directory",
        "hint: `mlplat up` writes it again",
    ]


def test_settings_are_read_again_and_a_broken_file_leaves_the_old_ones(tmp_path: Path) -> None:
    live = LiveSettings(write(tmp_path / "settings.json"))
    write(tmp_path / "settings.json", interval=7.5, clock="2013-07-01T00:00:00Z=2026-01-01T00:00:00Z")
    live.refresh()
    assert live.now.interval == 7.5
    assert live.now.now_by().now().year < 2026
    write_atomic(tmp_path / "settings.json", "{")
    live.refresh()
    assert live.now.interval == 7.5


def test_settings_that_change_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    def changed_meanwhile(path: Path) -> float:
        found = settings_file.read(path).interval
        if found != 7.5:
            write(path, interval=7.5)
        return found

    live = Live(write(tmp_path / "settings.json"), changed_meanwhile)
    live.refresh()
    assert live.now == 7.5


def test_unknown_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="tracing"):
        settings_file.read(write(tmp_path / "settings.json", tracing="http://127.0.0.1:1"))


def test_a_controller_that_makes_no_passes_is_not_healthy() -> None:
    metrics, statuses = Metrics(), []
    app = application(metrics, lambda: 1.0)

    def start(status: str, _: object) -> None:
        statuses.append(status)

    list(app({"PATH_INFO": "/health"}, start))
    metrics.last_pass -= 60
    list(app({"PATH_INFO": "/health"}, start))
    assert statuses == ["200 OK", "503 Service Unavailable"]


def test_health_says_why_no_pass_is_made_until_one_is() -> None:
    metrics, statuses = Metrics(), []
    app = application(metrics, lambda: 1.0)

    def start(status: str, _: object) -> None:
        statuses.append(status)

    metrics.failed("endpoints.db: is damaged")
    assert b"".join(app({"PATH_INFO": "/health"}, start)) == b"endpoints.db: is damaged\n"
    metrics.passed([], {}, 0.1)
    assert b"".join(app({"PATH_INFO": "/health"}, start)) == b"ok\n"
    assert statuses == ["503 Service Unavailable", "200 OK"]
