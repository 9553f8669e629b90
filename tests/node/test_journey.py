"""A model's life on a platform that really runs: put there by `mlplat up`, served, replaced, broken, killed.

Every part is the shipped one: images built from the shipped Dockerfiles, MLflow on PostgreSQL and S3, the controller,
the model servers, Envoy Gateway. The tests stand in the order of that life, and each goes on where the last one ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

import kubeplatform
from commands import ROOT, until
from kubeplatform import API_KEY, BUCKETS, TEAM, WRITER, WRITERS_KEY, Platform
from mlplat.bundle import Column, Contract
from mlplat.contracts import PREDICTIONS
from mlplat.controller.kubernetes.bucket import Bucket
from mlplat.labels import Name
from mlplat.manifests import names
from mlplat.runtime.monitoring import source
from mlplat.serving import parts
from mlplat.spec import project as projects
from mlplat.targets.kubernetes import writers

REASON = kubeplatform.missing()
pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(
        REASON is not None and "node" not in os.environ.get("MLPLAT_REQUIRE", "").split(","), reason=str(REASON)
    ),
]
RENT = "flights/rent"
PROJECT = """\
version: 1
platform: mlplat
project: flights
model: rent
task: regression
data: {source: flights, target: late}
serving: {scale: {min_replicas: 2, max_replicas: 2, cpu: 0.1, memory_mib: 512}}
prediction_log: {hash: [rooms]}
rollout: {min_requests: 60, min_seconds: 2, max_error_increase: 0.1, latency_slack_ms: 500, bake_seconds: 20}
"""
HARD = 0.0
"""What a fragile model cannot take."""
PACE_SECONDS = 0.02
LARGE_BYTES = 24 * 2**20
"""More than any buffer on the way holds."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with kubeplatform.standing(tmp_path_factory.mktemp("journey")) as made:
        yield made


@pytest.fixture(scope="module")
def project(platform: Platform) -> Path:
    """Return the folder of a project of the team's."""
    folder = platform.repository.folder / "rent"
    folder.mkdir()
    # What its environment is made of, for what looks into its data.
    shutil.copy(ROOT / "templates" / "tabular" / "project" / "requirements.txt", folder)
    (folder / "mlplat.yaml").write_text(PROJECT)
    return folder


