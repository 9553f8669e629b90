"""Flows on a real API server, from `mlplat publish` to a run's end. Argo is not run: a test writes what it would."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from moto.server import ThreadedMotoServer
from pyarrow import parquet

import kubeapi
import kubecrds
import kubenodes
from mlplat.cli import cli
from mlplat.cli import data as cli_data
from mlplat.cluster import Cluster
from mlplat.contracts import Connection
from mlplat.controller.stores import Entry
from mlplat.errors import MlplatError
from mlplat.manifests import flows, names, pipeline
from mlplat.manifests.revision import KEY_FILE, LOG_KEY
from mlplat.runs import compiled, prepare, workflows
from mlplat.runtime.hashing import hash_rows
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.store import Snapshot, Snapshots, pack
from mlplat.serving import parts
from mlplat.spec.platform import parse_platform
from mlplat.targets.kubernetes import access, foundation
from mlplat.targets.kubernetes import flows as told
from mlplat.targets.kubernetes.ground import Ground

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("argoproj.io" in kubecrds.unchecked(), reason="MLPLAT_CRD_SCHEMAS names no folder with Argo's"),
]
TEAM, KEYS = "piping", "objects"
IMAGE = "registry.example.com/projects/piped@sha256:" + "1" * 64
SETTINGS = """\
version: 1
project: piped
platform: acme
model: late
task: binary
data: {source: flights, target: late}
pipelines:
  train:
    default: {pool: gpu, gpu: 1}
"""
SCHEDULE = "    schedule: {cron: ['30 4 * * mon']}\n"
FLOW = """\
from metaflow import FlowSpec, Parameter, step


class TrainFlow(FlowSpec):
    until = Parameter("until", default="")
    set_json = Parameter("set-json", default="{}")

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    TrainFlow()
"""
TEMPLATE = {"entrypoint": "all", "templates": [{"name": "all", "container": {"image": "flow:1"}}]}


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """Return the address of an object store with the bucket of pipelines."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    _s3(f"http://{host}:{port}").create_bucket(Bucket="pipelines")
    yield f"http://{host}:{port}"
    server.stop()


def _s3(address: str) -> Any:
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "word", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=address, **keys)


@pytest.fixture(scope="module")
def team(api: Cluster, store: str) -> Cluster:
    """Return the cluster with a team on it, to which the platform has said what it says to flows."""
    spec = parse_platform(
        {
            "version": 2, "name": "acme", "target": "kubernetes", "engine": {},
            "pools": {"gpu": {"node_selector": {"pool": "gpu"}, "gpu_count": 1, "max_size": 1}},
            "teams": {TEAM: {"projects": ["piped"], "members": ["analysts"]}},
            "kubernetes": {
                "context": "here", "production": False,
                "objects": {
                    "endpoint": store, "secret": KEYS,
                    "buckets": {each: each for each in ("data", "artifacts", "features", "pipelines")},
                },
            },
        },
        "a test",
    )  # fmt: skip
    kubenodes.namespace(api, TEAM)
    ground = Ground(provider=None, production=False, objects=foundation.objects(spec.kubernetes), databases={})
    for document in [told.document(TEAM, spec, ground), *access.roles(), *access.bindings(TEAM, ["analysts"], [])]:
        api.apply(document)
    keys = {
        key: base64.b64encode(value.encode()).decode() for key, value in (("access_key", "id"), ("secret_key", "word"))
    }
    api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": KEYS, "namespace": TEAM}, "data": keys})
    return api


@pytest.fixture(scope="module")
def compilations() -> dict[bytes, Any]:
    """Return what was compiled so far, by the flow's code: Metaflow takes seconds."""
    return {}


