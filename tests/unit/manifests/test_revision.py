from __future__ import annotations

from dataclasses import replace

import pytest

import crds
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.manifests import rbac, revision
from mlplat.manifests.revision import Bucket, Server
from mlplat.spec.scale import ScaleSpec

SERVER = Server(
    endpoint=Name("flights", "late"), label="r3", version="7", digest="sha256:ab", key="team-a/bundles/ab.tar",
    scale=ScaleSpec(), namespace="team-a", image="registry.example.com/serving@sha256:" + "0" * 64,
    bucket=Bucket("artifacts", "eu-central-1"),
)  # fmt: skip


def kinds(server: Server) -> list[str]:
    return [each["kind"] for each in revision.documents(server)]


def deployment(server: Server) -> dict[str, object]:
    return next(each for each in revision.documents(server) if each["kind"] == "Deployment")


@pytest.mark.parametrize(
    ("scale", "production", "fewest", "made"),
    [
        (
            ScaleSpec(),
            True,
            2,
            ["NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment", "HorizontalPodAutoscaler"],
        ),
        (ScaleSpec(), False, 1, ["NetworkPolicy", "Service", "Deployment", "HorizontalPodAutoscaler"]),
        (ScaleSpec(max_replicas=1), True, 1, ["NetworkPolicy", "Service", "Deployment"]),
        (
            ScaleSpec(min_replicas=3, max_replicas=3),
            False,
            3,
            ["NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment"],
        ),
    ],
)
def test_servers_are_as_many_as_wished(scale: ScaleSpec, production: bool, fewest: int, made: list[str]) -> None:
    server = replace(SERVER, scale=scale, production=production)
    assert (server.fewest, kinds(server)) == (fewest, made)


def test_a_shared_account_is_not_made_and_so_never_goes_with_an_endpoint() -> None:
    assert "ServiceAccount" not in kinds(SERVER)


def test_the_bundle_is_there_before_the_server_starts() -> None:
    pod = deployment(SERVER)["spec"]["template"]["spec"]  # type: ignore[index]
    fetch, server = pod["initContainers"][0], pod["containers"][0]
    assert fetch["command"][2:] == [
        "mlplat.serving.fetch", "--bucket", "artifacts", "--key", "team-a/bundles/ab.tar", "--digest", "sha256:ab",
        "--folder", "/bundle/model",
    ]  # fmt: skip
    assert fetch["securityContext"]["readOnlyRootFilesystem"]
    assert server["command"][server["command"].index("--host") + 1] == "0.0.0.0"


def test_keys_of_the_object_store_come_by_reference_alone() -> None:
    server = replace(SERVER, bucket=Bucket("artifacts", "any", "http://objects.mlplat.svc:8333", "objects"))
    fetch = deployment(server)["spec"]["template"]["spec"]["initContainers"][0]  # type: ignore[index]
    secret = {each["name"]: each["valueFrom"]["secretKeyRef"]["key"] for each in fetch["env"] if "valueFrom" in each}
    assert secret == {"AWS_ACCESS_KEY_ID": "access_key", "AWS_SECRET_ACCESS_KEY": "secret_key"}
    policy = revision.documents(server)[0]
    reached = [rule["to"][0] for rule in policy["spec"]["egress"]]
    assert reached == [
        {"podSelector": {}, "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mlplat"}}}
    ]


def test_an_image_that_could_change_is_refused_in_production() -> None:
    with pytest.raises(RefusedError, match="without a digest"):
        revision.documents(replace(SERVER, image="registry.example.com/serving:1"))


def test_a_revision_that_is_put_in_its_own_place_keeps_its_servers() -> None:
    assert deployment(replace(SERVER, replicas=6))["spec"]["replicas"] == 6  # type: ignore[index]


def test_with_a_prometheus_keda_scales_by_load() -> None:
    scaler = revision.documents(replace(SERVER, prometheus="http://prometheus.monitoring.svc:9090"))[-1]
    assert crds.problems(scaler) == []
    assert (scaler["kind"], scaler["spec"]["minReplicaCount"]) == ("ScaledObject", 2)


def test_gpus_are_asked_for_as_the_pool_offers_them_and_by_servers_alone() -> None:
    server = replace(SERVER, scale=ScaleSpec(gpu=2, pool="gpu"), gpu_resource="nvidia.com/gpu.shared")
    pod = deployment(server)["spec"]["template"]["spec"]  # type: ignore[index]
    (main,), (fetch,) = pod["containers"], pod["initContainers"]
    for part in ("requests", "limits"):
        assert main["resources"][part]["nvidia.com/gpu.shared"] == "2"
        assert "nvidia.com/gpu" not in main["resources"][part]
        assert not [each for each in fetch["resources"][part] if each.startswith("nvidia.com")]


def test_the_controller_reads_no_secrets_and_makes_no_rights() -> None:
    rules = [rule for each in rbac.documents(["team-a", "team-b"]) for rule in each.get("rules", [])]
    touched = {resource for rule in rules for resource in rule["resources"]}
    assert touched.isdisjoint({"secrets", "roles", "rolebindings", "serviceaccounts", "*", "pods/exec", "nodes"})
    assert all("*" not in rule["verbs"] and "*" not in rule["apiGroups"] for rule in rules)
    assert {each["kind"] for each in rbac.documents(["team-a"])} == {"Role", "RoleBinding"}
