from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import crds
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.manifests import rbac, revision
from mlplat.manifests.revision import Bucket, Log, Server
from mlplat.spec.privacy import LoggedColumns
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


def logged(**columns: tuple[str, ...]) -> dict[str, Any]:
    """Return the pod of a server that keeps a log of these columns."""
    server = replace(SERVER, log=Log("data", 5000, 60.0, LoggedColumns(**columns)))
    pod: dict[str, Any] = deployment(server)["spec"]["template"]["spec"]  # type: ignore[index]
    return pod


def test_a_log_is_shipped_from_beside_the_server_until_after_its_end() -> None:
    pod = logged()
    fetch, ship = pod["initContainers"]
    (server,) = pod["containers"]
    assert (fetch["name"], ship["name"], ship["restartPolicy"]) == ("fetch", "ship", "Always")
    assert ship["command"][2:] == [
        "mlplat.serving.ship", "--folder", "/predictions", "--bucket", "data", "--prefix",
        "team-a/predictions/flights.late/r3", "--stop-seconds", "14",
    ]  # fmt: skip
    told = server["command"]
    assert told[told.index("--log-dir") + 1] == "/predictions"
    assert "--log-shipped" in told
    (volume,) = [each for each in pod["volumes"] if each["name"] == "scratch-predictions"]
    waiting = int(told[told.index("--log-keep-bytes") + 1])
    assert 2 * waiting <= 2**30 == int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi")) * 2**30
    plain = deployment(SERVER)["spec"]["template"]["spec"]  # type: ignore[index]
    assert pod["terminationGracePeriodSeconds"] == plain["terminationGracePeriodSeconds"] + 15
    assert ship["securityContext"] == server["securityContext"]
    assert {each["mountPath"] for each in ship["volumeMounts"]} == {"/tmp", "/predictions"}  # noqa: S108 - in the pod
    assert {each["name"] for each in ship["env"]} == {"AWS_DEFAULT_REGION"}, "by the role of the servers' account"


def test_a_server_without_a_log_has_nobody_beside_it() -> None:
    pod = deployment(SERVER)["spec"]["template"]["spec"]  # type: ignore[index]
    assert [each["name"] for each in pod["initContainers"]] == ["fetch"]
    assert "--log-dir" not in pod["containers"][0]["command"]


def test_the_key_of_hashes_is_read_by_the_server_alone_and_only_where_something_is_hashed() -> None:
    assert not [each for each in logged(exclude=("name",))["volumes"] if "secret" in each]
    pod = logged(hash=("tail",), exclude=("name",))
    assert pod["volumes"][-1]["secret"]["secretName"] == "prediction-log"
    having = [each["name"] for each in [*pod["containers"], *pod["initContainers"]]
              if "/keys" in {mount["mountPath"] for mount in each["volumeMounts"]}]  # fmt: skip
    assert having == ["serving"]
    told = pod["containers"][0]["command"]
    assert {"--log-hash=tail", "--log-exclude=name"} <= set(told)
    assert told[told.index("--log-key") + 1] == "/keys/key"


def test_servers_are_as_many_as_their_own_work_asks_for() -> None:
    (metric,) = revision.documents(SERVER)[-1]["spec"]["metrics"]
    (main,) = deployment(SERVER)["spec"]["template"]["spec"]["containers"]  # type: ignore[index]
    assert metric["containerResource"]["container"] == main["name"]


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


def test_a_server_that_looks_features_up_reaches_their_server_and_no_other_does() -> None:
    """It is ready without: only what is asked without its features needs them."""

    def egress(server: Server) -> list[object]:
        policy = next(each for each in revision.documents(server) if each["kind"] == "NetworkPolicy")
        return [each for each in policy["spec"]["egress"] if "6566" in str(each)]

    looking = replace(SERVER, features="http://online.mlplat.svc:6566/flights")
    (edge,) = egress(looking)
    assert "'mlplat/service': 'online'" in str(edge)
    assert egress(SERVER) == []
    (container,) = deployment(looking)["spec"]["template"]["spec"]["containers"]  # type: ignore[index]
    told = container["command"]
    assert told[told.index("--features") + 1] == looking.features
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
