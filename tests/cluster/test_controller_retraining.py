"""A wish to train anew becomes one run on a real API server, by the controller's own rights and no others."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import kubeapi
import kubecrds
import kubenodes
from kubeendpoints import define
from mlplat.cli import cli
from mlplat.cluster import Cluster, ConflictError
from mlplat.contracts import Connection
from mlplat.controller import retraining, wishes
from mlplat.controller.document import Event, Status
from mlplat.controller.errands import Errands
from mlplat.controller.kubernetes import loop
from mlplat.controller.kubernetes import retraining as argo
from mlplat.controller.kubernetes.retraining import ArgoRunner
from mlplat.controller.kubernetes.settings import Objects, Settings
from mlplat.controller.kubernetes.store import KubernetesStore
from mlplat.controller.retraining import Attendant
from mlplat.controller.store import digest
from mlplat.controller.stores import Entry
from mlplat.errors import NotReadyError, RefusedError
from mlplat.labels import Name
from mlplat.manifests import names, pipeline, rbac
from mlplat.spec.rollout import RolloutPolicy

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("argoproj.io" in kubecrds.unchecked(), reason="MLPLAT_CRD_SCHEMAS names no folder with Argo's"),
]
TEAM = "retraining"
TEMPLATE: dict[str, Any] = {
    "apiVersion": pipeline.ARGO,
    "kind": "WorkflowTemplate",
    "metadata": {
        "name": pipeline.name("flights", "training"),
        "namespace": TEAM,
        "labels": {names.PROJECT: "flights"},
    },
    "spec": {"entrypoint": "all", "templates": [{"name": "all", "container": {"image": "flow:1"}}]},
}


@pytest.fixture(scope="module")
def cluster(api: Cluster) -> Cluster:
    """Return the session's cluster with a team on it."""
    for each in (TEAM, names.NAMESPACE, names.PROXIES):
        kubenodes.namespace(api, each)
    for document in rbac.documents([TEAM]):
        api.apply(document)
    return api


def begin(cluster: Cluster, key: str, days: int = 30) -> str:
    return argo.begin(
        cluster, TEAM, "flights", "training", key=key, reason="drift 🛫", parameters={"days": days, "only": ["ORD"]}
    )


def may(cluster: Cluster, verb: str, resource: str, namespace: str = TEAM) -> bool:
    """Tell what the API server says of the controller's rights."""
    asked = {"verb": verb, "resource": resource, "group": "argoproj.io", "namespace": namespace}
    user = f"system:serviceaccount:{names.NAMESPACE}:{rbac.ACCOUNT}"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": asked},
    }
    return bool(cluster.create(review)["status"]["allowed"])


def test_a_flow_that_is_not_there_is_refused_and_one_that_is_begins_once(cluster: Cluster) -> None:
    with pytest.raises(RefusedError, match="not on the platform yet"):
        begin(cluster, "drift-1")
    assert cluster.list(pipeline.ARGO, "Workflow", TEAM) == []
    cluster.apply(TEMPLATE)
    first = begin(cluster, "drift-1")
    assert begin(cluster, "drift-1", days=60) == first
    (made,) = cluster.list(pipeline.ARGO, "Workflow", TEAM)
    assert (made["metadata"]["name"], made["metadata"]["annotations"][pipeline.REASON]) == (first, "drift 🛫")
    given = {each["name"]: each["value"] for each in made["spec"]["arguments"]["parameters"]}
    assert given == {"days": "30", "only": '["ORD"]'}
    assert begin(cluster, "drift-2") != first


def test_the_controller_may_begin_runs_and_neither_end_them_nor_change_flows(cluster: Cluster) -> None:
    allowed = {
        (verb, resource)
        for resource in ("workflows", "workflowtemplates", "cronworkflows")
        for verb in ("get", "list", "create", "update", "patch", "delete")
        if may(cluster, verb, resource)
    }
    assert allowed == {("get", "workflows"), ("create", "workflows"), ("get", "workflowtemplates")}
    assert not may(cluster, "create", "workflows", "default")


NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FLOWS = {TEAM: TEAM}
_endpoints = itertools.count(1)