@pytest.fixture
def project(
    team: Cluster,
    kubernetes: kubeapi.Api,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compilations: dict[bytes, Any],
) -> Iterator[Path]:
    """Return a project at a commit, with a platform that is on the cluster; commands run in it."""
    address = Entry(kubeapi.CONTEXT, str(kubernetes.kubeconfig)).address()
    Connection("acme", "staging", "kubernetes", "", "", address, namespaces={"piped": TEAM, "other": TEAM}).write()
    folder = tmp_path / "repository" / "piped"
    (folder / "flows").mkdir(parents=True)
    (folder / "flows" / "train.py").write_text(FLOW)
    (folder / "mlplat.yaml").write_text(SETTINGS + SCHEDULE)
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    git(folder.parent, "init", "--quiet")
    commit(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(prepare, "prepare", lambda *_, **__: Path(sys.executable))
    monkeypatch.setattr(compiled, "compile_flow", _once(compilations))
    yield folder
    for kind in ("Workflow", "CronWorkflow", "WorkflowTemplate"):
        for each in team.list(pipeline.ARGO, kind, TEAM):
            team.delete(pipeline.ARGO, kind, each["metadata"]["name"], TEAM)


def _once(known: dict[bytes, Any]) -> Any:
    real = compiled.compile_flow

    def compile_flow(folder: Path, python: Path, flow: str, **told: Any) -> Any:
        code = (folder / "flows" / f"{flow}.py").read_bytes()
        if code not in known:
            known[code] = real(folder, python, flow, **told)
        return known[code]

    return compile_flow


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all", ".")
    git(folder, "commit", "--quiet", "--message", "a change")
    return git(folder, "rev-parse", "HEAD")


def mlplat(*words: str) -> Result:
    """Type a command; its exit code is the one a person would see."""
    result = CliRunner().invoke(cli, [*words, "-s", "staging"], standalone_mode=False)
    if isinstance(result.exception, MlplatError):
        result.exit_code = result.exception.exit_code
    elif result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def publish() -> dict[tuple[str, str], str]:
    """Publish the project; return what became of each object."""
    told = json.loads(mlplat("publish", "--image", IMAGE, "--json").stdout)
    return {(each["kind"], each["name"]): each["change"] for each in told["objects"]}


def template(name: str, project: str | None) -> dict[str, Any]:
    labels = {names.PROJECT: project, names.MANAGED_BY: names.MANAGER} if project else {}
    metadata = {"name": name, "namespace": TEAM, "labels": labels}
    return {"apiVersion": pipeline.ARGO, "kind": "WorkflowTemplate", "metadata": metadata, "spec": TEMPLATE}


def there(cluster: Cluster, kind: str) -> set[str]:
    return {each["metadata"]["name"] for each in cluster.list(pipeline.ARGO, kind, TEAM)}


def test_what_is_committed_is_published_and_what_is_gone_is_taken_away(
    project: Path, team: Cluster, store: str
) -> None:
    team.apply(template("other-train", "other"))
    team.apply(template("piped-old", "piped"))
    assert publish() == {
        ("WorkflowTemplate", "piped-train"): "created",
        ("CronWorkflow", "piped-train"): "created",
        ("WorkflowTemplate", "piped-old"): "removed",
    }
    made = team.get(pipeline.ARGO, "WorkflowTemplate", "piped-train", TEAM)
    assert made is not None
    assert made["metadata"]["annotations"][pipeline.COMMIT] == git(project, "rev-parse", "HEAD")
    steps = [each for each in made["spec"]["templates"] if "container" in each]
    assert {each["container"]["image"] for each in steps} == {IMAGE}
    assert {"pool": "gpu"} in [each["nodeSelector"] for each in steps]
    taken = {each["name"]: each.get("valueFrom") for each in steps[0]["container"]["env"]}
    assert taken["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": KEYS, "key": "secret_key"}}
    kept = _s3(store).list_objects_v2(Bucket="pipelines", Prefix=f"{TEAM}/metaflow/")["KeyCount"]
    assert kept > 0
    (project / "mlplat.yaml").write_text(SETTINGS)
    commit(project)
    assert publish() == {("WorkflowTemplate", "piped-train"): "changed", ("CronWorkflow", "piped-train"): "removed"}
    assert publish() == {("WorkflowTemplate", "piped-train"): "unchanged"}
    assert there(team, "WorkflowTemplate") == {"piped-train", "other-train"}


@pytest.mark.parametrize("change", ["flows/train.py", "flows/new.py"], ids=["changed", "new"])
def test_what_is_in_no_commit_is_not_published(project: Path, team: Cluster, change: str) -> None:
    with (project / change).open("a") as file:
        file.write("# a thought\n")
    refused = mlplat("publish", "--image", IMAGE)
    assert refused.exit_code == 1
    assert f"in no commit: {change}" in str(refused.exception) or f"/{change}" in str(refused.exception)
    assert there(team, "WorkflowTemplate") == set()


