"""What ends or hangs while models serve: the controller at each step of a rollout, model servers, the registry, a file.

Requests arrive all the while. Times are measured from the fault to the first answer.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import re
import signal
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from commands import Mlplat, until
from mlplat.controller.document import Endpoint
from mlplat.controller.store import SqliteStore
from mlplat.labels import Name
from mlplat.supervision import Supervisor

from .test_journey import ROWS, Project, _settings, shop, traffic

pytestmark = pytest.mark.e2e
log = logging.getLogger(__name__)
BOUGHT = Name("faults", "bought")
POLICY = (
    "rollout: {{min_requests: 60, min_seconds: 2, max_error_increase: 0.1, latency_slack_ms: 300, bake_seconds: {}}}"
)


WAITS_SECONDS = 5.0
"""What a request waits at the gateway at least for a model server to be back: eight on average, by chance."""
LONG = 600
"""Seconds to bake where the former version has to be there still on a slow computer too; nobody waits so long."""


@dataclass(frozen=True)
class Served:
    """A project with two versions of a model, and a look behind its endpoint."""

    project: Project
    state: Path

    def endpoint(self) -> Endpoint:
        with SqliteStore(self.state / "endpoints.db", create=False) as store:
            found = store.get(BOUGHT)
        assert found is not None
        return found

    def kinds(self) -> list[str]:
        with SqliteStore(self.state / "endpoints.db", create=False) as store:
            return [event.kind for event in store.events(BOUGHT)]

    def servers(self) -> list[str]:
        """Return the revision of every model server's process of the endpoint."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                argv = process.cmdline()
                if "mlplat.serving" in argv and "faults/bought" in argv and str(self.state) in " ".join(argv):
                    found.append(argv[argv.index("--revision") + 1])
        return sorted(found)

    def pid(self, name: str) -> int:
        """Return a service's or a revision's process id, 0 while there is none."""
        # Asked of the supervisor itself: `mlplat status` takes longer than some phases last.
        processes = Supervisor(self.state).processes()
        return next((each.pid for key, each in processes.items() if key == name or key.endswith(f".{name}")), 0)

    def weights(self) -> list[int]:
        document = json.loads((self.state / "gateway" / "xds" / "routes.json").read_text())
        routes = document["resources"][0]["virtual_hosts"][0]["routes"]
        mine = [route for route in routes if "/faults/bought/" in route["match"].get("prefix", "")]
        return [cluster["weight"] for route in mine for cluster in route["route"]["weighted_clusters"]["clusters"]]

    def ask(self, seconds: float = 2.0) -> str:
        """Return the version that answers now; empty when none does within `seconds`."""
        body = json.dumps({"rows": ROWS}).encode()
        request = urllib.request.Request(self.project.url, body, {"Content-Type": "application/json"})
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=seconds) as answer:
            return str(json.loads(answer.read())["version"])
        return ""

    def deploy(self, version: str, *argv: str) -> None:
        self.project.run("deploy", "--version", version, *argv)


@pytest.fixture(scope="module")
def served(platform: Mlplat) -> Iterator[Served]:
    data = shop(platform.folder / "faults.csv")
    platform.run("new", "faults", "--defaults", "--set", f"data={data}", "--set", "target=bought", "--set", "time=seen")
    project = Project(platform, platform.folder / "faults", str(BOUGHT))
    _settings(project.folder, family="linear")
    project.train("--until", "2024-05-20")
    project.train("--until", "2024-05-29", "--set", "gate.margin=0.2", "--set", "explanations.route=true")
    made = Served(project, platform.folder / "state" / "tests" / "local")
    yield made
    project.run("endpoint", "delete", str(BOUGHT), "--yes", code=None)


def _bakes(served: Served, seconds: int) -> None:
    """Set how long the next deployments bake."""
    path = served.project.folder / "mlplat.yaml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("rollout:")]
    path.write_text("\n".join([*kept, POLICY.format(seconds), ""]))


@pytest.fixture
def first(served: Served) -> Served:
    """The first version serves, and nothing else runs."""
    _bakes(served, seconds=4)
    served.deploy("1", "--strategy", "direct")
    until(lambda: len(served.servers()) == 1, what="one revision runs")
    return served


def _sight(endpoint: Endpoint) -> tuple[str, int, str]:
    """Return where a rollout stands, as far as a kill at that point is another one."""
    status = endpoint.status
    ending = sorted({item.state for item in status.revisions} & {"draining", "stopping"})
    return status.phase, status.weight, "".join(ending)


