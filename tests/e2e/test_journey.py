"""Two projects on one platform, from people's own files to answers, promoted and rolled back without a lost request."""

from __future__ import annotations

import contextlib
import csv
import json
import random
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commands import Mlplat, until
from mlplat.contracts import PREDICTIONS
from mlplat.runtime.replay import replay

pytestmark = pytest.mark.e2e
DAYS, PER_DAY = 150, 24


@dataclass(frozen=True)
class Project:
    """A project's folder, and the platform that it runs on."""

    platform: Mlplat
    folder: Path
    model: str

    def run(self, *argv: str, code: int | None = 0) -> Any:
        return self.platform.run(*argv, cwd=self.folder, code=code, timeout=600)

    @property
    def url(self) -> str:
        gateway = self.platform.run("outputs", "--json").json()["endpoints"]["gateway"]
        return f"{gateway}/endpoints/{self.model}/predict"

    def train(self, *argv: str) -> Any:
        """Train, and return what the run came to."""
        return self.run("run", "train", *argv, "--json").json()["result"]

    def document(self) -> Any:
        return self.run("endpoint", "show", self.model, "--json").json()


def shop(path: Path) -> Path:
    """Write visits to a shop: whether somebody bought depends on price, country and hour."""
    chance = random.Random(1)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["seen", "country", "price", "age", "bought"])
        for number in range(DAYS * PER_DAY):
            moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=24 / PER_DAY * number)
            country, price = chance.choice(["ch", "de", "fr"]), round(chance.uniform(1, 100), 2)
            age: int | str = chance.randint(18, 90) if chance.random() > 0.1 else ""
            likely = 0.7 - price / 150 + (0.2 if country == "ch" else 0)
            rows.writerow([moment.isoformat(), country, price, age, int(chance.random() < likely)])
    return path


def homes(path: Path) -> Path:
    """Write homes with their rent: rows without a time."""
    chance = random.Random(2)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["rooms", "metres", "quarter", "rent"])
        for _ in range(2000):
            rooms = chance.randint(1, 6)
            metres = rooms * 22 + chance.uniform(-8, 8)
            quarter = chance.choice(["north", "south"])
            rows.writerow(
                [rooms, round(metres, 1), quarter, round(metres * 18 + (300 if quarter == "south" else 0), 2)]
            )
    return path


@pytest.fixture(scope="module")
def shopping(platform: Mlplat) -> Project:
    data = shop(platform.folder / "visits.csv")
    platform.run("new", "shop", "--defaults", "--set", f"data={data}", "--set", "target=bought", "--set", "time=seen")
    project = Project(platform, platform.folder / "shop", "shop/bought")
    _settings(project.folder, family="linear")
    return project


@pytest.fixture(scope="module")
def renting(platform: Mlplat) -> Project:
    data = homes(platform.folder / "homes.csv")
    settings = {"data": str(data), "target": "rent", "task": "regression"}
    # Its name begins with the other one's.
    platform.run(
        "new", "shop-rents", "--defaults", *(part for item in settings.items() for part in ("--set", "=".join(item)))
    )
    return Project(platform, platform.folder / "shop-rents", "shop-rents/rent")


def _settings(folder: Path, **changed: str) -> None:
    """Change mlplat.yaml: the platform's name, and rollouts that a test can wait for."""
    path = folder / "mlplat.yaml"
    text = re.sub(r"(?s)\nrollout:.*", "", path.read_text())
    for key, value in changed.items():
        text = re.sub(rf"(?m)^(\s+){key}: .*", rf"\g<1>{key}: {value}", text)
    path.write_text(
        text.replace("platform: mlplat", "platform: tests")
        + "\nrollout: {min_requests: 60, min_seconds: 1, max_error_increase: 0.1, bake_seconds: 60}\n"
    )


