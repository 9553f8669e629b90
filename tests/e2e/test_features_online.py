"""The feature server of this computer, and a project that learns from live features: both ways give the same values."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import itertools
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import onlineerasing
from commands import PATIENCE, free_ports
from mlplat import clock, codebase, environment
from mlplat.bundle import CONTRACT_FILE, Column, Contract, LookUp, digest
from mlplat.contracts import FEATURES, Connection, Foundation
from mlplat.errors import RefusedError, UnreachableError
from mlplat.labels import Name
from mlplat.runtime import bundles, online, table
from mlplat.runtime.online import Online
from mlplat.runtime.registry import TRACKING, Entry, client, log
from mlplat.runtime.snapshots import erasure
from mlplat.runtime.snapshots.holders import InOnlineStore
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.tombstones import Tombstone, Tombstones
from mlplat.runtime.split import asked_at
from mlplat.scaffold import project, template
from mlplat.services import Service
from mlplat.services.features import features
from mlplat.services.tracking import tracking
from mlplat.serving.features import Features, LookUpError
from mlplat.serving.gaps import Gap
from mlplat.serving.metrics import LookUpMetrics, Metrics
from mlplat.spec import project as spec
from mlplat.spec.platform import FeatureServerSpec, PlatformSpec, TrackingSpec
from mlplat.targets.local.folders import service_data
from mlplat.targets.local.resolve import resolve

pytestmark = pytest.mark.e2e
SECONDS = PATIENCE * 120
TIMES = [pd.Timestamp(text, tz="UTC") for text in ("2013-06-13 10:00", "2013-06-13 15:00", "2013-06-13 20:00")]
"""Of a day of storms, at a full hour, when many flights are asked for."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which services keep what they are told."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def server(state: Path) -> Iterator[str]:
    """Start the feature server as `up` does, and return its address."""
    made = PlatformSpec(features=FeatureServerSpec(enabled=True, port=free_ports(1)[0]))
    (service,) = features(made)
    with standing(service, made, state, made.features.port) as url:
        yield url


@pytest.fixture(scope="module")
def registry(state: Path) -> Iterator[str]:
    """Start MLflow likewise."""
    made = PlatformSpec(tracking=TrackingSpec(port=free_ports(1)[0]))
    with standing(tracking(made), made, state, made.tracking.port) as url:
        yield url


@contextmanager
def standing(service: Service, made: PlatformSpec, state: Path, port: int) -> Iterator[str]:
    """Run a service of a platform; yield its address."""
    environment.service(service.image, progress=print)
    database, artifacts = f"sqlite:///{state / 'tracking.db'}", str(state / "artifacts")
    program = resolve(service, made, Foundation(str(state), artifacts, database)).program
    variables = {**program.env, "PYTHONPATH": str(codebase.folder())}
    url, kept = f"http://127.0.0.1:{port}", state / f"{service.name}.log"
    with kept.open("w+") as log:
        process = subprocess.Popen(program.argv, env=variables, cwd=state, stdout=log, stderr=log)
        try:
            until_ready(url + service.ready.path, process, kept)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE * 30)


def until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"not ready: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[SimpleNamespace]:
    """Return a rendered project on a platform with that server, its flights of a few weeks, and their rows."""
    into = tmp_path_factory.mktemp("projects")
    folder = project.create("online-live", template.find("tabular"), {"features": "live"}, into=into, ask=None).folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FEATURES, server)
        patch.syspath_prepend(str(folder / "src"))
        names = ("data", "features", "live", "stream")
        modules = {name: importlib.import_module(f"online_live.{name}") for name in names}
        written = spec.read(folder / "mlplat.yaml")
        raw = modules["data"].load(written, folder)
        some = raw.flights["month"].between(5, 6).to_numpy()
        raw = dataclasses.replace(raw, flights=raw.flights[some].reset_index(drop=True))
        patch.setattr(modules["data"], "load", lambda *_: raw)
        rows = modules["features"].build(raw, written)
        asked = Online.of_run(written.project)
        yield SimpleNamespace(folder=folder, spec=written, raw=raw, rows=rows, server=asked, **modules)
    for name in [name for name in sys.modules if name.partition(".")[0] == "online_live"]:
        del sys.modules[name]


