"""Feast as a cluster runs it: the commands of its services, by the environment of their image.

Its registry is on a real PostgreSQL; values are there too, or in DynamoDB as moto speaks it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import onlineerasing
import postgres
from commands import PATIENCE, free_ports
from featurestores import CUT, STORES, TEAMS, Kept, administrator
from mlplat import environment
from mlplat.files import data_dir
from mlplat.images import catalogue, context
from mlplat.jobs import development
from mlplat.runtime.online import Online
from mlplat.services import Ref, Service
from mlplat.services.cluster.features import client, features, named, online
from mlplat.services.cluster.launch import DATABASE_URL

pytestmark = pytest.mark.e2e
SECONDS = 600
Program = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Feast:
    """A registry and a feature server that run."""

    folder: Path
    variables: Mapping[str, str]
    registry: int
    online: int
    database: postgres.Postgres
    kept: Kept

    def store(self, project: str) -> Path:
        """Write what a project is told: two addresses and no password."""
        address = f"http://127.0.0.1:{self.online}/{named(project)}"
        written = client(project, f"127.0.0.1:{self.registry}", {"type": "remote", "path": address})
        file = self.folder / f"{project}.yaml"
        # The image of servers has no DuckDB, which projects do.
        file.write_text(json.dumps({**written, "offline_store": {"type": "file"}}))
        return file

    def get(self, path: str) -> int | None:
        """Ask the feature server; return the status, None where nobody answers."""
        return status(f"http://127.0.0.1:{self.online}{path}")

    def lookup(self, project: str, *keys: int) -> dict[str, list[object]]:
        """Look a view's features up as a model server would: by one request, without Feast."""
        body = {"features": ["weather:wind", "weather:gusts"], "entities": {"airport": keys}}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.online}/{named(project)}/get-online-features",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        names = found["metadata"]["feature_names"]
        names = names["val"] if isinstance(names, dict) else names
        return {name: result["values"] for name, result in zip(names, found["results"], strict=True)}


CLIENT = """
import datetime as dt, json, sys
from pathlib import Path
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
from feast.types import Float32, Int64

now = dt.datetime.now(dt.UTC)
airport = Entity(name="airport", join_keys=["airport"])

def view(name):
    table = Path(f"{name}.parquet")
    row = {"airport": [3], "wind": [0.5], "gusts": [1], "seen": [now]}
    pd.DataFrame(row).astype({"wind": "float32", "seen": "datetime64[us, UTC]"}).to_parquet(table)
    kept = FileSource(name=f"{name}_kept", path=str(table.absolute()), timestamp_field="seen")
    schema = [Field(name="airport", dtype=Int64), Field(name="wind", dtype=Float32), Field(name="gusts", dtype=Int64)]
    source = PushSource(name=f"{name}_pushed", batch_source=kept)
    return FeatureView(name=name, entities=[airport], ttl=dt.timedelta(days=1), schema=schema, source=source)

def push(store, wind, gusts, name="weather"):
    store.push(f"{name}_pushed", pd.DataFrame({"airport": [1], "wind": [wind], "gusts": [gusts], "seen": [now]}))

def rows(store):
    asked = [{"airport": number} for number in (1, 2, 3)]
    return store.get_online_features(["weather:wind", "weather:gusts"], asked).to_dict()

flights, delays = (FeatureStore(fs_yaml_file=Path(each)) for each in sys.argv[1:])
told = {}
flights.apply([airport, view("weather")])
push(flights, 7.5, 12)
told["pushed"] = rows(flights)
delays.apply([airport, view("weather")])
told["empty"] = rows(delays)
push(delays, 1.5, 3)
told["other"] = rows(delays)
flights.materialize(now - dt.timedelta(hours=1), now + dt.timedelta(hours=1))
told["materialised"] = rows(flights)
long = "w" * 60
delays.apply([airport, view(long)])
try:
    push(delays, 1.0, 1, long)
except RuntimeError as error:
    told["long"] = str(error)
print(json.dumps(told))
"""