@pytest.mark.parametrize("owner", ["other", None])
def test_a_name_that_is_somebody_elses_stops_all_of_it(project: Path, team: Cluster, owner: str | None) -> None:
    team.apply(template("piped-train", owner))
    before = team.get(pipeline.ARGO, "WorkflowTemplate", "piped-train", TEAM)
    refused = mlplat("publish", "--image", IMAGE)
    assert refused.exit_code == 1
    assert "has a WorkflowTemplate `piped-train` already" in str(refused.exception)
    assert team.get(pipeline.ARGO, "WorkflowTemplate", "piped-train", TEAM) == before
    assert there(team, "CronWorkflow") == set()


def test_an_image_that_could_change_unseen_is_refused(project: Path) -> None:
    assert mlplat("publish", "--image", "registry.example.com/projects/piped:1").exit_code == 2


def test_a_run_is_of_what_was_published_and_is_listed_shown_and_ended(project: Path, team: Cluster) -> None:
    refused = mlplat("run", "train")
    assert refused.exit_code == 1
    assert "is not published on this platform" in str(refused.exception)
    publish()
    assert mlplat("run", "train", "--sample", "5").exit_code == 2
    began = mlplat("run", "train", "--until", "2024-05-20", "--set", "gate.margin=0.02", "--no-wait")
    name = began.stdout.strip()
    document = team.get(pipeline.ARGO, "Workflow", name, TEAM)
    assert document is not None
    given = {each["name"]: each["value"] for each in document["spec"]["arguments"]["parameters"]}
    assert given == {"until": '"2024-05-20"', "set-json": json.dumps('{"gate.margin": 0.02}')}
    known = {each["name"] for each in _template(team)["spec"]["arguments"]["parameters"]}
    assert given.keys() <= known
    strangers = {**document, "metadata": {**template("stranger", "other")["metadata"]}}
    team.create({key: strangers[key] for key in ("apiVersion", "kind", "metadata", "spec")})
    assert [each["id"] for each in json.loads(mlplat("run", "list", "--json").stdout)] == [name]
    assert f"run        {name}\nflow       train\nstatus     waiting\n" in mlplat("run", "show").stdout
    assert mlplat("run", "cancel", "stranger").exit_code == 2
    assert mlplat("run", "cancel", name).exit_code == 0
    ended = team.get(pipeline.ARGO, "Workflow", name, TEAM)
    assert ended is not None
    assert ended["spec"]["shutdown"] == "Terminate"
    team.merge(pipeline.ARGO, "Workflow", name, {"status": {"phase": "Failed"}}, TEAM, status=True)
    assert json.loads(mlplat("run", "show", name, "--json").stdout)["status"] == "cancelled"
    assert mlplat("run", "cancel", name).exit_code == 1


def _template(cluster: Cluster) -> dict[str, Any]:
    found = cluster.get(pipeline.ARGO, "WorkflowTemplate", "piped-train", TEAM)
    assert found is not None
    return found


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_run_is_followed_to_its_end(
    project: Path, team: Cluster, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    publish()
    monkeypatch.setattr(workflows, "LOOK_SECONDS", 0.05)
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:07Z"}
    ends = {"phase": phase, **times, "message": "no rows" if phase == "Failed" else ""}
    nodes = {"a": {"type": "Pod", "templateName": "start", "id": "a", "name": "a", "displayName": "start", **ends}}
    done = threading.Event()

    def argo() -> None:
        while not done.wait(0.02):
            for each in there(team, "Workflow"):
                change = {"status": {"phase": phase, **times, "nodes": nodes}}
                team.merge(pipeline.ARGO, "Workflow", each, change, TEAM, status=True)

    playing = threading.Thread(target=argo)
    playing.start()
    try:
        result = mlplat("run", "train")
    finally:
        done.set()
        playing.join()
    assert "took       7 s" in result.stdout
    if phase == "Succeeded":
        assert result.exit_code == 0
        assert "  start        7 s" in result.stderr
    else:
        assert result.exit_code == 1
        assert "train failed in step `start`: no rows" in str(result.exception)


def test_a_teams_members_may_do_all_that_and_nobody_else_anything(team: Cluster) -> None:
    needed = {
        ("get", "", "configmaps"), ("list", "argoproj.io", "workflowtemplates"), ("list", "argoproj.io", "workflows"),
        ("patch", "argoproj.io", "workflowtemplates"), ("patch", "argoproj.io", "cronworkflows"),
        ("delete", "argoproj.io", "workflowtemplates"), ("delete", "argoproj.io", "cronworkflows"),
        ("create", "argoproj.io", "workflows"), ("patch", "argoproj.io", "workflows"), ("list", "", "pods"),
        ("get", "", "pods/log"), ("patch", names.GROUP, "modelendpoints"), ("create", "", "pods/portforward"),
    }  # fmt: skip
    assert {each for each in needed if _may(team, "analysts", *each)} == needed
    assert {each for each in needed if _may(team, "strangers", *each)} == set()


def _may(cluster: Cluster, group: str, verb: str, api: str, resource: str) -> bool:
    whole, _, part = resource.partition("/")
    asked = {"verb": verb, "group": api, "resource": whole, "subresource": part, "namespace": TEAM}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "somebody", "groups": [group], "resourceAttributes": asked},
    }
    return bool(cluster.create(review)["status"]["allowed"])