def contract(made: SimpleNamespace, *, without: Sequence[str] = ()) -> Contract:
    """Return what a training of these rows would write down, or one before some columns were thought of."""
    kept = made.rows[[name for name in table.feature_names(made.rows, made.spec) if name not in without]]
    found = online.look_ups(made.spec, kept, online.keys_of(made.rows, made.spec))
    columns = bundles.columns_of(kept)
    return Contract(project=made.spec.project, model="late", task="binary", columns=columns, **found)


def look_up(server: Online, service: str, rows: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ask as a model server does; return values and the times that they are of, a column a feature."""
    entities = {key: [bundles.plain({key: value})[key] for value in rows[key]] for key in keys}
    body = json.dumps({"feature_service": service, "entities": entities}).encode()
    request = urllib.request.Request(
        f"{server.url}/get-online-features", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    found = dict(zip(told["metadata"]["feature_names"], told["results"], strict=True))
    values = pd.DataFrame({name: each["values"] for name, each in found.items()}, index=rows.index)
    times = pd.DataFrame({name: each["event_timestamps"] for name, each in found.items()}, index=rows.index)
    return values, times.apply(pd.to_datetime, utc=True)


def replayed(made: SimpleNamespace, since: pd.Timestamp, at: pd.Timestamp, patch: pytest.MonkeyPatch) -> None:
    """Let what happened between two times happen, and push as the project's commands do."""
    patch.setenv(clock.VARIABLE, at.isoformat())
    told = made.stream.history(made.raw, made.spec)
    known = (told["known"] >= since) & (told["known"] <= at)
    made.stream.publish(told[known], made.stream._stream(made.spec))
    made.stream._follow(Namespace(at=at.isoformat(), push=True, every=None))
    made.stream._materialize(Namespace(at=at.isoformat()))


def test_what_is_looked_up_is_what_training_would_have_built(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told, asked = contract(made), asked_at(made.rows, made.spec.data)
    online.define(told)
    columns = [name for each in told.lookups for name in each.columns]
    assert len(columns) == 9 + 6 + 3 * 5
    compared = 0
    for since, at in zip([TIMES[0] - pd.Timedelta(days=1), *TIMES], TIMES, strict=False):
        replayed(made, since, at, monkeypatch)
        rows = made.rows[asked == at]
        found, times = look_up(made.server, told.features, rows, online.key_names(made.spec))
        for name in columns:
            expected, got = rows[name].astype("float64"), found[name].astype("float64")
            pd.testing.assert_series_equal(got, expected, check_exact=True, obj=f"{name} at {at}")
        # What TTLs are held against: the report's own hour, and the moment for which the last hours were summed.
        assert (times["temp"] == rows["weather_observed"]).all()
        assert (times["airport_overdue"] == at).all()
        compared += found[columns].notna().to_numpy().sum()
    assert compared > 700
    assert "is not pushed" not in capsys.readouterr().err


CARRIER = Column(name="carrier", type="string")


def grown(service: str, *columns: str, key: Column = CARRIER, kind: Any = "double") -> Contract:
    """Return the contract of a version that looks some columns of one group up."""
    found = LookUp(group="grown", keys=(key,), columns=columns, ttl_seconds=60)
    types = tuple(Column(name=name, type=kind) for name in columns)
    return Contract(
        project="online-live", model="late", task="binary", columns=types, features=service, lookups=(found,)
    )


def push(server: Online, at: str, **values: float | None) -> online.Pushed:
    row = pd.DataFrame([{"carrier": "AA", "observed": pd.Timestamp(at), **values}])
    return server.push("grown", row, keys=["carrier"], observed="observed")


def read(server: Online, service: str) -> tuple[dict[str, Any], pd.Timestamp]:
    found, times = look_up(server, service, pd.DataFrame({"carrier": ["AA"]}), ["carrier"])
    plain = bundles.plain(found.drop(columns="carrier").iloc[0].to_dict())
    return plain, times.drop(columns="carrier").iloc[0].max()


def test_an_older_version_goes_on_with_its_columns_while_the_group_grows_and_shrinks(made: SimpleNamespace) -> None:
    online.define(grown("older", "a", "b"))
    push(made.server, "2013-06-01T10:00Z", a=1.0, b=2.0)
    # Pushed before anybody has trained with it.
    assert push(made.server, "2013-06-01T11:00Z", a=3.0, b=4.0, c=5.0).unknown == {"c"}
    online.define(grown("newer", "a", "c"))
    assert read(made.server, "older") == ({"a": 3.0, "b": 4.0}, pd.Timestamp("2013-06-01T11:00Z"))
    # What nobody pushes any more is not as new as the rest of its row: it is not known.
    push(made.server, "2013-06-01T12:00Z", a=6.0, c=7.0)
    assert read(made.server, "older") == ({"a": 6.0, "b": None}, pd.Timestamp("2013-06-01T12:00Z"))
    assert read(made.server, "newer")[0] == {"a": 6.0, "c": 7.0}


def test_a_value_never_goes_back_in_time_and_may_become_unknown(made: SimpleNamespace) -> None:
    online.define(grown("only", "a"))
    push(made.server, "2013-06-02T12:00Z", a=1.0)
    told = push(made.server, "2013-06-02T11:59Z", a=2.0)
    assert (told.written, told.older) == (0, 1)
    assert read(made.server, "only")[0] == {"a": 1.0}
    # Feast's own way leaves the last value where all features of a row have become unknown.
    push(made.server, "2013-06-02T13:00Z", a=None)
    assert read(made.server, "only") == ({"a": None}, pd.Timestamp("2013-06-02T13:00Z"))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (grown("x", "a", key=Column(name="dest", type="string")), "is looked up by `carrier`"),
        (grown("x", "a", kind="long"), "`grown.a` is of type double, and not long"),
        (grown("x", "new", key=Column(name="carrier", type="long")), "the key `carrier` is of type string"),
    ],
)
def test_what_would_take_an_older_versions_values_away_is_refused(
    made: SimpleNamespace, other: Contract, why: str
) -> None:
    online.define(grown("first", "a"))
    with pytest.raises(RefusedError, match=why):
        online.define(other)


