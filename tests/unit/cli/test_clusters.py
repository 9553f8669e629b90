"""Verbs on a platform that is on a cluster: what they ask it, what they print, what they refuse."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from knowncluster import KnownCluster, deployment, made, pod
from mlplat.cli import cli, clusters, pages, running, stacks
from mlplat.contracts import Connection
from mlplat.controller.stores import Entry
from mlplat.engine.ending import Ending
from mlplat.errors import MlplatError, RefusedError
from mlplat.spec.platform import PlatformSpec, parse_platform, read_platform
from mlplat.targets.kubernetes import connection, forward, identity

FILE = """\
config:
  mlplat:platform:
    version: 2
    name: acme
    target: kubernetes
    engine: {}
    kubernetes:
      context: here
      production: false
      addons: {gateway: "off", secrets: "off", autoscaling: "off", pipelines: "off", queues: "off", monitoring: "off",
        cost: "off"}
    teams:
      flights: {projects: [flights]}
"""
HOME = made("Namespace", "kube-system", metadata={"uid": "1111"})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KnownCluster:
    """Return the cluster of a stack `staging`, whose repository the commands are called in."""
    file = tmp_path / "stacks" / "Pulumi.staging.yaml"
    file.parent.mkdir()
    file.write_text(FILE)
    monkeypatch.chdir(tmp_path)
    known = KnownCluster(HOME, deployment("tracking"))
    monkeypatch.setattr(Entry, "cluster", lambda _: known)
    return known


def run(*arguments: str) -> Result:
    """Type a command; its exit code is the one a person would see."""
    result = CliRunner().invoke(cli, [*arguments, "-s", "staging"], standalone_mode=False)
    if isinstance(result.exception, MlplatError):
        result.exit_code = result.exception.exit_code
    elif result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    elif isinstance(result.return_value, int):
        result.exit_code = result.return_value
    return result


def spec() -> tuple[PlatformSpec, Path]:
    file = Path("stacks/Pulumi.staging.yaml").absolute()
    return read_platform(file), file


def test_status_says_what_is_not_ready_and_leaves_with_1(cluster: KnownCluster) -> None:
    assert run("status").exit_code == 0
    cluster.objects.append(deployment("controller", ready=0))
    waits = run("status")
    assert waits.exit_code == 1
    assert "controller  no     0/1    starts" in waits.stdout
    found = json.loads(run("status", "--json").stdout)
    assert {each["name"]: each["ready"] for each in found} == {"tracking": True, "controller": False}


def test_an_endpoints_trouble_is_shown_and_is_no_fault_of_the_platform(cluster: KnownCluster) -> None:
    told = {"phase": "failed", "message": "version 2 failed", "trouble": "no such version"}
    cluster.objects.append(made("ModelEndpoint", "flights.late", "flights", "mlplat.dev/v1alpha1", status=told))
    status = run("status")
    assert "no such version" in status.stdout
    assert status.exit_code == 0


def test_a_cluster_without_the_platform_says_how_to_put_it_there(cluster: KnownCluster) -> None:
    cluster.objects.clear()
    empty = run("status")
    assert empty.exit_code == 1
    assert "`mlplat up -s staging` puts them there" in empty.stderr


def test_outputs_are_what_projects_are_told(cluster: KnownCluster) -> None:
    outputs = json.loads(run("outputs", "--json").stdout)
    assert outputs["connection"]["store"] == "kubernetes:here"
    assert outputs["connection"]["namespaces"] == {"flights": "flights"}
    assert "http://tracking.mlplat.svc:5000" in run("outputs").stdout


def test_logs_of_several_pods_begin_with_their_names(cluster: KnownCluster) -> None:
    cluster.objects += [pod("tracking-a", "tracking"), pod("tracking-b", "tracking", since="2025-01-01T00:00:00Z")]
    cluster.log = {"tracking-a": "one", "tracking-b": "two"}
    assert run("logs", "tracking").stdout == "tracking-b: two\ntracking-a: one\n"
    cluster.objects.pop()
    assert run("logs", "tracking").stdout == "one\n"
    assert run("logs", "trackign").exit_code == 2


def test_open_forwards_until_it_is_interrupted(cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"app.kubernetes.io/name": "tracking"}
    ports = {"ports": [{"name": "http", "port": 5000}]}
    cluster.objects.append(made("Service", "tracking", "mlplat", metadata={"labels": labels}, spec=ports))
    asked: list[tuple[str, int]] = []

    @contextlib.contextmanager
    def forwarding(_: Any, target: forward.Target, __: Any, port: int) -> Iterator[int]:
        asked.append((str(target), port))
        yield port

    monkeypatch.setattr(forward, "forwarding", forwarding)
    monkeypatch.setattr(pages, "_until_interrupted", lambda: None)
    opened = run("open", "tracking", "--port", "5001")
    assert opened.stdout == "http://127.0.0.1:5001\n"
    assert asked == [("mlplat/tracking:5000", 5001)]
    assert run("open", "grafana").exit_code == 1


def test_doctor_asks_the_cluster(cluster: KnownCluster) -> None:
    looked = run("doctor", "--json")
    found = {each["what"]: each["ok"] for each in json.loads(looked.stdout)}
    assert found["context"]
    # Small stores in the cluster have volumes, and no class is the default one here.
    assert found["storage class"] is False
    assert looked.exit_code == 1


def test_the_first_up_writes_which_cluster_it_is_and_a_preview_does_not(cluster: KnownCluster) -> None:
    written, file = spec()
    clusters.guard(written, file, write=False)
    assert identity.read(file) is None
    clusters.guard(written, file, write=True)
    assert identity.read(file) == "1111"
    cluster.objects[0] = made("Namespace", "kube-system", metadata={"uid": "2222"})
    with pytest.raises(RefusedError, match="leads to the cluster 2222"):
        clusters.guard(written, file, write=False)


def test_how_projects_reach_it_is_written_and_a_cluster_that_is_silent_now_is_no_fault(
    cluster: KnownCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    written, file = spec()
    clusters.connect(written, "staging", file)
    assert Connection.read("acme", "staging").namespaces == {"flights": "flights"}
    cluster.gone = True
    clusters.connect(written, "staging", file)
    assert "could not be asked" in capsys.readouterr().err


def test_a_project_that_no_team_has_is_refused_with_who_adds_it(
    cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = connection.connection(spec()[0], "staging", Entry("here"), cluster)  # type: ignore[arg-type]
    Connection(**{**made.document(), "platform": "mlplat"}).write()
    monkeypatch.chdir("/")
    with pytest.raises(RefusedError, match="`other` belongs to no team") as caught:
        CliRunner().invoke(
            cli, ["endpoint", "show", "other/late", "-s", "staging"], standalone_mode=False, catch_exceptions=False
        )
    assert "`teams.<team>.projects`" in str(caught.value.hint)


def test_down_refuses_to_take_data_with_it_that_nobody_spoke_of(
    cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "find", lambda *_: Held([]))
    refused = run("down", "--yes")
    assert refused.exit_code == 2
    assert "--delete-data" in str(getattr(refused.exception, "hint", ""))


def test_down_ends_endpoints_before_their_controller(cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    endpoint = made("ModelEndpoint", "flights.late", "flights", "mlplat.dev/v1alpha1")
    cluster.objects.append(endpoint)
    monkeypatch.setattr(stacks, "find", lambda *_: Held(did, lambda: endpoint in cluster.objects))
    clusters.connect(spec()[0], "staging", spec()[1])
    ended = run("down", "--delete-data", "--confirm", "acme")
    assert not Connection.path("acme", "staging").exists(), "projects would find what is no more"
    assert did == ["looked for locks", "ended, endpoints left: False"]
    assert "ends    the endpoint flights/late" in ended.stderr
    assert ended.exit_code == 0


def test_down_wants_the_platforms_name(cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    monkeypatch.setattr(stacks, "find", lambda *_: Held(did))
    assert run("down", "--delete-data", "--yes").exit_code == 2
    assert run("down", "--delete-data", "--confirm", "other").exit_code == 2
    assert did == ["looked for locks"] * 2


def test_a_cluster_that_is_gone_is_told_with_what_forgets_it(
    cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []
    monkeypatch.setattr(stacks, "find", lambda *_: Held(did))
    cluster.gone = True
    refused = run("down", "--delete-data", "--confirm", "acme")
    assert refused.exit_code == 1
    assert "so nothing was ended" in str(refused.exception)
    assert "PULUMI_K8S_DELETE_UNREACHABLE" in str(getattr(refused.exception, "hint", ""))
    assert did == ["looked for locks"]


def test_what_is_left_on_the_cluster_is_told(cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.objects.append(made("Namespace", "flights", status={"phase": "Terminating"}))
    monkeypatch.setattr(stacks, "find", lambda *_: Held([]))
    ended = run("down", "--delete-data", "--confirm", "acme")
    assert "left: namespace flights (Terminating)" in ended.stderr
    assert ended.exit_code == 1


class Held:
    """A stack that writes down what is done to it."""

    def __init__(self, did: list[str], serves: Any = lambda: False) -> None:
        self.did, self.serves = did, serves

    def refuse_locked(self) -> None:
        self.did.append("looked for locks")

    def resources(self) -> list[dict[str, Any]]:
        urn = "urn:pulumi:staging::p::kubernetes:core/v1:Namespace::home"
        return [{"urn": urn, "type": "kubernetes:core/v1:Namespace", "custom": True, "id": "mlplat"}]

    def end(self, _: Ending, __: Any) -> None:
        self.did.append(f"ended, endpoints left: {self.serves()}")


def test_the_way_into_an_accounts_cluster_is_the_one_that_up_wrote_down() -> None:
    account = {"account": "111122223333", "region": "eu-west-1"}
    written = parse_platform({"version": 2, "name": "acme", "target": "aws", "engine": {}, "aws": account}, "test")
    with pytest.raises(MlplatError, match="no platform `acme`"):
        clusters.entry(written, "prod")
    way = Entry("acme-prod", "/somewhere/acme.prod.kubeconfig")
    Connection("acme", "prod", "aws", "", "", way.address()).write()
    assert clusters.entry(written, "prod") == way
    with pytest.raises(MlplatError, match="has no cluster"):
        clusters.entry(PlatformSpec(), "local")


def test_production_wants_locked_images_before_anything_is_asked(tmp_path: Path) -> None:
    stores = {
        "databases": {"tracking": "tracking-database"},
        "objects": {"buckets": dict.fromkeys(("data", "artifacts", "features", "pipelines"), "bucket")},
    }
    on = {"context": "here", **stores}
    written = parse_platform({"version": 2, "target": "kubernetes", "engine": {}, "kubernetes": on}, "test")
    with pytest.raises(RefusedError, match="no digest of") as caught:
        clusters.refuse_unlocked(written, tmp_path / "Pulumi.staging.yaml")
    assert "`mlplat images push -s staging`" in str(caught.value.hint)
    clusters.refuse_unlocked(PlatformSpec(), tmp_path / "Pulumi.staging.yaml")


def test_a_cluster_in_an_account_that_cannot_be_asked_is_said_and_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = {"account": "111122223333", "region": "eu-west-1"}
    written = parse_platform({"version": 2, "name": "acme", "target": "aws", "engine": {}, "aws": account}, "test")
    assert running.beside(written, "prod") == []
    assert "could not be asked" in capsys.readouterr().err
    Connection("acme", "prod", "aws", "", "", Entry("acme").address()).write()
    monkeypatch.setattr(Entry, "cluster", lambda _: KnownCluster(deployment("tracking", ready=0)))
    found = running.beside(written, "prod")
    assert "tracking" in [each.name for each in found]
    assert running.is_broken(found)


def test_before_an_account_has_images_there_is_nothing_that_projects_could_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = {"account": "111122223333", "region": "eu-west-1"}
    written = parse_platform({"version": 2, "name": "acme", "target": "aws", "engine": {}, "aws": account}, "test")
    clusters.connect(written, "prod", tmp_path / "Pulumi.prod.yaml")
    assert capsys.readouterr().err == ""
    assert not Connection.path("acme", "prod").exists()