@contextlib.contextmanager
def controller(api: kubeapi.Api) -> Iterator[KubernetesStore]:
    """Enter the cluster as the controller does."""
    with api.cluster() as admin:
        account = {"name": rbac.ACCOUNT, "namespace": names.NAMESPACE}
        admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        asked = f"/api/v1/namespaces/{names.NAMESPACE}/serviceaccounts/{rbac.ACCOUNT}/token"
        token = admin.ask("POST", asked, body={"spec": {}})["status"]["token"]
        config = {**json.loads(api.kubeconfig.read_text()), "users": [{"name": "admin", "user": {"token": token}}]}
        path = api.folder / "controller.kubeconfig"
        path.write_text(json.dumps(config))
        own = Cluster.of_context(kubeapi.CONTEXT, path)
        with own, KubernetesStore(own, FLOWS, wishes_only=True) as store:
            yield store


@pytest.fixture
def endpoint(cluster: Cluster) -> Iterator[Name]:
    """Return an endpoint of a project that has published a flow, and is deployed."""
    define(cluster)
    name = Name(TEAM, f"late-{next(_endpoints)}")
    template = {**TEMPLATE["metadata"], "name": pipeline.name(TEAM, "train"), "labels": {names.PROJECT: TEAM}}
    cluster.apply({**TEMPLATE, "metadata": template})
    with KubernetesStore(cluster, FLOWS) as store:
        spec = wishes.deploy(name, Name(TEAM, "late"), "1", RolloutPolicy(), by="ada")
        store.wish(name, lambda _: spec, Event(time=NOW, generation=0, kind="wished", text="a wish"))
    yield name
    for each in runs(cluster):
        cluster.delete(pipeline.ARGO, "Workflow", each, TEAM)


def ask(store: KubernetesStore, name: Name, flow: str = "train") -> str:
    """Ask as `mlplat retrain` does; return what the wish is known by."""
    text = retraining.wish(flow, by="ada", reason="new airport", time=datetime.now(UTC)).model_dump_json()
    store.retrain(name, text)
    return digest(text)


def attend(store: KubernetesStore) -> None:
    """Make one pass of the controller's, with a registry that nobody asks: nothing serves here."""

    def registry() -> Any:
        raise AssertionError("the registry was asked")

    Attendant(store, ArgoRunner(store, registry), registry, Errands()).attend(NOW)


def runs(cluster: Cluster) -> list[str]:
    found = cluster.list(pipeline.ARGO, "Workflow", TEAM, {names.PROJECT: TEAM})
    return sorted(each["metadata"]["name"] for each in found)


def test_each_wish_becomes_one_run_and_the_history_tells_it(
    cluster: Cluster, kubernetes: kubeapi.Api, endpoint: Name
) -> None:
    with KubernetesStore(cluster, FLOWS) as people, controller(kubernetes) as store:
        with pytest.raises(RefusedError, match=f"system:serviceaccount:{names.NAMESPACE}:{rbac.ACCOUNT}"):
            store.cluster.list("v1", "Secret", TEAM)
        attend(store)
        assert runs(cluster) == []
        first = ask(people, endpoint)
        for _ in range(3):
            attend(store)
        assert runs(cluster) == [f"{TEAM}-train-retrain-{first}"]
        assert people.retraining(endpoint)["run"] == f"{TEAM}-train-retrain-{first}"
        told = [(each.kind, "asked for by ada: new airport" in each.text) for each in people.events(endpoint)]
        assert told == [(retraining.BEGUN, True)]
        second = ask(people, endpoint)
        attend(store)
        assert runs(cluster) == sorted(f"{TEAM}-train-retrain-{each}" for each in (first, second))