def test_bad_documents_are_refused_with_the_place(made: SimpleNamespace) -> None:
    online.define(grown("first", "a"))
    with pytest.raises(RefusedError, match=r"columns.a.0: 'much' is no double"):
        push(made.server, "2013-06-03T12:00Z", a="much")  # type: ignore[arg-type]  # that is what is tried
    bad = json.dumps({"service": "x", "groups": [{"name": "Grown", "keys": [], "columns": []}]}).encode()
    request = urllib.request.Request(f"{made.server.url}/definitions", bad, method="PUT")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    with caught.value as error:
        assert (error.code, json.load(error)["error"][:13]) == (422, "groups.0.name")


def test_a_model_server_reads_what_was_pushed(made: SimpleNamespace) -> None:
    """Nobody has pushed anything of the second key."""
    told = grown("served", "a", "served")
    online.define(told)
    row = pd.DataFrame([{"carrier": "ZZ", "observed": TIMES[0], "a": 1.5, "served": None}])
    made.server.push("grown", row, keys=["carrier"], observed="observed")
    gap = Gap(told.lookups, [0, 1], [("ZZ",), ("nobody",)])
    outcomes = []
    for seconds in (30, 90):
        moved = clock.Clock(TIMES[0].to_pydatetime() + timedelta(seconds=seconds) - datetime.now(UTC))
        metrics = LookUpMetrics(Metrics(info={"version": "1"}, bounds=()), ["grown"])
        features = Features(made.server.url, told, metrics, clock=moved, timeout=SECONDS)
        asyncio.run(filled(features, gap))
        outcomes.append([gap.found[key][0] for key in gap.keys])
    assert outcomes == [[("found", (1.5, None)), ("absent", ())], [("stale", ()), ("absent", ())]]


async def filled(features: Features, gap: Gap) -> None:
    try:
        await features.fill([gap], None)
    finally:
        features.close()


def test_an_erased_entity_is_gone_from_the_store_and_from_its_files(server: str, state: Path) -> None:
    forgetful, twin = Online.of(server, "forgetful"), Online.of(server, "twin")
    onlineerasing.check(forgetful, twin)
    (home,) = {path.parent for path in state.rglob("forgetful/online.db")}
    held = [path.name for path in home.iterdir() if onlineerasing.WHOM.encode() in path.read_bytes()]
    assert held == []
    assert onlineerasing.WHOM not in (state / "features.log").read_text()