@pytest.mark.parametrize("spared", [("starting",), ("fetching",)], ids=["while it fetches", "while it starts"])
def test_a_controller_killed_at_every_step_of_a_rollout_loses_no_request(
    first: Served, spared: tuple[str, ...]
) -> None:
    # A model server can be ready before the next controller looks: so one life is spared either of the two.
    killed: dict[tuple[str, int, str], int] = {}
    sums: set[int] = set()
    done = threading.Event()

    def another(name: str, before: int) -> int:
        until(lambda: first.pid(name) not in (0, before), what=f"another {name} runs")
        return first.pid(name)

    def kill() -> None:
        pid = first.pid("controller")
        while not done.is_set():
            sums.add(sum(first.weights()))
            sight = _sight(first.endpoint())
            if sight not in killed and sight[0] not in spared and pid:
                os.kill(pid, signal.SIGKILL)
                killed[sight] = pid
                pid = another("controller", pid)
            time.sleep(0.01)

    with traffic(first.project, ROWS) as told:
        thread = threading.Thread(target=kill)
        thread.start()
        try:
            first.deploy("2")
            until(lambda: first.endpoint().status.phase == "serving" and len(first.servers()) == 1, seconds=90)
        finally:
            done.set()
            thread.join()
    assert told["failed"] == 0, told
    assert {weight for phase, weight, _ in killed if phase == "rolling"} == {10, 50, 100}
    assert {"rolling", "baking"} <= {phase for phase, _, _ in killed}, killed
    assert spared == ("starting",) or "starting" in {phase for phase, _, _ in killed}, killed
    assert sums == {100}
    status = first.endpoint().status
    champion = status.revision(status.champion)
    assert champion is not None
    assert (champion.version, first.servers()) == ("2", [champion.label])


def _stopped(pid: int) -> Callable[[], None]:
    """Stop a process as it stands, and return what lets it go on."""
    os.kill(pid, signal.SIGSTOP)

    def go_on() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return go_on


def test_a_hanging_challenger_is_a_breach_and_the_champion_serves_on(first: Served) -> None:
    with traffic(first.project, ROWS):
        deploying = first.project.platform.start("deploy", "--version", "2", cwd=first.project.folder)
        until(lambda: first.endpoint().status.phase == "rolling", seconds=90)
        challenger = first.endpoint().status.challenger
        go_on = _stopped(first.pid(f"r{challenger}"))
        until(lambda: first.endpoint().status.phase == "breached", seconds=60)
        go_on()
        _, said = deploying.communicate(timeout=240)
    assert deploying.returncode == 1
    assert "hangs: no answer for" in said or "errors grew" in said, said
    assert (first.weights(), first.ask()) == ([100], "1")


@contextlib.contextmanager
def explanations(served: Served) -> Iterator[Counter[int]]:
    """Ask for explanations while the body runs, most of them in no time at all; the map holds what they came to."""
    body, told, done = json.dumps({"rows": ROWS * 4}).encode(), Counter[int](), threading.Event()
    url = served.project.url.removesuffix("predict") + "explain"

    def send() -> None:
        for number in itertools.count():
            if done.wait(0.01):
                return
            hurried = {"x-request-timeout-ms": "0"} if number % 5 else {}
            request = urllib.request.Request(url, body, {"Content-Type": "application/json", **hurried})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    told[answer.status] += 1
            except urllib.error.HTTPError as error:
                told[error.code] += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield told
    finally:
        done.set()
        thread.join()


def test_explanations_that_fail_or_take_long_are_nothing_that_a_rollout_is_judged_by(first: Served) -> None:
    """The second version alone explains single answers: whatever fails or is slow of them is the challenger's."""
    (first.project.folder / "rows.json").write_text(json.dumps(ROWS))
    explain = ("predict", "--data", "rows.json", "--explain")
    refused = first.project.run(*explain, code=1)
    assert "answers with 404" in refused.err
    assert "`explanations.route: true`" in refused.err
    with traffic(first.project, ROWS) as told, explanations(first) as explained:
        until(lambda: explained[404] > 20, what="the first version explains nothing")
        first.deploy("2")
        during = Counter(explained)
        # A slow computer explains few within the steps.
        until(lambda: explained[504] > 20 and explained[200] > 5, what="the second version explains, and is too late")
    assert during[504] > 0
    log.info("explanations by status: %s; predictions: %s", dict(explained), told)
    assert told["failed"] == 0, told
    assert first.ask() == "2"
    shown = first.project.run(*explain).out
    assert [len(re.findall(rf"(?m)^{column} ", shown)) for column in ("country", "price", "age")] == [2, 2, 2]
    assert len(re.findall(r"(?m)^probability 0\.\d+, label [01]; 0\.\d+ on average$", shown)) == 2


