"""What happens to a computer at night: killed, stopped, full, garbled, twice at once, interrupted. Real processes.

The tests of one platform stand in the order in which they cost least, and each leaves it as it found it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from commands import ROOT, Mlplat, has_ended, until
from mlplat.supervision import locked

pytestmark = pytest.mark.e2e
SERVICES = {"tracking", "gateway", "controller"}
REVISION = "endpoint.homes.rent.r1"
PROJECT = """\
version: 1
platform: tests
project: homes
model: rent
task: regression
data: {source: flights, target: late}
"""
ROW = {"rooms": 2.0, "metres": 50.0}
BACK_SECONDS = 60


def state(mlplat: Mlplat) -> Path:
    return Path(mlplat.env["MLPLAT_STATE_DIR"]) / "tests" / "local"


def marked(mlplat: Mlplat) -> dict[int, str]:
    """Return every process of a platform by its environment, whoever keeps it."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            env = process.environ()
            if env.get("MLPLAT_STATE") == str(state(mlplat)) and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = env.get("SUPERVISOR_PROCESS_NAME", "supervisord")
    return found


def rows(mlplat: Mlplat) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in mlplat.run("status", "--json", code=None).json()}


def is_ready(mlplat: Mlplat) -> bool:
    shown = rows(mlplat)
    return all(shown[name]["ready"] for name in [*SERVICES, "supervisord", "watchdog"])


def wrong(mlplat: Mlplat) -> dict[str, dict[str, Any]]:
    """Return what the doctor finds wrong, by what it looked at; a small disk apart."""
    found = mlplat.run("doctor", "--json", code=None).json()
    return {
        each["what"]: each for each in found if not each["ok"] and each["what"] not in ("state folder", "data folder")
    }


