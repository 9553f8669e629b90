from __future__ import annotations

from typing import Any

import pytest

from knowncluster import KnownCluster, deployment, made, pod
from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.kubernetes import connection, status


def platform(**addons: Any) -> PlatformSpec:
    off = dict.fromkeys(status.CHARTS, "off") | addons
    on = {"context": "here", "production": False, "addons": off}
    return parse_platform({"version": 2, "target": "kubernetes", "engine": {}, "kubernetes": on}, "test")


def rows(cluster: KnownCluster, **addons: Any) -> dict[tuple[str, str], status.Row]:
    found = status.rows(cluster, platform(**addons))  # type: ignore[arg-type]
    return {(row.group, row.name): row for row in found}


@pytest.mark.parametrize(
    ("told", "ready", "said"),
    [
        ({}, True, ""),
        ({"ready": 0}, False, "starts"),
        ({"updatedReplicas": 0}, False, "takes its new version"),
        ({"observedGeneration": 0}, False, "nothing has looked at it since it was changed"),
        (
            {"ready": 0, "conditions": [{"type": "Progressing", "status": "False", "message": "timed out"}]},
            False,
            "timed out",
        ),
        # A quota that is used up makes no pod at all, and no pod says why.
        (
            {"ready": 0, "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]},
            False,
            "exceeded quota",
        ),
    ],
)
def test_a_service_is_ready_when_all_of_its_newest_pods_are(told: dict[str, Any], ready: bool, said: str) -> None:
    row = rows(KnownCluster(deployment("tracking", **told)))["service", "tracking"]
    assert (row.ready, row.said) == (ready, said)


def test_a_service_that_does_not_start_says_what_its_pod_says() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "registry.example.com/mlplat/mlflow: not found\nmore"}
    told = {"containerStatuses": [{"name": "tracking", "state": {"waiting": waiting}}]}
    cluster = KnownCluster(deployment("tracking", ready=0), pod("tracking-1", "tracking", status=told))
    said = rows(cluster)["service", "tracking"].said
    assert said == "tracking: ImagePullBackOff: registry.example.com/mlplat/mlflow: not found"


def test_a_service_that_keeps_dying_says_how_it_ended() -> None:
    each = {
        "name": "tracking",
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m"}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    }
    cluster = KnownCluster(
        deployment("tracking", ready=0), pod("tracking-1", "tracking", status={"containerStatuses": [each]})
    )
    assert rows(cluster)["service", "tracking"].said == "tracking: CrashLoopBackOff, it ended with 137 (OOMKilled)"


def test_a_pod_that_no_node_takes_says_why() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    cluster = KnownCluster(
        deployment("tracking", ready=0), pod("tracking-1", "tracking", status={"conditions": [unscheduled]})
    )
    assert rows(cluster)["service", "tracking"].said == "0/3 nodes are available"


def test_a_job_that_failed_is_told_and_one_that_ended_well_is_not() -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True", "message": "reached its deadline"}]}
    cluster = KnownCluster(
        made("Job", "tracking-migrate", "mlplat", "batch/v1", status=failed),
        made("Job", "other", "mlplat", "batch/v1", status={"conditions": [{"type": "Complete", "status": "True"}]}),
    )
    found = rows(cluster)
    assert "reached its deadline" in found["service", "tracking-migrate"].said
    assert ("service", "other") not in found


def test_an_add_on_is_ready_when_all_of_its_namespaces_are() -> None:
    both = (deployment("kueue", "kueue-system"), deployment("jobset", "jobset-system", ready=0))
    row = rows(KnownCluster(*both), queues="install")["add-on", "queues"]
    assert (row.ready, row.state) == (False, "1/2")
    assert row.said.startswith("jobset")
    assert rows(KnownCluster(), queues="install")["add-on", "queues"].said == "nothing of it runs"


def test_external_secrets_are_told_from_the_services_beside_which_they_run() -> None:
    webhook = deployment("external-secrets-webhook", ready=0)
    webhook["metadata"]["labels"] = {"app.kubernetes.io/instance": "external-secrets"}
    cluster = KnownCluster(deployment("tracking"), webhook)
    found = rows(cluster, secrets="install")
    assert {key for key in found if key[0] == "service"} == {("service", "tracking")}
    assert (found["add-on", "secrets"].ready, found["add-on", "secrets"].state) == (False, "0/1")
    webhook["status"]["readyReplicas"] = 1
    assert rows(cluster, secrets="install")["add-on", "secrets"].ready
    assert not rows(KnownCluster(deployment("tracking")), secrets="install")["add-on", "secrets"].ready


def test_an_adopted_add_on_is_known_by_its_kind() -> None:
    version, kind = status.KINDS["queues"]
    assert rows(KnownCluster(made(kind, "all", version=version)), queues="adopt")["add-on", "queues"].ready
    missing = rows(KnownCluster(), queues="adopt")["add-on", "queues"]
    assert (missing.ready, missing.said) == (False, "the cluster has no `ClusterQueue`")


def test_the_gateway_is_ready_once_it_is_programmed() -> None:
    bad = {"type": "Programmed", "status": "False", "reason": "AddressNotAssigned", "message": "no address yet"}
    waits = made("Gateway", names.GATEWAY, "mlplat", connection.GATEWAYS, spec={}, status={"conditions": [bad]})
    row = rows(KnownCluster(waits), gateway="adopt")["gateway", "mlplat"]
    assert (row.ready, row.state, row.said) == (False, "AddressNotAssigned", "no address yet")
    assert not rows(KnownCluster(), gateway="adopt")["gateway", "mlplat"].ready
    unseen = made("Gateway", names.GATEWAY, "mlplat", connection.GATEWAYS, spec={})
    assert rows(KnownCluster(unseen), gateway="adopt")["gateway", "mlplat"].state == "unseen by any controller"


def test_endpoints_are_told_by_their_own_status() -> None:
    serving = {"phase": "serving", "message": "version 1 (r1) serves"}
    cluster = KnownCluster(
        made("ModelEndpoint", "flights.late", "flights", names.API_VERSION, status=serving),
        made("ModelEndpoint", "flights.new", "flights", names.API_VERSION),
        made("ModelEndpoint", "flights.sad", "flights", names.API_VERSION, status={**serving, "trouble": "no bucket"}),
    )
    found = rows(cluster)
    assert found["endpoint", "flights/late"].ready
    assert (found["endpoint", "flights/new"].ready, found["endpoint", "flights/new"].state) == (False, "unseen")
    assert found["endpoint", "flights/sad"].said == "no bucket"
