"""The node that the node level stands on runs pods for real: they start, find each other by name, and answer."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import kubeapi
import kubeimage
import kubenode
import kubenodes
from commands import until
from mlplat.cluster import Cluster

REASON = kubenode.missing()
pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(
        REASON is not None and "node" not in os.environ.get("MLPLAT_REQUIRE", "").split(","), reason=str(REASON)
    ),
]
TEAM = "pods"
IMAGE = "registry.local/answers:1"
LABELS = {"app": "answers"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kubenode.Node]:
    with kubenode.running(tmp_path_factory.mktemp("node") / "node") as made:
        # A DNS server answers `/health` too, and is one file.
        program = kubeapi.TOOLS / "coredns"
        archive = kubeimage.write(made.api.folder / "answers.tar", IMAGE, {"/bin/coredns": program}, ["/bin/coredns"])
        made.load(archive)
        yield made


@pytest.fixture(scope="module")
def cluster(node: kubenode.Node) -> Iterator[Cluster]:
    with node.api.cluster() as made:
        kubenodes.namespace(made, TEAM)
        for each in (config(), pod(), service()):
            made.apply(each)
        yield made


def config() -> dict[str, Any]:
    text = ".:5353 {\n    health :8080\n}\n"
    return {**named("v1", "ConfigMap", "answers"), "data": {"Corefile": text}}


def pod() -> dict[str, Any]:
    """Return a pod as closed as the platform's own are."""
    container = {
        "name": "answers",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/config/Corefile"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "config", "mountPath": "/config"}],
    }
    spec = {
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10_001, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "config", "configMap": {"name": "answers"}}],
    }
    return {**named("v1", "Pod", "answers"), "spec": spec}


def service() -> dict[str, Any]:
    return {
        **named("v1", "Service", "answers"),
        "spec": {"selector": LABELS, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def named(version: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": TEAM, "labels": LABELS}}


def ready(cluster: Cluster) -> bool:
    seen = cluster.get("v1", "Pod", "answers", TEAM) or {}
    return ("Ready", "True") in {
        (each["type"], each["status"]) for each in seen.get("status", {}).get("conditions") or []
    }


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.read() == b"OK")
    except OSError:
        return False


def addresses(name: str) -> list[str]:
    """Return what the cluster's DNS says of a name, asked as a pod asks: one question of type A by UDP.

    Nothing comes back while it starts.
    """
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.sendto(b"\x12\x34\x01\x00\0\1\0\0\0\0\0\0" + question, (kubenode.ADDRESS, kubenode.DNS_PORT))
        try:
            answer = asking.recv(512)
        except TimeoutError:
            return []
    count = int.from_bytes(answer[6:8], "big")
    return [socket.inet_ntoa(answer[-4:])] if count == 1 else []


def test_a_pod_runs_and_answers_through_its_service(cluster: Cluster) -> None:
    until(lambda: ready(cluster), what="the pod")
    found = cluster.get("v1", "Service", "answers", TEAM)
    assert found
    until(lambda: answers(f"http://{found['spec']['clusterIP']}/health"), what="an answer through the service")


def test_its_name_leads_to_its_service(cluster: Cluster) -> None:
    found = cluster.get("v1", "Service", "answers", TEAM)
    assert found
    until(lambda: addresses(f"answers.{TEAM}.svc.cluster.local") == [found["spec"]["clusterIP"]], what="the name")


def test_its_log_is_read_through_the_api(cluster: Cluster) -> None:
    until(lambda: ready(cluster), what="the pod")
    assert "CoreDNS" in cluster.logs(TEAM, "answers", lines=50)