def test_a_hanging_champion_is_replaced_by_the_one_before_and_started_again(first: Served) -> None:
    _bakes(first, seconds=LONG)
    first.deploy("2", "--strategy", "direct")
    status = first.endpoint().status
    assert status.phase == "baking"
    pid = first.pid(f"r{status.champion}")
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    answered: list[str] = []

    def answers() -> bool:
        answered.append(first.ask(seconds=1))
        return bool(answered[-1])

    until(answers, seconds=60, what="somebody answers")
    log.info("version %s answers %.1f s after the champion hung", answered[-1], time.monotonic() - began)
    assert answered[-1] == "1"
    until(lambda: first.kinds()[-3:] == ["stood in", "restarted", "back"], seconds=90, what="the champion is back")
    assert not psutil.pid_exists(pid)
    until(lambda: first.ask() == "2", what="the champion answers again")


def test_a_killed_model_server_only_delays_requests(first: Served) -> None:
    with traffic(first.project, ROWS) as told:
        pid = first.pid(f"r{first.endpoint().status.champion}")
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        until(lambda: first.pid(f"r{first.endpoint().status.champion}") not in (0, pid))
        until(lambda: first.ask() == "1")
        away = time.monotonic() - began
    # What was being answered by the process when it was killed; each of four threads has one request at a time. A slow
    # computer starts it again more slowly than a request waits at the gateway.
    log.info("%d of %s requests failed when the model server was killed", told["failed"], told)
    assert told["failed"] <= 4 * (1 + away // WAITS_SECONDS), (away, told)


def test_a_hanging_registry_delays_a_deploy_and_nothing_else(first: Served) -> None:
    _bakes(first, seconds=LONG)
    first.deploy("2", "--strategy", "direct")
    # Whoever would restart it is stopped first: a slow computer must not see it before and after alone.
    guarded, answering = _stopped(first.pid("watchdog")), _stopped(first.pid("tracking"))
    try:
        first.project.run("endpoint", "rollback", str(BOUGHT))
        told: set[str] = set()

        def is_back() -> bool:
            told.add(first.endpoint().status.trouble)
            return first.ask() == "1"

        until(is_back, what="version 1 answers again")
        # Whatever waits for the registry says so, as the deploy below does.
        assert not any("the registry" in each for each in told), told
        deploying = first.project.platform.start(
            "deploy", "--version", "2", "--strategy", "direct", cwd=first.project.folder
        )
        until(lambda: "the registry does not answer" in first.endpoint().status.trouble, seconds=60)
        assert first.ask() == "1"
    finally:
        answering()
        guarded()
    _, said = deploying.communicate(timeout=480)
    assert deploying.returncode == 0, said
    assert first.ask() == "2"


def _copy(source: Path, target: Path) -> None:
    """Copy a store, and have all of it in its one file."""
    with contextlib.closing(sqlite3.connect(source)) as there, contextlib.closing(sqlite3.connect(target)) as here:
        there.backup(here)
        there.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage " * 2000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [_garbage, _empty, _truncated, _gone], ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_store_stops_no_endpoint_and_is_said(
    first: Served, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path, kept = first.state / "endpoints.db", tmp_path / "kept.db"
    champion = f"r{first.endpoint().status.champion}"
    before, weights, health = first.pid(champion), first.weights(), _health(first)
    _copy(path, kept)
    damage(path)
    try:
        until(lambda: str(path) in health(), seconds=60, what="the controller's health names the file")
        refused = first.project.run("endpoint", "list", code=1)
        assert str(path) in refused.err
        assert "put back a copy" in refused.err
        assert (first.ask(), first.weights(), first.pid(champion)) == ("1", weights, before)
    finally:
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
        kept.replace(path)
    until(lambda: health() == "ok\n", seconds=60, what="the controller is healthy again")
    assert first.pid(champion) == before
    assert "faults/bought" in first.project.run("endpoint", "list").out


def _health(served: Served) -> Callable[[], str]:
    """Return a function that asks the controller how it is."""
    written = json.loads((served.project.platform.folder / "stacks" / "Pulumi.local.yaml").read_text())
    port = written["config"]["mlplat:platform"]["controller"]["port"]

    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    return ask
