from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from commands import merged
from knowncluster import KnownCluster, made
from mlplat.controller.stores import Entry
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.findings import Finding
from mlplat.targets.kubernetes import doctor, status
from mlplat.targets.kubernetes.given import wanted

HOME = made("Namespace", "kube-system", metadata={"uid": "1111"})
DISK = made(
    "StorageClass",
    "disk",
    version="storage.k8s.io/v1",
    metadata={"annotations": {doctor.DEFAULT_CLASS: "true"}},
)


def platform(**kubernetes: Any) -> PlatformSpec:
    settings = kubernetes.pop("settings", {})
    off = dict.fromkeys([*status.CHARTS], "off")
    on = merged({"context": "here", "production": False, "addons": off}, kubernetes)
    written = {"version": 2, "target": "kubernetes", "engine": {}, "kubernetes": on, **settings}
    return parse_platform(written, "test")


def examine(
    monkeypatch: pytest.MonkeyPatch, spec: PlatformSpec, cluster: KnownCluster, written: str | None = None
) -> dict[str, Finding]:
    monkeypatch.setattr(Entry, "cluster", lambda _: cluster)
    return {each.what: each for each in doctor.examine(spec, "staging", Entry("here"), written)}


def test_a_cluster_that_does_not_answer_is_one_line_and_the_rest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = KnownCluster()
    cluster.gone = True
    found = examine(monkeypatch, platform(), cluster)
    assert not found["context"].ok
    assert "storage class" in found["everything else"].said
    assert [*found] == ["context", "everything else"]


def test_everything_is_looked_at_on_a_cluster_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examine(monkeypatch, platform(), KnownCluster(HOME, DISK), "1111")
    assert all(each.ok for each in found.values()), found
    assert {"context", "version", "cluster", "rights", "storage class", "images", "network policies"} <= {*found}
    assert "cannot be known" in found["network policies"].said


@pytest.mark.parametrize(("written", "ok"), [(None, True), ("1111", True), ("2222", False)])
def test_another_cluster_than_the_stacks_own_is_wrong(
    monkeypatch: pytest.MonkeyPatch, written: str | None, ok: bool
) -> None:
    assert examine(monkeypatch, platform(), KnownCluster(HOME, DISK), written)["cluster"].ok is ok


def test_another_version_and_a_missing_right_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = KnownCluster(HOME, DISK, denied=("customresourcedefinitions",))
    cluster.version = {"major": "1", "minor": "34+", "gitVersion": "v1.34.2-eks"}
    found = examine(monkeypatch, platform(), cluster)
    assert found["context"].ok
    # The version is of the first findings, and what cannot work with it is not looked at.
    assert not found["version"].ok
    cluster.version = {"major": "1", "minor": "35", "gitVersion": "v1.35.4"}
    rights = examine(monkeypatch, platform(), cluster)["rights"]
    assert not rights.ok
    assert rights.said == "may not create customresourcedefinitions"


@pytest.mark.parametrize(
    ("chosen", "there", "ok"),
    [(None, [DISK], True), (None, [], False), ("disk", [DISK], True), ("fast", [DISK], False)],
)
def test_volumes_need_a_class(monkeypatch: pytest.MonkeyPatch, chosen: str | None, there: list[Any], ok: bool) -> None:
    spec = platform(storage_class=chosen)
    assert examine(monkeypatch, spec, KnownCluster(HOME, *there))["storage class"].ok is ok


def definition(group: str, kind: str, **metadata: Any) -> dict[str, Any]:
    spec = {"group": group, "names": {"kind": kind}}
    return made("CustomResourceDefinition", kind, version=doctor.DEFINITION[0], metadata=metadata, spec=spec)


def test_an_add_on_is_adopted_where_it_is_and_installed_where_nobody_else_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version, kind = status.KINDS["autoscaling"]

    def told(chosen: str, *objects: Any) -> Finding | None:
        cluster = KnownCluster(HOME, DISK, *objects)
        cluster.kinds.discard((version, "unused"))
        if objects:
            cluster.kinds.add((version, kind))
        return examine(monkeypatch, platform(addons={"autoscaling": chosen}), cluster).get("add-on autoscaling")

    theirs = definition("keda.sh", kind, annotations={"meta.helm.sh/release-namespace": "somebodys"})
    ours = definition("keda.sh", kind, annotations={"meta.helm.sh/release-namespace": "keda"})
    applied = definition("keda.sh", kind, managedFields=[{"manager": "pulumi-kubernetes-1a2b"}])
    assert (missing := told("adopt")) is not None
    assert not missing.ok
    assert (adopted := told("adopt", theirs)) is not None
    assert adopted.ok
    assert told("install") is None
    for each, ok in ((theirs, False), (ours, True), (applied, True)):
        assert (found := told("install", each)) is not None
        assert found.ok is ok


def test_production_asks_for_locked_images_and_development_only_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.staging.yaml").touch()
    monkeypatch.chdir(tmp_path)
    stores = {
        "databases": {"tracking": "tracking-database"},
        "objects": {"buckets": dict.fromkeys(("data", "artifacts", "features", "pipelines"), "bucket")},
    }
    found = examine(monkeypatch, platform(production=True, **stores), KnownCluster(HOME, DISK))
    assert not found["images"].ok
    assert "`mlplat images push -s staging`" in str(found["images"].mend)
    assert examine(monkeypatch, platform(**stores), KnownCluster(HOME, DISK))["images"].ok