def predict(mlplat: Mlplat, timeout: float = 10) -> float:
    url = f"{gateway(mlplat)}/endpoints/homes/rent/predict"
    request = urllib.request.Request(url, json.dumps({"rows": [ROW]}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        value: float = json.load(answer)["predictions"][0]["value"]
        return value


def gateway(mlplat: Mlplat) -> str:
    connection = json.loads((Path(mlplat.env["MLPLAT_CONFIG_DIR"]) / "connections" / "tests.local.json").read_text())
    address: str = connection["gateway"]
    return address


def answers(mlplat: Mlplat) -> bool:
    try:
        return predict(mlplat) == pytest.approx(900)
    except OSError:
        return False


def models(mlplat: Mlplat) -> list[str]:
    listed = mlplat.run("model", "list", "--json", cwd=mlplat.folder / "homes").json()
    return sorted(f"{each['model']} {each['version']}" for each in listed)


@contextlib.contextmanager
def traffic(mlplat: Mlplat) -> Iterator[list[str]]:
    """Ask the endpoint all the time; the list holds what failed."""
    stop, failed = threading.Event(), list[str]()

    def ask() -> None:
        while not stop.is_set():
            try:
                predict(mlplat)
            except OSError as error:
                failed.append(str(error))
            stop.wait(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield failed
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlplat]:
    """A platform with one endpoint, whose ports are left to it."""
    made = Mlplat(tmp_path_factory.mktemp("faults"))
    made.stack()
    made.run("up", "--yes", timeout=900)
    publish(made)
    yield made
    made.run("down", code=None)
    left = marked(made)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == {}


def publish(mlplat: Mlplat) -> None:
    """Register a tiny model, and put it behind an endpoint."""
    tracking = mlplat.run("outputs", "--json").json()["endpoints"]["tracking"]
    script = [sys.executable, str(ROOT / "tests" / "support" / "publish.py"), tracking, "homes/rent"]
    subprocess.run(script, check=True, capture_output=True, cwd=mlplat.folder)
    project = mlplat.folder / "homes"
    project.mkdir(exist_ok=True)
    (project / "mlplat.yaml").write_text(PROJECT)
    mlplat.run("deploy", "--strategy", "direct", cwd=project)


def kill(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    until(lambda: has_ended(process), what=f"the end of {pid}")


def test_what_is_killed_comes_back_with_all_it_held(own: Mlplat) -> None:
    before, kept = own.pids(), models(own)
    with traffic(own) as failed:
        for name in ("tracking", "controller", "watchdog"):
            kill(before[name])
        until(lambda: is_ready(own), BACK_SECONDS, "every service is ready again")
    assert failed == [], "neither serves requests"
    kill(before["gateway"])
    until(lambda: answers(own), BACK_SECONDS, "the gateway answers again")
    kill(before[REVISION])
    until(lambda: answers(own), BACK_SECONDS, "the model answers again")
    until(lambda: is_ready(own), BACK_SECONDS)
    after = rows(own)
    assert models(own) == kept
    assert all(after[name]["pid"] != before[name] for name in [*SERVICES, REVISION, "watchdog"])
    assert after["supervisord"]["pid"] == before["supervisord"]
    assert {name: after[name]["restarts"] for name in ("gateway", REVISION)} == {"gateway": 1, REVISION: 1}
    assert wrong(own) == {}


def test_what_hangs_is_restarted_by_its_health_check(own: Mlplat) -> None:
    before = rows(own)
    # Whoever holds this lock keeps the watchdog waiting: a slow doctor must not come after it.
    with locked(state(own), "the test"):
        for name in SERVICES:
            os.kill(before[name]["pid"], signal.SIGSTOP)
        assert wrong(own)["service controller"]["mend"].startswith("wait: the watchdog")
    until(lambda: is_ready(own), 2 * BACK_SECONDS, "every service is ready again")
    after = rows(own)
    assert all(after[name]["restarts"] > before[name]["restarts"] for name in SERVICES)
    assert after[REVISION]["pid"] == before[REVISION]["pid"]
    assert re.search(r"did not answer \d+ times in a row: it is restarted", own.run("logs", "watchdog").out)
    assert answers(own)
    assert after["watchdog"]["memory_bytes"] < 30 * 2**20


def test_a_killed_supervisord_leaves_nothing_twice(own: Mlplat) -> None:
    before = own.pids()
    kill(before["supervisord"])
    # The watchdog ends with it; what serves goes on serving, and is shown.
    until(lambda: set(marked(own).values()) == {*SERVICES, REVISION}, what="the watchdog's end")
    assert answers(own)
    shown = rows(own)
    assert {row["pid"] for row in own.run("status", "--json", code=1).json() if row["state"] == "ORPHAN"} == set(
        marked(own)
    )
    assert shown["supervisord"]["state"] == "STOPPED"
    assert {"supervisord", "processes", "watchdog"} <= set(wrong(own))
    own.run("up", "--yes")
    until(lambda: answers(own), BACK_SECONDS, "the endpoint answers again")
    after = marked(own)
    assert sorted(after.values()) == sorted([*SERVICES, REVISION, "supervisord", "watchdog"])
    assert not set(after) & set(before.values())
    assert wrong(own) == {}


def test_a_stopped_supervisord_is_replaced(own: Mlplat) -> None:
    before = own.pids()
    os.kill(before["supervisord"], signal.SIGSTOP)
    assert "runs but does not answer" in wrong(own)["supervisord"]["said"]
    own.run("up", "--yes")
    until(lambda: answers(own), BACK_SECONDS, "the endpoint answers again")
    assert not set(marked(own)) & set(before.values())
    assert wrong(own) == {}


def test_after_a_reboot_up_goes_on_and_touches_no_stranger(own: Mlplat) -> None:
    kept = models(own)
    for pid in sorted(marked(own), key=lambda pid: marked(own).get(pid) != "supervisord"):
        with contextlib.suppress(psutil.NoSuchProcess):
            kill(pid)
    # What the disk still says: pids that strangers have by now, a socket that nobody listens on, a lock's holder.
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        (state(own) / "supervisor" / "supervisord.pid").write_text(f"{stranger.pid}\n")
        for lock in ("lock", "command.lock"):
            (state(own) / lock).write_text(
                json.dumps({"who": "mlplat up", "pid": stranger.pid, "since": "x", "uptime": 1e9})
            )
        restarts = state(own) / "watchdog" / "restarts.json"
        restarts.write_text(json.dumps({"version": 1, "supervisord": stranger.pid, "programs": {}}))
        assert (state(own) / "supervisor" / "supervisor.sock").exists()
        own.run("up", "--yes")
        until(lambda: answers(own), BACK_SECONDS, "the endpoint answers again")
        assert stranger.poll() is None
        assert models(own) == kept
        assert wrong(own) == {}
        own.run("down")
        assert stranger.poll() is None
        own.run("up", "--yes")
    finally:
        stranger.kill()
        stranger.wait()


def test_of_two_commands_at_once_the_second_waits_and_says_for_whom(own: Mlplat) -> None:
    own.run("down")
    first = own.start("up")
    assert first.stderr is not None
    while "standing" not in (line := first.stderr.readline()):
        assert line, "up ended"
    first.send_signal(signal.SIGSTOP)
    for verb in ("up", "down"):
        refused = own.run(verb, "--wait", "0.5", code=1)
        assert re.search(rf"is locked by mlplat up \(pid {first.pid}\) since .*ago", refused.err)
        assert "waiting for mlplat up" in refused.err
    assert f"in use by mlplat up (pid {first.pid})" in own.run("doctor", code=None).out
    second = own.start("up")
    assert second.stderr is not None
    assert f"waiting for mlplat up (pid {first.pid})" in second.stderr.readline()
    first.send_signal(signal.SIGCONT)
    told = second.communicate(timeout=480)[1]
    said = first.stderr.read()
    assert (first.wait(120), second.returncode) == (0, 0), said + told
    assert "nothing to do" in told
    first.stderr.close()
    assert first.stdout is not None
    first.stdout.close()
    until(lambda: answers(own), BACK_SECONDS, "the endpoint answers again")


def test_a_killed_commands_lock_is_nobodys(own: Mlplat) -> None:
    script = (
        "import sys, time; from pathlib import Path; from mlplat.locking import lock\n"
        "with lock(Path(sys.argv[1]), 'mlplat up', timeout=1): print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(state(own) / "command.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert f"(pid {holder.pid})" in own.run("up", "--wait", "0", code=1).err
        holder.kill()
    assert "nothing to do" in own.run("up", "--wait", "0").err


@pytest.fixture
def chosen(own: Mlplat) -> Iterator[Mlplat]:
    """Another platform on the same computer, which leaves every port to us."""
    made = Mlplat(own.folder)
    stack = made.folder / "stacks" / "Pulumi.other.yaml"
    stack.write_text(json.dumps({"config": {"mlplat:platform": {"name": "tests", "ports": "auto"}}}))
    yield made
    made.run("down", "-s", "other", "--delete-data", "--yes", code=None)


def test_ports_left_to_us_never_collide_and_stay(own: Mlplat, chosen: Mlplat) -> None:
    fixed = json.loads((own.folder / "stacks" / "Pulumi.local.yaml").read_text())["config"]["mlplat:platform"]
    with contextlib.ExitStack() as taken:
        # The default is held by a stranger, whichever program that may be here.
        with contextlib.suppress(OSError):
            taken.enter_context(socket.create_server(("127.0.0.1", 5000)))
        preview = chosen.run("up", "-s", "other", "--preview").err
        chosen.run("up", "-s", "other")
        outputs = chosen.run("outputs", "-s", "other", "--json").json()["endpoints"]
    port = {name: int(url.rpartition(":")[2]) for name, url in outputs.items()}
    assert f"tracking.port is {port['tracking']}" in preview
    assert port["tracking"] != 5000
    assert not set(port.values()) & {fixed["tracking"]["port"], fixed["gateway"]["port"], fixed["controller"]["port"]}
    # The stranger has gone, and the ports stay nevertheless; so they do while the platform does not run.
    assert "nothing to do" in chosen.run("up", "-s", "other").err
    chosen.run("down", "-s", "other")
    assert chosen.run("outputs", "-s", "other", "--json").json()["endpoints"] == outputs
    with socket.create_server(("127.0.0.1", port["gateway"])):
        assert f"gateway.port is {port['gateway']}" not in chosen.run("up", "-s", "other", "--preview").err


def test_a_running_service_moves_to_no_port_that_a_stranger_holds(own: Mlplat) -> None:
    stack = own.folder / "stacks" / "Pulumi.local.yaml"
    written, before = stack.read_text(), own.pids()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        own.stack(tracking={"port": port})
        refused = own.run("up", "--yes", code=1)
    stack.write_text(written)
    assert f"port {port}, which `tracking` needs, is held by" in refused.err
    assert own.pids() == before
    # A record that cannot be read makes nobody a stranger to its own port.
    garbled(state(own) / "services" / "tracking.json")
    own.run("up", "--yes")
    assert own.pids() == before
    assert wrong(own) == {}


def garbled(path: Path) -> None:
    """Overwrite a file with garbage, as a bad disk would."""
    path.write_bytes(random.Random(1).randbytes(300))


def _garble_platform(own: Mlplat) -> None:
    garbled(state(own) / "supervisor" / "programs" / "platform.conf")


def _garble_endpoint(own: Mlplat) -> None:
    own.run("down")
    garbled(state(own) / "supervisor" / "programs" / "endpoint@homes.rent.conf")


def _garble_plan(own: Mlplat) -> None:
    garbled(state(own) / "plan.json")


def _garble_connection(own: Mlplat) -> None:
    garbled(Path(own.env["MLPLAT_CONFIG_DIR"]) / "connections" / "tests.local.json")


def _garble_bootstrap(own: Mlplat) -> None:
    garbled(state(own) / "services" / "gateway" / "bootstrap.json")


def _garble_routes(own: Mlplat) -> None:
    own.run("down")
    garbled(state(own) / "gateway" / "xds" / "routes.json")


def _give_up_gateway(own: Mlplat) -> None:
    from mlplat.supervision import Supervisor

    with Supervisor(state(own))._calls(30) as supervisord:
        supervisord.stopProcess("gateway")


def _stop_watchdog(own: Mlplat) -> None:
    os.kill(own.pids()["watchdog"], signal.SIGSTOP)


STATES: list[tuple[Callable[[Mlplat], None], str, str]] = [
    (_garble_platform, "program file", "platform.conf: cannot be read"),
    (_garble_plan, "state", "plan.json: cannot be read"),
    (_garble_connection, "connection", "tests.local.json"),
    (_garble_bootstrap, "file of gateway", "bootstrap.json: is no JSON"),
    (_give_up_gateway, "service gateway", "stopped"),
    (_stop_watchdog, "watchdog", "is stopped"),
    (_garble_endpoint, "program file", "endpoint@homes.rent.conf: cannot be read"),
    (_garble_routes, "file of gateway", "routes.json: is no JSON"),
]


@pytest.mark.parametrize(("harm", "what", "said"), STATES, ids=[harm.__name__.lstrip("_") for harm, _, _ in STATES])
def test_the_doctor_finds_it_and_the_mend_mends_it(
    own: Mlplat, harm: Callable[[Mlplat], None], what: str, said: str
) -> None:
    harm(own)
    found = wrong(own)
    assert said in found[what]["said"]
    assert "`mlplat up" in found[what]["mend"]
    own.run("status", code=None)
    own.run("up", "--yes")
    until(lambda: answers(own), BACK_SECONDS, "the endpoint answers again")
    assert wrong(own) == {}


@pytest.mark.parametrize("file", ["routes.json", "clusters.json"])
def test_what_the_gateway_follows_is_written_again_while_it_serves(own: Mlplat, file: str) -> None:
    path = state(own) / "gateway" / "xds" / file
    good = path.read_bytes()
    with traffic(own) as failed:
        garbled(path)
        until(lambda: path.read_bytes() == good, BACK_SECONDS, "the controller writes it again")
    assert failed == []
    assert wrong(own) == {}


def test_a_model_that_a_disk_has_garbled_is_fetched_again(own: Mlplat) -> None:
    good = {path: path.read_bytes() for path in (state(own) / "models").rglob("*") if path.is_file()}
    assert good
    for path in good:
        garbled(path)
    assert answers(own), "a model server has read its files"
    kill(own.pids()[REVISION])
    until(lambda: answers(own), 2 * BACK_SECONDS, "the endpoint answers again")
    assert {path: path.read_bytes() for path in good} == good
    until(lambda: wrong(own) == {}, BACK_SECONDS, "all is well")


def test_a_garbled_database_is_named_and_never_replaced(own: Mlplat) -> None:
    kept, path = models(own), state(own) / "tracking" / "mlflow.db"
    own.run("down")
    good = path.read_bytes()
    for bad in (random.Random(2).randbytes(len(good)), b"", good[: len(good) // 2], None):
        path.unlink() if bad is None else path.write_bytes(bad)
        refused = own.run("up", code=1)
        assert str(path) in refused.err
        assert f"put back a copy of {path}" in refused.err
        assert (path.read_bytes() if path.exists() else None) == bad
        assert str(path) in wrong(own)["runs and models"]["said"]
    path.write_bytes(good)
    own.run("up", "--yes")
    until(lambda: answers(own), BACK_SECONDS, "the endpoint answers again")
    assert models(own) == kept
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Mlplat]:
    """A platform whose state lies on a disk of 24 MB."""
    disk = tmp_path / "state"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if (
        os.geteuid()
        or shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("a small disk can be mounted by root alone")
    made = Mlplat(tmp_path)
    made.stack()
    yield made
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=False)
    (disk / "full").unlink(missing_ok=True)
    made.run("down", code=None)
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    path = disk / "full"
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 4096)
    return path


def test_a_full_or_read_only_disk_is_said_and_leaves_nothing_half_written(small: Mlplat) -> None:
    disk = Path(small.env["MLPLAT_STATE_DIR"])
    full = fill(disk)
    assert "No space left on device" in small.run("up", code=1).err
    assert not marked(small)
    full.unlink()
    small.run("up", "--yes")
    before = small.pids()
    stack = small.folder / "stacks" / "Pulumi.local.yaml"
    written = stack.read_text()
    files = {path: path.read_bytes() for path in state(small).rglob("*") if path.suffix in (".json", ".conf")}
    full = fill(disk)
    # While it runs: nothing ends, and the doctor says it.
    said = {each["what"]: each["said"] for each in small.run("doctor", "--json", code=1).json()}
    assert said["state folder"].endswith("is full")
    assert small.pids() == before
    document = json.loads(written)
    document["config"]["mlplat:platform"]["gateway"]["threads"] = 2
    stack.write_text(json.dumps(document))
    fill(disk)  # what a service has let go of meanwhile as well
    refused = small.run("up", "--yes", code=1)
    assert "No space left on device" in refused.err
    assert "free some space" in refused.err
    assert {path: path.read_bytes() for path in files} == files
    kill(before["gateway"])
    until(lambda: rows(small)["gateway"]["ready"], BACK_SECONDS, "the gateway is back on a full disk")
    full.unlink()
    small.run("up", "--yes")
    assert is_ready(small)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=False)
    if not os.access(disk, os.W_OK):
        refused = small.run("up", code=1)
        assert "Read-only file system" in refused.err
        assert "cannot be written" in next(
            each["said"] for each in small.run("doctor", "--json", code=1).json() if each["what"] == "state folder"
        )
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    small.run("down")
    assert marked(small) == {}


MOMENTS = [
    ("up", signal.SIGINT, "stack local", 0.0),
    ("up", signal.SIGTERM, "standing", 0.0),
    ("up", signal.SIGHUP, "standing", 0.3),
    ("up", signal.SIGINT, "gateway: ready", 0.0),
    ("down", signal.SIGTERM, "ending", 0.0),
    ("up", signal.SIGTERM, "controller: ready", 0.0),
    ("down", signal.SIGINT, "ending", 0.2),
]


WAY_IN = str(ROOT / "platform" / "mlplat" / "__main__.py")
"""Until it has imported `signal` itself, Python's own handler is in force."""


def interrupt(mlplat: Mlplat, verb: str, number: signal.Signals, line: str, later: float) -> tuple[int, str]:
    """Start a command, send it a signal so many seconds after a line of its own; return its exit code, what it said."""
    begun = mlplat.start(verb)
    assert begun.stderr is not None
    told = ""
    while line and line not in told:
        read = begun.stderr.readline()
        if not read:
            break
        told += read
    deadline = time.monotonic() + later
    while time.monotonic() < deadline and begun.poll() is None:
        time.sleep(0.005)
    begun.send_signal(number)
    out, rest = begun.communicate(timeout=240)
    said = told + rest
    # Python itself shows what of its own start was interrupted; of ours there is nothing to see but the way in.
    assert [line for line in said.splitlines() if str(ROOT / "platform") in line and WAY_IN not in line] == [], said
    assert "Traceback" not in out
    # A command that has not said a word has done nothing either.
    unbegun = "Traceback" in said or (begun.returncode == -number and not said)
    return (number + 128 if unbegun else begun.returncode), said


def in_order(mlplat: Mlplat) -> bool:
    """Tell whether nothing runs that `status` does not show."""
    return set(marked(mlplat)) == set(mlplat.pids().values())


def test_an_interrupt_at_any_moment_leaves_what_status_shows(own: Mlplat) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)
    kept = models(own)
    anywhere = [
        (
            verb,
            chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]),
            "stack local" if verb == "up" else "",
            0.15 + chance.random(),
        )
        for verb in ("down", "up", "up", "down", "up")
    ]
    own.run("down")
    for verb, number, line, later in [*MOMENTS, *anywhere]:
        code, said = interrupt(own, verb, number, line, later)
        # Python itself is ended by it where it still starts, or is already done: nothing was begun then.
        assert code in (0, 128 + number, -number), (verb, number, line, later, said)
        until(lambda: in_order(own), BACK_SECONDS, f"order after {number.name} in {verb}")
    own.run("up", "--wait", "0")
    until(lambda: answers(own), BACK_SECONDS, "the endpoint answers again")
    assert models(own) == kept
    assert sorted(marked(own).values()) == sorted([*SERVICES, REVISION, "supervisord", "watchdog"])
    assert wrong(own) == {}