@pytest.fixture(scope="module", params=sorted(STORES))
def feast(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
    """Start both services as a cluster does: after the job that makes the registry's tables."""
    folder = tmp_path_factory.mktemp("feast")
    image = catalogue.find("features")
    home = data_dir() / "envs" / f"features-{environment.fingerprint(image.requirements)[:16]}"
    bin_ = environment.ensure(image.requirements, home, progress=print, name="features").parent
    context.write(image, folder / "image")
    with ExitStack() as ends:
        database = ends.enter_context(postgres.required())
        patch = ends.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(development, "ADMIN", postgres.SUPERUSER)
        url = f"postgresql://features:se%24c%22ret@127.0.0.1:{database.port}/features"
        development.make_databases({"features": url}, postgres.PASSWORD)
        variables = {
            "PATH": f"{bin_}:/usr/bin:/bin",
            "HOME": str(folder),
            "FEAST_USAGE": "False",
            DATABASE_URL: url,
            # What of mlplat the image holds, and no more.
            "PYTHONPATH": str(folder / "image" / "code"),
        }
        kept = ends.enter_context(STORES[request.param](database, url))
        registry, server = features(kept.spec), online(kept.spec)
        schema = next(job for job in registry.setup if job.name == "schema")
        subprocess.run(given(schema.argv, registry, folder), env=variables, check=True, timeout=SECONDS)
        ports = free_ports(2)
        begun = [
            ends.enter_context(running(service, port, folder, {**variables, **kept.variables}))
            for service, port in zip((registry, server), ports, strict=True)
        ]
        made = Feast(folder, variables, ports[0], ports[1], database, kept)
        until(lambda: is_open(ports[0]) and made.get(server.ready.path) == 200, folder, begun)
        yield made


@pytest.fixture(scope="module")
def told(feast: Feast) -> dict[str, Any]:
    """Return what two projects are told; their pods have no password."""
    given = {name: value for name, value in feast.variables.items() if name not in (DATABASE_URL, "PYTHONPATH")}
    (feast.folder / "client.py").write_text(CLIENT)
    argv = ["python", "client.py", *(str(feast.store(project)) for project in TEAMS["sky"]["projects"])]
    done = subprocess.run(
        argv, env=given, cwd=feast.folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    log = (feast.folder / "online.log").read_text()
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{log[-3000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def given(argv: Sequence[object], service: Service, folder: Path, port: int | None = None) -> list[str]:
    """Return a command as a pod of a service would run it, its files in a folder."""
    known = {"files": str(folder / service.name), "host": "127.0.0.1"}
    for name, content in service.files.items():
        (folder / service.name).mkdir(exist_ok=True)
        (folder / service.name / name).write_text(json.dumps(content))

    def text(value: object) -> str:
        match value:
            case Ref(name=name):
                return known[name]
            case tuple():
                return "".join(map(text, value))
        return str(value)

    made = [text(each) for each in argv]
    if port is not None:
        made[made.index("--port") + 1] = str(port)
    return made


@contextmanager
def running(service: Service, port: int, folder: Path, variables: Mapping[str, str]) -> Iterator[Program]:
    """Run a service."""
    with (folder / f"{service.name}.log").open("w") as log:
        argv = given(service.argv, service, folder, port)
        process = subprocess.Popen(argv, env=variables, cwd="/", stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE * 30)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None


def until(holds: Callable[[], bool], folder: Path, begun: Sequence[Program] = ()) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and all(each.poll() is None for each in begun):
        if holds():
            return
        time.sleep(0.1)
    said = "\n".join(f"{each.name}: {each.read_text()[-2000:]}" for each in sorted(folder.glob("*.log")))
    pytest.fail(f"not within {SECONDS} s: {said}")


def test_what_a_project_pushes_it_reads_back_and_no_other_project_does(feast: Feast, told: dict[str, Any]) -> None:
    assert told["pushed"] == {"airport": [1, 2, 3], "wind": [7.5, None, None], "gusts": [12, None, None]}
    # Of a view of that name in another project, and that nobody has written to.
    assert told["empty"]["wind"] == [None, None, None]
    assert told["other"]["wind"] == [1.5, None, None]
    assert feast.lookup("late-flights", 1)["wind"] == [7.5]
    assert feast.lookup("delays", 1, 2) == {"airport": [1, 2], "wind": [1.5, None], "gusts": [3, None]}
    assert feast.get("/unknown/health") == 404


def test_rows_that_are_materialised_are_found_in_the_one_table_of_their_view(
    feast: Feast, told: dict[str, Any]
) -> None:
    assert told["materialised"]["wind"] == [7.5, None, 0.5]
    long = [f"delays.{'w' * 60}"] if feast.kept.long_names else []
    assert feast.kept.tables() == sorted(["delays.weather", "late_flights.weather", *long])


def test_a_view_whose_table_would_lose_the_end_of_its_name_is_refused(feast: Feast, told: dict[str, Any]) -> None:
    assert ("more than 62 bytes" in told.get("long", "")) == (not feast.kept.long_names)


def asked(feast: Feast, method: str, path: str, document: object) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{feast.online}/{path}",
        json.dumps(document).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read()
        if error.code >= 500:
            pytest.fail(f"{said!r}: {(feast.folder / 'online.log').read_text()[-3000:]}")
        return error.code, json.loads(said)


@pytest.mark.usefixtures("told")
def test_a_project_tells_of_features_and_pushes_them_without_feast(feast: Feast) -> None:
    def definitions(*columns: str, kind: str = "double", name: str = "rates") -> dict[str, Any]:
        group = {
            "name": name,
            "keys": [{"name": "route", "type": "string"}],
            "columns": [{"name": each, "type": kind} for each in columns],
        }
        return {"service": f"late_{'_'.join(columns)}", "groups": [group]}

    with ThreadPoolExecutor(2) as pool:
        # At once, of one view: neither loses the other's column.
        told = list(
            pool.map(
                lambda each: asked(feast, "PUT", "delays/definitions", definitions("always", each)), ("week", "month")
            )
        )
    assert [status for status, _ in told] == [200, 200]
    assert sorted(each for _, found in told for each in found["added"]["rates"]) == ["always", "month", "week"]
    values = {"always": [1.0], "week": [0.25], "month": [0.5]}
    row = {"group": "rates", "observed": ["2013-07-01T10:00:00Z"], "keys": {"route": ["EWR-IAH"]}, "columns": values}
    assert asked(feast, "POST", "delays/values", row) == (200, {"written": 1, "older": 0, "unknown": []})
    earlier = {**row, "observed": ["2013-07-01T09:00:00Z"]}
    assert asked(feast, "POST", "delays/values", earlier) == (200, {"written": 0, "older": 1, "unknown": []})
    _, found = asked(
        feast,
        "POST",
        "delays/get-online-features",
        {"feature_service": "late_always_week", "entities": {"route": ["EWR-IAH", "EWR-LAX"]}},
    )
    # In the order of the view, which is that of whoever told of a column first.
    results = dict(zip(found["metadata"]["feature_names"], found["results"], strict=True))
    assert {name: each["values"] for name, each in results.items() if name != "route"} == {
        "always": [1.0, None],
        "week": [0.25, None],
    }
    assert results["always"]["event_timestamps"][0] == "2013-07-01T10:00:00Z"
    assert asked(feast, "PUT", "delays/definitions", definitions("since"))[0] == 200
    of_new = {"feature_service": "late_since", "entities": {"route": ["EWR-IAH"]}}
    _, found = asked(feast, "POST", "delays/get-online-features", of_new)
    # A row that is older than all columns that are asked for.
    assert [each["values"] for each in found["results"]] == [["EWR-IAH"], [None]]
    assert asked(feast, "PUT", "delays/definitions", definitions("week", kind="long"))[0] == 409
    long = 200 if feast.kept.long_names else 422
    assert asked(feast, "PUT", "delays/definitions", definitions("week", "year", name="r" * 60))[0] == long
    assert asked(feast, "PUT", "nobody/definitions", definitions("week"))[0] == 404


@pytest.mark.usefixtures("told")
def test_an_erased_entity_is_in_no_group_and_all_other_rows_are_as_they_were(feast: Feast) -> None:
    base = f"http://127.0.0.1:{feast.online}"
    # moto takes its time for each row.
    rows = 220 if feast.kept.variables else onlineerasing.VISITS
    onlineerasing.check(Online.of(base, "late-flights"), Online.of(base, "delays"), rows)


@pytest.mark.usefixtures("told")
def test_it_is_ready_while_its_database_answers_and_heals_by_itself(feast: Feast) -> None:
    assert feast.get("/ready") == 200
    with feast.kept.away():
        assert (feast.get("/ready"), feast.get("/alive")) == (503, 200)
    until(lambda: feast.get("/ready") == 200, feast.folder)
    with administrator(feast.database) as admin:
        for _ in range(2):
            admin.execute(CUT)
            assert feast.lookup("delays", 1)["wind"] == [1.5]


@pytest.mark.usefixtures("told")
def test_no_file_holds_the_password(feast: Feast) -> None:
    held = [each for each in feast.folder.rglob("*") if each.is_file() and b"ret@127" in each.read_bytes()]
    assert held == []