def test_a_secret_of_peoples_own_is_told_with_the_command_that_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = platform(databases={"tracking": "tracking-database", "features": "features-database"})
    held = made("Secret", "tracking-database", "mlplat", data={"url": "eA=="})
    wrong = made("Secret", "features-database", "mlplat", data={"uri": "eA=="})
    found = examine(monkeypatch, spec, KnownCluster(HOME, DISK, held, wrong))
    assert found["secret mlplat/tracking-database"].ok
    assert found["secret mlplat/features-database"].said == "has no key `url`"
    standing = KnownCluster(HOME, DISK, made("Namespace", "mlplat"))
    missing = examine(monkeypatch, spec, standing)["secret mlplat/tracking-database"]
    command = "`kubectl -n mlplat create secret generic tracking-database --from-file=url=FILE`"
    assert missing.mend == command
    before = examine(monkeypatch, spec, KnownCluster(HOME, DISK))["secret mlplat/tracking-database"]
    assert before.mend == f"while `mlplat up -s staging` waits, which makes the namespace: {command}"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"ada": "a", "bob": "b"}, None),
        ({}, "names no caller"),
        ({"ada": "a", "bob": "b\n"}, "a key of `bob`"),
        ({"ada": ""}, "a key of `ada`"),
        ({"ada": "a", "bob": "b", "cleo": "a"}, "one key for `ada` and `cleo`"),
    ],
)
def test_keys_by_which_nobody_would_be_let_in_are_told(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], said: str | None
) -> None:
    data = {name: base64.b64encode(key.encode()).decode() for name, key in keys.items()}
    held = made("Secret", "tracking-keys", "mlplat", data=data)
    found = examine(monkeypatch, platform(addons={"gateway": "adopt"}), KnownCluster(HOME, DISK, held))
    told = found["secret mlplat/tracking-keys"]
    assert told.ok == (said is None)
    assert (said or "is there") in told.said


def test_a_way_to_mlflow_that_nobody_has_opened_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = platform(addons={"gateway": "adopt"}, settings={"teams": {"flights": {}}})
    found = examine(monkeypatch, spec, KnownCluster(HOME, DISK))
    told = found["secret mlplat/tracking-keys"]
    assert told.ok
    assert "`kubectl -n mlplat create secret generic tracking-keys --from-file=CALLER=FILE`" in told.said
    assert not found["secret flights/endpoint-keys"].ok


def test_every_secret_that_the_spec_names_is_looked_for() -> None:
    spec = platform(
        objects={
            "buckets": dict.fromkeys(("data", "artifacts", "features", "pipelines"), "bucket"),
            "secret": "objects",
        },
        exposure={"tls_secret": "tls", "hostname": "ml.example.com"},
        images={"pull_secret": "registry"},
        addons={"gateway": "adopt"},
        monitoring={"receivers": {"night": {"kind": "pagerduty", "secret": "pager"}}},
        settings={"teams": {"flights": {}}},
    )
    found = {(each.namespace, each.name, each.keys) for each in wanted(spec)}
    assert found == {
        ("mlplat", "objects", ("access_key", "secret_key")),
        ("mlplat", "tls", ("tls.crt", "tls.key")),
        ("mlplat", "pager", ("key",)),
        ("mlplat", "registry", (".dockerconfigjson",)),
        ("flights", "registry", (".dockerconfigjson",)),
        ("mlplat", "tracking-keys", ()),
        ("flights", "endpoint-keys", ()),
    }
    commands = {each.name: each.mend() for each in wanted(spec)}
    assert "create secret tls tls --cert=FILE --key=FILE" in commands["tls"]
    assert "--type=kubernetes.io/dockerconfigjson" in commands["registry"]


@pytest.mark.parametrize(
    ("nodes", "ok", "said"),
    [
        ([], False, "0 nodes"),
        ([{"pool": "gpu"}], False, "1 nodes, 1 of them with fewer than 2 GPUs"),
        ([{"pool": "gpu", "gpus": "2"}], True, "1 nodes"),
        ([{"pool": "cpu", "gpus": "2"}], False, "0 nodes"),
    ],
)
def test_a_pool_has_nodes_with_its_gpus(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, str]], ok: bool, said: str
) -> None:
    spec = platform(settings={"pools": {"gpu": {"node_selector": {"pool": "gpu"}, "gpu_count": 2, "max_size": 2}}})
    there = [
        made(
            "Node",
            f"n{index}",
            metadata={"labels": {"pool": each["pool"]}},
            status={"allocatable": {doctor.GPU: each["gpus"]} if "gpus" in each else {}},
        )
        for index, each in enumerate(nodes)
    ]
    found = examine(monkeypatch, spec, KnownCluster(HOME, DISK, *there))["pool gpu"]
    assert (found.ok, found.said) == (ok, said)


def test_a_network_plugin_that_enforces_policies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cilium = made("DaemonSet", "cilium", "kube-system", "apps/v1")
    found = examine(monkeypatch, platform(), KnownCluster(HOME, DISK, cilium))["network policies"]
    assert "enforced by cilium" in found.said