def test_what_runs_there_have_kept_is_listed_and_erased_from_here(
    project: Path, team: Cluster, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, data = b"k" * 32, "data"
    _s3(store).create_bucket(Bucket=data)
    team.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": LOG_KEY, "namespace": TEAM},
         "data": {KEY_FILE: base64.b64encode(key).decode()}}
    )  # fmt: skip
    with monkeypatch.context() as pod:
        for name, value in {
            "AWS_ENDPOINT_URL_S3": store,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "w",
        }.items():
            pod.setenv(name, value)
        pod.setenv("AWS_DEFAULT_REGION", "us-east-1")
        rows = pd.DataFrame({"who": ["ada", "bob", "bob"], "late": [1, 0, 1]})
        kept = Snapshots(Place(f"s3://{data}/{TEAM}/projects/piped"))
        kept.keep(Snapshot(hash_rows(rows), "t", "t", 3, {"who": "str", "late": "int64"}, ["who"]), pack(rows), 5)
        hashed = pa.table({"hash_who": [parts.hash_text("who", name, key) for name in ("ada", "bob")]})
        part = io.BytesIO()
        parquet.write_table(hashed.replace_schema_metadata({parts.METADATA: b'{"version": 2}'}), part)
        Place(f"s3://{data}/{TEAM}/predictions").write("piped.late/r1/1.parquet", part.getvalue())
    monkeypatch.setattr(cli_data, "_versions", lambda *_: ([], []))
    (listed,) = json.loads(mlplat("data", "list", "--json").stdout)
    assert (listed["rows"], listed["kept"]) == (3, True)
    asked = mlplat("data", "erase", "who=bob", "--reason", "asked", "--json")
    told = json.loads(asked.stdout)
    assert {each["holder"]: each["rows"] for each in told["held"]} == {"snapshot": 2, "prediction log": 1}
    # What answers look-ups is a pod, which no node runs here: it is said, and no success.
    assert asked.exit_code == 1
    assert [each.partition(":")[0] for each in told["unreached"]] == ["the online store"]
    assert not (project / ".mlplat" / "data").exists(), "all of it is in the bucket"
    names = [each["Key"] for each in _s3(store).list_objects_v2(Bucket=data)["Contents"]]
    bodies = [_s3(store).get_object(Bucket=data, Key=name)["Body"].read() for name in names]
    assert not [
        name for name, body in zip(names, bodies, strict=True) if name.endswith("rows.parquet") and b"bob" in body
    ]


def test_a_platform_that_said_nothing_to_flows_is_not_published_to(project: Path, team: Cluster) -> None:
    kept = team.get("v1", "ConfigMap", flows.NAME, TEAM)
    assert kept is not None
    team.delete("v1", "ConfigMap", flows.NAME, TEAM)
    try:
        refused = mlplat("publish", "--image", IMAGE)
    finally:
        metadata = {key: kept["metadata"][key] for key in ("name", "namespace", "labels")}
        team.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": kept["data"]})
    assert refused.exit_code == 1
    assert "says nothing to flows" in str(refused.exception)