@pytest.fixture
def former(tmp_path: Path) -> Iterator[Mlplat]:
    """The state folder that mlplat left at commit 51c3ba6, with a model and an endpoint, moved here."""
    made = Mlplat(tmp_path)
    with tarfile.open(Path(__file__).parent / "states" / "51c3ba6.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    places = {"@ROOT@": str(tmp_path), "@DATA@": made.env["MLPLAT_DATA_DIR"], "@CHECKOUT@": str(ROOT)}
    for path in [*tmp_path.rglob("*.json"), *tmp_path.rglob("*.conf")]:
        text = path.read_text()
        for mark, place in places.items():
            text = text.replace(mark, place)
        path.write_text(text)
    with contextlib.closing(sqlite3.connect(state(made) / "endpoints.db")) as database, database:
        database.execute("UPDATE endpoints SET status = replace(status, '@ROOT@', ?)", (str(tmp_path),))
    made.stack(clock="2013-07-01T00:00:00Z")
    yield made
    made.run("down", code=None)


def test_the_former_versions_state_is_taken_over(former: Mlplat) -> None:
    clock = json.loads((state(former) / "clock.json").read_text())
    assert "was made by mlplat 0.1.0" in wrong(former)["state"]["said"]
    former.run("up", "--yes", timeout=900)
    (former.folder / "homes").mkdir()
    (former.folder / "homes" / "mlplat.yaml").write_text(PROJECT)
    assert models(former) == ["homes/rent 1"]
    until(lambda: answers(former), BACK_SECONDS, "the endpoint answers")
    assert json.loads((state(former) / "clock.json").read_text()) == clock
    assert wrong(former) == {}
    # A lost clock is found again, and never begun anew.
    (state(former) / "clock.json").write_text("{")
    assert "cannot be read" in wrong(former)["clock"]["said"]
    former.run("up", "--yes")
    former.run("down")
    former.run("up", "--yes")
    assert json.loads((state(former) / "clock.json").read_text()) == clock


def test_a_newer_versions_state_is_refused(former: Mlplat) -> None:
    path = state(former) / "plan.json"
    newer = {**json.loads(path.read_text()), "version": 99, "mlplat": "9.1.0"}
    path.write_text(json.dumps(newer))
    for verb in ("up", "down"):
        refused = former.run(verb, code=1)
        assert "was written by a newer mlplat (9.1.0" in refused.err
        assert "use mlplat 9.1.0 here; nothing was changed" in refused.err
    assert "use mlplat 9.1.0" in wrong(former)["state"]["mend"]
    assert json.loads(path.read_text()) == newer