def test_a_server_that_knows_no_such_project_holds_nothing_of_anybody(server: str) -> None:
    nobody = Online.of(server, "nobody")
    assert (nobody.holding("person", "7"), nobody.erase("people", "person", "7")) == ([], None)
    with pytest.raises(UnreachableError, match="does not answer"):
        Online.of(f"http://127.0.0.1:{free_ports(1)[0]}", "nobody").holding("person", "7")


def test_a_project_whose_files_are_broken_begins_anew_once_they_are_moved_away(tmp_path: Path) -> None:
    home = service_data(tmp_path, "features") / "broken"
    home.mkdir(parents=True)
    (home / "registry.db").write_bytes(b"no database" * 1000)
    made = PlatformSpec(features=FeatureServerSpec(enabled=True, port=free_ports(1)[0]))
    (service,) = features(made)
    with standing(service, made, tmp_path, made.features.port) as url:
        broken = Online.of(url, "broken")
        for ask in (lambda: broken.define(onlineerasing.contract()), lambda: broken.holding("person", "7")):
            with pytest.raises(UnreachableError, match="move it away, and push again"):
                ask()
        home.rename(tmp_path / "away")
        assert broken.holding("person", "7") == []
        assert broken.define(onlineerasing.contract())


class Mortal(Place):
    """A place whose process is killed at its n-th change."""

    def __init__(self, address: str, left: int) -> None:
        super().__init__(address)
        self.left = left

    def write(self, name: str, content: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        super().write(name, content)


def erased(place: Place, server: Online) -> Tombstone:
    """Erase one person from an online store, as a project's own process does."""
    return erasure.erase(
        [InOnlineStore(server)],
        Tombstones(place),
        "person",
        onlineerasing.WHOM,
        reason="asked",
        now=TIMES[0].to_pydatetime(),
        versions=[],
    )


def test_an_erasure_that_is_killed_anywhere_is_finished_by_the_next(server: str, tmp_path: Path) -> None:
    """Kill it at every single change in turn; a server that was away meanwhile is one more interruption."""
    killed, outcomes = Online.of(server, "killed"), []
    for left in itertools.count():
        onlineerasing.fill(killed, onlineerasing.tables())
        address, survived = (tmp_path / str(left)).as_uri(), True
        try:
            erased(Mortal(address, left), killed)
        except KeyboardInterrupt:
            survived = False
        place = Place(address)
        assert erased(place, Online(f"http://127.0.0.1:{free_ports(1)[0]}")).unreached[0].startswith("the online store")
        made = erased(place, killed)
        assert (made.ended is not None, made.unreached) == (True, [])
        assert killed.holding("person", onlineerasing.WHOM) == []
        outcomes.append([vars(each) for each in made.held])
        if survived:
            break
    assert left >= 5
    assert [each["rows"] for each in outcomes[0]] == [1, onlineerasing.VISITS // 2]
    assert all(outcome == outcomes[-1] for outcome in outcomes)


COMMAND = """
import sys
from pathlib import Path
from mlplat.cli import cli
from mlplat.runs import prepare
prepare.prepare = lambda *_, **__: Path(sys.executable)
cli()
"""
"""The command line, for a project whose environment is the tests' own."""


@pytest.fixture
def known(made: SimpleNamespace, server: str, registry: str, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the project find its platform, and MLflow its server; nothing was told or pushed, and nothing followed."""
    shutil.rmtree(service_data(state, "features") / "online_live", ignore_errors=True)
    shutil.rmtree(made.folder / ".mlplat" / "stream", ignore_errors=True)
    (made.folder / ".mlplat" / "follow.json").unlink(missing_ok=True)
    monkeypatch.setenv(TRACKING, registry)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)  # MLflow sets it, which is undone with this
    store = f"sqlite:///{state / 'endpoints.db'}"
    Connection(made.spec.platform, "local", "local", registry, "", store, features=server).write()


@pytest.mark.usefixtures("known")
def test_what_was_erased_by_the_command_is_not_pushed_again(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    online.define(contract(made))
    replayed(made, TIMES[0] - pd.Timedelta(days=1), TIMES[0], monkeypatch)
    groups = {each["group"]: each["rows"] for each in made.server.holding("origin", "LGA")}
    assert set(groups) == {"weather", "rates", "airport", "airline"}

    def erase(*given: str) -> Any:
        argv = [sys.executable, "-c", COMMAND, "data", "erase", "origin=LGA", "--json", *given]
        done = subprocess.run(argv, cwd=made.folder, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    looked = erase("--dry-run")
    assert {each["item"]: each["rows"] for each in looked["held"]} == groups
    assert {each["group"] for each in made.server.holding("origin", "LGA")} == set(groups)
    try:
        told = erase("--reason", "asked")
        assert {each["holder"] for each in told["held"]} == {"online store"}
        assert all(each["done"] and each["before"] != each["after"] is not None for each in told["held"])
        assert made.server.holding("origin", "LGA") == []
        capsys.readouterr()
        replayed(made, TIMES[0], TIMES[1], monkeypatch)
        written = [json.loads(line)["written"] for line in capsys.readouterr().out.splitlines()]
        assert [each.get("weather") for each in written] == [None, 2]
        assert written[0]["airport"] == 2
        assert made.server.holding("origin", "LGA") == []
        assert made.server.holding("origin", "JFK") != []
    finally:  # the project's other tests look at all airports
        shutil.rmtree(made.folder / ".mlplat" / "data" / "erasures")


def registered(made: SimpleNamespace, told: Contract, folder: Path) -> None:
    """Register a version whose bundle is nothing but its contract."""
    folder.mkdir()
    (folder / CONTRACT_FILE).write_text(told.model_dump_json())
    name, found = Name(made.spec.project, made.spec.model), digest(folder)
    tags = {"mlplat.digest": found, "mlplat.features": told.features}
    assert log(Entry(name, folder, found, {}, {}, tags, {"passed": True}), passed=True)[1]


@pytest.mark.usefixtures("known")
def test_a_store_that_was_lost_is_told_again_by_the_next_push_and_answers_without_a_restart(
    made: SimpleNamespace,
    state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of two versions, the newer one looks up more."""
    older, newer = contract(made, without=["temp"]), contract(made)
    for each in (older, newer):
        online.define(each)
        registered(made, each, tmp_path / each.features)
    # One of which nothing is left is no reason to forget the others.
    (run, *_) = client().search_model_versions(f"name='{made.spec.project}.{made.spec.model}'")
    client().create_model_version(run.name, f"{run.source}/gone", run.run_id, tags={"mlplat.features": "x"})
    replayed(made, TIMES[1] - pd.Timedelta(days=1), TIMES[1], monkeypatch)
    moved = clock.Clock(TIMES[1].to_pydatetime() - datetime.now(UTC))
    serving = LookUpMetrics(Metrics(info={"version": "1"}, bounds=()), [each.group for each in older.lookups])
    weather = tuple(each for each in older.lookups if each.group == "weather")

    async def ask(features: Features) -> Any:
        gap = Gap(weather, [0], [("JFK",)])
        await features.fill([gap], None)
        return gap.found[("JFK",)][0]

    async def life() -> Any:
        features = Features(made.server.url, older, serving, clock=moved, timeout=SECONDS)
        try:
            assert (await ask(features))[0] == "found"
            shutil.rmtree(service_data(state, "features") / "online_live")
            with pytest.raises(LookUpError, match="no project `online_live` has told of its features"):
                await ask(features)
            await asyncio.to_thread(replayed, made, TIMES[1], TIMES[1], monkeypatch)
            return await ask(features)
        finally:
            features.close()

    outcome, (wind, *_) = asyncio.run(life())
    rows = made.rows[asked_at(made.rows, made.spec.data) == TIMES[1]]
    assert (outcome, wind) == ("found", rows.loc[rows["origin"] == "JFK", weather[0].columns[0]].iloc[0])
    said = capsys.readouterr().err
    assert f"was told again: {newer.features}, {older.features}" in said
    assert "what version 3 looks up is not known" in said
    found, _ = look_up(made.server, newer.features, rows, online.key_names(made.spec))
    assert found["temp"].notna().any()