def test_a_controller_that_ended_before_it_could_say_so_goes_on_with_the_same_run(
    cluster: Cluster, kubernetes: kubeapi.Api, endpoint: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The process ended here."""

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with KubernetesStore(cluster, FLOWS) as people, controller(kubernetes) as store:
        wished = ask(people, endpoint)
        with monkeypatch.context() as patched:
            patched.setattr(store.cluster, "replace_status", killed)
            with pytest.raises(Killed):
                attend(store)
        assert people.retraining(endpoint) == {}
        attend(store)
        assert runs(cluster) == [f"{TEAM}-train-retrain-{wished}"]
        assert len(people.events(endpoint)) == 1


def test_an_answer_outlives_what_the_controller_reports_and_loses_to_no_other_writer(
    cluster: Cluster, kubernetes: kubeapi.Api, endpoint: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KubernetesStore(cluster, FLOWS) as people, controller(kubernetes) as store:
        ask(people, endpoint)
        write, tried = store.cluster.replace_status, []

        def late(document: Any, **more: Any) -> Any:
            tried.append(document)
            if len(tried) == 1:
                raise ConflictError("somebody else wrote in between")
            return write(document, **more)

        monkeypatch.setattr(store.cluster, "replace_status", late)
        attend(store)
        answer = people.retraining(endpoint)
        found = store.get(endpoint)
        assert found is not None
        generation = found.spec.generation
        store.report(endpoint, generation, Status(phase="serving", observed_generation=generation, since=NOW))
        assert answer["run"]
        assert people.retraining(endpoint) == answer
        assert retraining.BEGUN in [each.kind for each in people.events(endpoint)]


@pytest.mark.parametrize("text", ["now, please", '{"flow": "Train", "by": "x", "time": "2026-01-01T00:00:00Z"}'])
def test_what_is_no_wish_is_answered_once(cluster: Cluster, kubernetes: kubeapi.Api, endpoint: Name, text: str) -> None:
    with KubernetesStore(cluster, FLOWS) as people, controller(kubernetes) as store:
        people.retrain(endpoint, text)
        attend(store)
        attend(store)
        assert people.retraining(endpoint)["run"] == ""
        assert [each.kind for each in people.events(endpoint)] == [retraining.REFUSED]
        assert runs(cluster) == []


def test_retrain_waits_for_the_controllers_answer_and_prints_the_run(
    cluster: Cluster,
    kubernetes: kubeapi.Api,
    endpoint: Name,
    tmp_path: Path,
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = Entry(kubeapi.CONTEXT, str(kubernetes.kubeconfig)).address()
    Connection("mlplat", "staging", "kubernetes", "", "", address, namespaces=FLOWS).write()
    # Neither a registry nor an object store answers: retraining needs none of them.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    settings = Settings(
        tracking="http://127.0.0.1:1", namespaces=FLOWS, image="serving:1", objects=Objects(bucket="artifacts"),
        port=free_port, production=False,
    )  # fmt: skip
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    over = threading.Event()
    given = {"host": "127.0.0.1", "holder": "tests", "models": tmp_path, "stop": over, "leave": over.set}

    def reconcile() -> None:
        with controller(kubernetes) as store:
            loop.run(store.cluster, tmp_path / "settings.json", **given)  # type: ignore[arg-type]

    running = threading.Thread(target=reconcile)
    running.start()
    words = ["retrain", str(endpoint), "-s", "staging", "--flow"]
    try:
        begun = CliRunner().invoke(cli, [*words, "train"], standalone_mode=False)
        refused = CliRunner().invoke(cli, [*words, "absent"], standalone_mode=False)
    finally:
        over.set()
        running.join()
    assert begun.exception is None
    assert begun.stdout.splitlines() == runs(cluster)
    assert isinstance(refused.exception, RefusedError)
    assert "`absent` of the project `retraining` is not on the platform yet" in str(refused.exception)


def test_a_controller_that_does_not_look_is_said_and_the_wish_stays(
    cluster: Cluster, kubernetes: kubeapi.Api, endpoint: Name
) -> None:
    address = Entry(kubeapi.CONTEXT, str(kubernetes.kubeconfig)).address()
    Connection("mlplat", "staging", "kubernetes", "", "", address, namespaces=FLOWS).write()
    words = ["retrain", str(endpoint), "--timeout", "0", "-s", "staging"]
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    assert isinstance(result.exception, NotReadyError)
    with controller(kubernetes) as store:
        assert [name for name, _ in store.retrainings()] == [endpoint]
        attend(store)
        assert store.retrainings() == []