@contextlib.contextmanager
def traffic(project: Project, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Send rows steadily while the body runs; afterwards the yielded map holds what came back."""
    stop = threading.Event()
    told: dict[str, Any] = {}

    def send() -> None:
        told.update(replay(project.url, rows, rate=80, threads=4, seconds=300, stop=stop))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()


ROWS = [{"country": "ch", "price": 10.0, "age": None}, {"country": "xx", "price": 90.0, "age": 40.0}]


def test_a_persons_own_file_becomes_an_answering_endpoint(shopping: Project) -> None:
    result = shopping.train("--until", "2024-05-20")
    assert result["status"] == "registered"
    assert result["gate"]["digest"] == result["digest"]
    assert result["metrics"]["auc"]["low"] > 0.55
    shopping.run("deploy", "--strategy", "direct")
    (shopping.folder / "rows.json").write_text(json.dumps(ROWS))
    answered = shopping.run("predict", "--data", "rows.json", "--json").json()
    cheap, dear = answered["predictions"]
    assert cheap["probability"] > dear["probability"]
    version = shopping.run("model", "show", "shop/bought", "--json").json()
    assert version["digest"] == result["digest"]
    assert {"champion"} <= set(version["aliases"])


def test_what_the_endpoint_cannot_take_is_named(shopping: Project) -> None:
    (shopping.folder / "bad.json").write_text('[{"country": "ch", "price": "ten", "age": 3.0}]')
    refused = shopping.run("predict", "--data", "bad.json", code=None)
    assert refused.code in (1, 2)
    assert "rows[0].price" in refused.err


def test_a_canary_promotes_itself_and_loses_no_request(shopping: Project) -> None:
    result = shopping.train("--until", "2024-05-29", "--set", "gate.margin=0.2")
    assert result["gate"]["champion"]["version"] == "1"
    with traffic(shopping, ROWS) as told:
        shopping.run("deploy")
    assert told["failed"] == 0, told
    assert told["versions"].keys() == {"1", "2"}
    document = shopping.document()
    assert document["status"]["phase"] in ("serving", "baking", "promoted"), document["status"]
    history = shopping.run("rollout", "history", "shop/bought").out
    assert [share for share in ("10 %", "50 %", "100 %") if share in history] == ["10 %", "50 %", "100 %"]


def test_a_rollback_takes_seconds_and_loses_no_request(shopping: Project) -> None:
    with traffic(shopping, ROWS) as told:
        time.sleep(0)  # the traffic's thread starts first
        shopping.run("endpoint", "rollback", "shop/bought")
        until(lambda: _version(shopping) == "1", what="version 1 answers again")
    assert told["failed"] == 0, told


def _version(project: Project) -> str:
    answered: dict[str, str] = project.run("predict", "--data", "rows.json", "--json").json()
    return answered["version"]


def test_a_second_project_leaves_the_first_alone(shopping: Project, renting: Project) -> None:
    _settings(renting.folder)
    result = renting.train()
    assert result["status"] == "registered"
    assert result["metrics"]["r2"]["low"] > 0.9
    renting.run("deploy", "--strategy", "direct")
    renting.run("predict", "--example")
    listed = {row["endpoint"]: row for row in _endpoints(renting)}
    assert {"shop/bought", "shop-rents/rent"} <= set(listed)
    assert _version(shopping) == "1"


def test_a_second_endpoint_on_a_model_answers_logs_and_ends_apart(shopping: Project, renting: Project) -> None:
    other = "shop/bought-eu"
    shopping.run("deploy", "shop/bought", "--endpoint", "bought-eu", "--version", "2", "--strategy", "direct")
    answered = shopping.run("predict", other, "--data", "rows.json", "--json").json()
    assert (answered["version"], _version(shopping)) == ("2", "1")
    before = shopping.platform.pids()
    assert any("bought-eu" in name for name in before)
    shopping.run("endpoint", "delete", other, "--yes")
    kept = {name: pid for name, pid in before.items() if "bought-eu" not in name}
    # A revision that had baked may have drained meanwhile.
    assert shopping.platform.pids().items() <= kept.items(), "nobody else's process was touched"
    assert "bought-eu" in shopping.run("predict", other, "--data", "rows.json", code=1).err
    assert _version(shopping) == "1"
    renting.run("predict", "--example")
    logs = Path(shopping.platform.env["MLPLAT_STATE_DIR"]) / "tests" / "local" / PREDICTIONS
    assert {"shop.bought", "shop.bought-eu", "shop-rents.rent"} <= {each.name for each in logs.iterdir()}


def _endpoints(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.run("endpoint", "list", "--json").json()
    return [{"endpoint": item.get("name") or item["spec"]["name"], **item} for item in found]


def test_a_refused_model_is_registered_nowhere_and_says_why(renting: Project) -> None:
    before = renting.run("model", "list", "--json").json()
    refused = renting.run("run", "train", "--set", "gate.min_r2=0.99999", code=1)
    assert "r2_floor" in refused.err
    assert renting.run("model", "list", "--json").json() == before
    unknown = renting.run("deploy", "--version", "99", code=None)
    assert unknown.code in (1, 2)
    assert "99" in unknown.err


def test_endpoints_survive_an_up(shopping: Project) -> None:
    before = shopping.platform.pids()
    shopping.platform.run("up")
    after = shopping.platform.pids()
    # A revision that had baked may have drained meanwhile; all else is as it was.
    assert after.items() <= before.items()
    assert {name for name in before if not name.startswith("endpoint.")} <= set(after)
    assert _version(shopping) == "1"


def test_a_projects_own_checks_pass(renting: Project) -> None:
    import os
    import subprocess
    import sys

    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["make", "test"],
        cwd=renting.folder,
        env={**renting.platform.env, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