@dataclass
class Traffic:
    """Requests that arrive all the while."""

    url: str
    answered: Counter[str] = field(default_factory=Counter)
    """Requests by the version that answered."""
    failed: list[str] = field(default_factory=list)

    def ask(self, *metres: float, key: str = API_KEY) -> dict[str, Any]:
        """Ask once, for homes of these sizes. Raises `OSError`."""
        body = json.dumps({"rows": [{"rooms": rooms(each), "metres": each} for each in metres or [50.0]]}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json", "x-api-key": key})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                told: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as refused:
            # It is an answer too, and holds its connection.
            refused.close()
            raise
        return told

    def once(self, metres: float) -> None:
        """Ask once, and note who answered or what was wrong."""
        try:
            self.answered[str(self.ask(metres)["version"])] += 1
        except OSError as error:
            self.failed.append(str(error))

    @contextlib.contextmanager
    def flowing(self) -> Iterator[Traffic]:
        """Let requests arrive one after the other; every second row is a hard one."""
        stop = threading.Event()

        def ask() -> None:
            metres = 50.0
            while not stop.wait(PACE_SECONDS):
                metres = HARD if metres else 50.0
                self.once(metres)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            yield self
        finally:
            stop.set()
            asking.join()


@pytest.fixture
def traffic(platform: Platform) -> Traffic:
    return Traffic(f"{platform.gateway()}/endpoints/{RENT}/predict")


@pytest.fixture
def log(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return where the endpoint's prediction log lies, which this process may read for a test."""
    for name, value in platform.entry().items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKETS['data']}/{TEAM}/{PREDICTIONS}/{Name.parse(RENT).id}"


def rooms(metres: float) -> float:
    """Return the rooms of a home: two for an even number of square metres, three for an odd one."""
    return 2.0 + metres % 2


def logged(log: str) -> Counter[float]:
    """Return how often each home lies in the bucket, by its square metres."""
    read = parts.read(log, ["input_metres"])
    return Counter(read["input_metres"].to_pylist() if read.num_rows else [])


def homes(start: int, count: int = kubeplatform.ROWS_PER_PART) -> set[float]:
    """Return sizes from one on; without a count, as many as fill a part of the log."""
    return {float(start + place) for place in range(count)}


def deploy(platform: Platform, project: Path, version: str, *, code: int = 0) -> Any:
    argv = ("deploy", "--version", version, "-s", "small", "--json", "--timeout", "600")
    return platform.repository.mlplat.run(*argv, cwd=project, timeout=900, code=code)


def kinds(platform: Platform) -> list[str]:
    """Return what happened to the endpoint, by kind of event."""
    told = platform.run("rollout", "history", RENT, "--json").json()
    return [each["kind"] for each in told]


def pods(platform: Platform, namespace: str, **labels: str) -> dict[str, dict[str, Any]]:
    found = platform.cluster.list("v1", "Pod", namespace, labels)
    return {each["metadata"]["name"]: each for each in found if not each["metadata"].get("deletionTimestamp")}


def kill(platform: Platform, namespace: str, pod: str) -> None:
    """End a pod at once, as a node that is gone ends it."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
    platform.cluster.ask("DELETE", path, body={"gracePeriodSeconds": 0})


def test_every_service_is_ready_when_up_has_ended(platform: Platform) -> None:
    told = platform.run("status", "--json").json()
    assert all(each["ready"] for each in told), told
    for each in ("tracking", "features", "online", "controller"):
        (pod,) = pods(platform, names.NAMESPACE, **{"app.kubernetes.io/name": each}).values()
        assert "@sha256:" in pod["spec"]["containers"][0]["image"]


def test_a_second_up_changes_nothing(platform: Platform) -> None:
    assert platform.run("up", "--yes", "--json").json()["changes"] == []


def test_a_version_is_served_to_whoever_has_a_key(platform: Platform, project: Path, traffic: Traffic) -> None:
    version = platform.publish(RENT)
    deploy(platform, project, version)
    until(lambda: _works(traffic), what="the first answer")
    answer = traffic.ask()
    assert answer["version"] == version
    assert answer["predictions"][0]["value"] == pytest.approx(900)
    with pytest.raises(urllib.error.HTTPError) as refused:
        traffic.ask(key="somebody's guess")
    assert refused.value.code == 401


def test_a_model_is_registered_through_the_gateway_by_whoever_has_a_key_to_write(platform: Platform) -> None:
    way = f"{platform.gateway()}{writers.PATH}"
    refused = platform.register(way, "flights/hall", token=API_KEY)
    assert refused.returncode != 0
    assert "401" in refused.stderr
    done = platform.register(way, "flights/hall", token=WRITERS_KEY)
    assert done.returncode == 0, done.stderr
    told = platform.run("model", "list", "--json").json()
    assert [each["version"] for each in told if each["model"] == "flights/hall"] == done.stdout.splitlines()[-1:]
    # Who it was, in the gateway's own words, which its proxies write down within seconds.
    until(lambda: _told(platform) == {(HTTPStatus.UNAUTHORIZED, None), (HTTPStatus.OK, WRITER)}, what="who has called")


def test_a_large_file_passes_the_gateway_on_its_way_to_mlflow_and_back(platform: Platform) -> None:
    at = f"{platform.gateway()}{writers.PATH}/api/2.0/mlflow-artifacts/artifacts/0/large/artifacts/file.bin"
    content = os.urandom(LARGE_BYTES)
    headers = {"Authorization": f"Bearer {WRITERS_KEY}", "Content-Type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(at, content, headers, method="PUT"), timeout=120) as answer:
        assert answer.status == HTTPStatus.OK
    with urllib.request.urlopen(urllib.request.Request(at, headers=headers), timeout=120) as answer:
        assert answer.read() == content


def test_what_is_answered_comes_to_the_bucket_once_and_hashed_where_that_is_asked_for(
    traffic: Traffic, log: str
) -> None:
    asked = homes(1000)
    answer = traffic.ask(*asked)
    until(lambda: asked <= logged(log).keys(), what="a part in the bucket")
    rows = parts.read(log).to_pandas()
    mine = rows[rows["input_metres"].isin(asked)]
    assert sorted(mine["input_metres"]) == sorted(asked)
    assert mine["value"].tolist() == pytest.approx((18 * mine["input_metres"]).tolist())
    assert {*mine["endpoint"], *mine["version"], *mine["revision"]} == {RENT, answer["version"], answer["revision"]}
    assert "input_rooms" not in rows
    hashes = mine.groupby(mine["input_metres"].map(rooms))["hash_rooms"].unique()
    assert [len(each) for each in hashes] == [1, 1]
    assert len({*hashes[2.0], *hashes[3.0]}) == 2


def test_a_monitor_finds_what_was_asked_in_the_bucket(
    project: Path, traffic: Traffic, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(source.PREDICTIONS, log.rpartition("/")[0])
    spec = projects.read(project / "mlplat.yaml")
    columns = tuple(Column(name=name, type="double") for name in ("rooms", "metres"))
    contract = Contract(project=TEAM, model="rent", task="regression", columns=columns)
    version, place = str(traffic.ask()["version"]), source.place_of(spec, Name.parse(RENT))
    seen = source.from_log(spec, place, contract, version, _unlabelled, until=pd.Timestamp.now("UTC"))
    assert homes(1000) <= {*seen.features["metres"]}
    assert (seen.unwatched, seen.outcomes) == (("rooms",), None)


def test_what_a_pod_has_not_shipped_is_shipped_at_its_end(platform: Platform, traffic: Traffic, log: str) -> None:
    serving = {names.ENDPOINT: "rent", names.REVISION: traffic.ask()["revision"]}
    before = pods(platform, TEAM, **serving)
    pod, found = next(iter(before.items()))
    alone = Traffic(f"http://{found['status']['podIP']}:8080/predict")
    # With a whole part it writes down whatever waited, and what comes then waits for a minute.
    alone.ask(*homes(2000))
    until(lambda: homes(2000) <= logged(log).keys(), what="a part in the bucket")
    last = homes(3000, 7)
    alone.ask(*last)
    assert not last & logged(log).keys()
    platform.cluster.delete("v1", "Pod", pod, TEAM)
    until(lambda: platform.cluster.get("v1", "Pod", pod, TEAM) is None, what="the pod's end")
    assert {each: count for each, count in logged(log).items() if each in last} == dict.fromkeys(last, 1)
    until(lambda: _replaced(pods(platform, TEAM, **serving), before), 120, "another one is ready")


def test_an_erasure_reaches_the_bucket_by_what_is_hashed_there(platform: Platform, project: Path, log: str) -> None:
    before = logged(log)
    argv = ("data", "erase", "rooms=3", "--reason", "the tenant asked for it", "-s", "small", "--json")
    told = platform.repository.mlplat.run(*argv, cwd=project, timeout=900).json()
    kept = {each: count for each, count in before.items() if rooms(each) == 2.0}
    assert {each["holder"] for each in told["held"]} == {"prediction log"}
    assert sum(each["rows"] for each in told["held"]) == before.total() - sum(kept.values())
    after = logged(log)
    assert {each for each in after if rooms(each) != 2.0} == set()
    assert after >= Counter(kept)


def test_a_part_that_is_too_old_leaves_the_bucket_and_no_other_does(platform: Platform, log: str) -> None:
    store, name = kubeplatform.store(platform.objects), BUCKETS["data"]
    bucket, below = Bucket(store, name), log.removeprefix(f"s3://{name}/")
    present = bucket.sizes(f"{below}/")
    like = min(present)
    old = f"{like.rpartition('/')[0]}/20000101T000000-0-000001.parquet"
    store.copy_object(Bucket=name, Key=old, CopySource={"Bucket": name, "Key": like})
    # The controller looks once an hour, and when it begins.
    (controller,) = pods(platform, names.NAMESPACE, **{"app.kubernetes.io/name": "controller"})
    kill(platform, names.NAMESPACE, controller)
    until(lambda: old not in bucket.sizes(f"{below}/"), 120, "it is gone")
    assert present.keys() <= bucket.sizes(f"{below}/").keys()


def test_a_new_version_takes_over_while_the_controller_is_killed(
    platform: Platform, project: Path, traffic: Traffic
) -> None:
    before, version = traffic.ask()["version"], platform.publish(RENT)
    with traffic.flowing(), ThreadPoolExecutor(1) as beside:
        rollout = beside.submit(deploy, platform, project, version)
        until(lambda: rollout.done() or traffic.answered[version], 300, "the canary answers")
        (controller,) = pods(platform, names.NAMESPACE, **{"app.kubernetes.io/name": "controller"})
        assert not rollout.done(), rollout.result()
        kill(platform, names.NAMESPACE, controller)
        rollout.result()
        until(lambda: set(_answering(traffic)) == {version}, what="everybody gets the new version")
    assert traffic.failed == []
    assert traffic.answered[before]
    # The first one, and this one: once each, whoever went on with it.
    assert kinds(platform).count("promoted") == 2


def test_a_version_that_fails_is_taken_back(platform: Platform, project: Path, traffic: Traffic) -> None:
    before, version = traffic.ask()["version"], platform.publish(RENT, "fragile")
    with traffic.flowing():
        refused = deploy(platform, project, version, code=1)
        until(lambda: set(_answering(traffic)) == {before}, what="everybody gets the old version again")
    assert "error" in refused.err
    assert traffic.answered[version]
    # Only what the broken one answered, and of that every second request.
    assert 0 < len(traffic.failed) <= 2 * traffic.answered[version] + 20
    assert {each.split(":")[0] for each in traffic.failed} == {"HTTP Error 500"}


def test_a_model_server_killed_under_traffic_is_missed_by_nobody(platform: Platform, traffic: Traffic) -> None:
    serving = {names.ENDPOINT: "rent", names.REVISION: traffic.ask()["revision"]}
    with traffic.flowing():
        before = pods(platform, TEAM, **serving)
        assert len(before) == 2
        kill(platform, TEAM, next(iter(before)))
        until(lambda: _replaced(pods(platform, TEAM, **serving), before), 120, "another one is ready")
    assert traffic.answered
    assert traffic.failed == []


def test_down_leaves_nothing(platform: Platform) -> None:
    platform.run("down", "--yes", "--delete-data", "--confirm", "mlplat")
    left = {each["metadata"]["name"] for each in platform.cluster.list("v1", "Namespace")}
    assert not {names.NAMESPACE, TEAM} & left


def _unlabelled() -> NoReturn:
    raise AssertionError("nothing says how a prediction finds its label")


def _told(platform: Platform) -> set[tuple[int, str | None]]:
    """Return the answers to writers that the gateway's log tells of, and to whom each was."""
    lines = [line for line in platform.run("logs", "gateway", "-n", "2000").out.splitlines() if "{" in line]
    told = [json.loads(line[line.index("{") :]) for line in lines if "httproute/mlplat/tracking/" in line]
    return {(each["status"], each["caller"]) for each in told if each["status"] in {200, 401}}


def _works(traffic: Traffic) -> bool:
    with contextlib.suppress(OSError):
        return bool(traffic.ask())
    return False


def _answering(traffic: Traffic) -> list[str]:
    """Return the versions that answer now."""
    before = Counter(traffic.answered)
    until(lambda: (traffic.answered - before).total() >= 20, what="twenty answers")
    return list(traffic.answered - before)


def _replaced(now: dict[str, Any], before: dict[str, Any]) -> bool:
    return set(now) != set(before) and len(now) == len(before) and all(map(_is_ready, now.values()))


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
