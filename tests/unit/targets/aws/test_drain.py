"""What goes from a cluster before it is ended, on a server that speaks as much of Kubernetes' API as that takes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.targets.aws import drain
from mlplat.targets.aws.drain import Cluster, Kind, Stage

GROUPS = {
    "mlplat.io": "v1alpha1",
    "argoproj.io": "v1alpha1",
    "gateway.networking.k8s.io": "v1",
    "karpenter.sh": "v1",
    "karpenter.k8s.aws": "v1",
}


class Server(ThreadingHTTPServer):
    """A cluster: objects by their path. What a controller would do is done when the thing it looks at is deleted."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.deleted: list[str] = []
        self.groups = dict(GROUPS)
        self.controllers = True
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, path: str, **more: Any) -> None:
        """Have an object at a path, such as `/api/v1/namespaces/a/services/b`."""
        parts = path.strip("/").split("/")
        space = parts[parts.index("namespaces") + 1] if "namespaces" in parts else None
        told = {"name": parts[-1], "uid": path, **({"namespace": space} if space else {}), **more.pop("metadata", {})}
        self.objects[path] = {"metadata": told, **more}

    def listed(self, path: str) -> list[dict[str, Any]]:
        root, _, plural = path.rpartition("/")
        return [
            each
            for at, each in self.objects.items()
            if at.startswith(root) and at.rsplit("/", 2)[-2] == plural and at.startswith(root + "/")
        ]

    def remove(self, path: str) -> bool:
        if path not in self.objects:
            return False
        self.deleted.append(path)
        told = self.objects[path]["metadata"]
        if told.get("finalizers") and not self.controllers:
            told["deletionTimestamp"] = "2013-07-01T00:00:00Z"
            return True
        del self.objects[path]
        self.settle()
        return True

    def settle(self) -> None:
        """Do Karpenter's part: a claim goes when its pool is gone and no pod is on its node."""
        busy = {(each.get("spec") or {}).get("nodeName") for each in self.objects.values()}
        pools = [path for path in self.objects if "/nodepools/" in path]
        for path in [path for path in self.objects if "/nodeclaims/" in path]:
            if not pools and path.rsplit("/", 1)[-1] not in busy:
                del self.objects[path]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked.append(("GET", self.path))
            if self.headers["Authorization"] != "Bearer right":
                return self.answer(403, {"message": "who are you"})
            if self.path == "/apis":
                groups = [
                    {"name": name, "preferredVersion": {"groupVersion": f"{name}/{version}"}}
                    for name, version in self.server.groups.items()
                ]
                return self.answer(200, {"groups": groups})
            return self.answer(200, {"items": self.server.listed(self.path)})

    def do_DELETE(self) -> None:
        with self.server.lock:
            self.server.asked.append(("DELETE", self.path))
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert body == {"propagationPolicy": "Foreground"}
            found = self.server.remove(self.path)
            return self.answer(200 if found else 404, {"message": "deleted" if found else "not found"})

    def answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def run(server: Server, **more: Any) -> list[str]:
    with Cluster(server.url, lambda: "right") as cluster:
        return drain.drain(cluster, lambda _: None, pause=0.01, **more)


def full(server: Server) -> None:
    server.put("/apis/mlplat.io/v1alpha1/namespaces/flights/modelendpoints/late")
    server.put("/apis/argoproj.io/v1alpha1/namespaces/flights/cronworkflows/nightly")
    server.put("/apis/argoproj.io/v1alpha1/namespaces/flights/workflows/train-1")
    server.put("/apis/gateway.networking.k8s.io/v1/namespaces/mlplat/gateways/gateway")
    server.put("/api/v1/namespaces/mlplat/services/outside", spec={"type": "LoadBalancer"})
    server.put("/api/v1/namespaces/mlplat/services/tracking", spec={"type": "ClusterIP"})
    server.put("/apis/karpenter.sh/v1/nodepools/gpu")
    server.put("/apis/karpenter.sh/v1/nodeclaims/node-1")
    server.put("/apis/karpenter.k8s.aws/v1/ec2nodeclasses/gpu")
    server.put("/api/v1/nodes/node-1", metadata={"labels": {drain.NODE_LABEL: "gpu"}})
    server.put("/api/v1/nodes/system", metadata={"labels": {}})
    server.put("/api/v1/namespaces/flights/pods/train", spec={"nodeName": "node-1"})
    server.put("/api/v1/namespaces/kube-system/pods/karpenter", spec={"nodeName": "system"})


def test_the_order_is_people_then_ways_in_then_pools_then_their_classes(server: Server) -> None:
    full(server)
    deleted = run(server)
    assert deleted == [
        "modelendpoints/flights/late",
        "cronworkflows/flights/nightly",
        "workflows/flights/train-1",
        "gateways/mlplat/gateway",
        "services/mlplat/outside",
        "nodepools/gpu",
        "ec2nodeclasses/gpu",
    ]


def test_only_services_with_a_load_balancer_go_and_no_pod_of_the_systems_nodes(server: Server) -> None:
    full(server)
    run(server)
    assert sorted(path.rsplit("/", 1)[-1] for path in server.objects) == ["karpenter", "node-1", "system", "tracking"]


def test_a_class_goes_only_when_no_node_of_its_pool_is_left(server: Server) -> None:
    full(server)
    run(server)
    order = [path.rsplit("/", 2)[-2] for path in server.deleted]
    assert order.index("nodepools") < order.index("pods") < order.index("ec2nodeclasses")
    assert not [path for path in server.objects if "nodeclaims" in path]


def test_what_is_asked_for_twice_is_deleted_once(server: Server) -> None:
    full(server)
    run(server)
    assert len(server.deleted) == len(set(server.deleted))
    assert run(server) == []


def test_a_cluster_without_these_kinds_has_nothing_to_drain(server: Server) -> None:
    server.groups = {}
    server.put("/api/v1/namespaces/mlplat/services/tracking", spec={"type": "ClusterIP"})
    assert run(server) == []


def test_a_look_ahead_deletes_nothing(server: Server) -> None:
    full(server)
    with Cluster(server.url, lambda: "right") as cluster:
        assert "nodepools/gpu" in drain.planned(cluster)
    assert not [path for method, path in server.asked if method == "DELETE"]


def test_what_waits_for_a_controller_that_is_gone_is_said_with_its_finalizer(server: Server) -> None:
    server.controllers = False
    server.put("/apis/karpenter.sh/v1/nodepools/gpu", metadata={"finalizers": ["karpenter.sh/termination"]})
    stage = Stage("nodes of pools", (Kind("karpenter.sh", "nodepools"),), 0.05)
    with pytest.raises(MlplatError, match=r"nodepools/gpu: waits for karpenter.sh/termination") as ended:
        run(server, stages=[stage])
    assert "--skip-drain" in (ended.value.hint or "")


def test_somebody_without_rights_is_told_whose_they_need(server: Server) -> None:
    with Cluster(server.url, lambda: "wrong") as cluster, pytest.raises(RefusedError) as refused:
        drain.planned(cluster)
    assert "aws.cluster.admins" in (refused.value.hint or "")


def test_a_cluster_that_does_not_answer_is_said_and_may_be_passed_over(free_port: int) -> None:
    there = f"http://127.0.0.1:{free_port}"
    with Cluster(there, lambda: "right") as cluster, pytest.raises(UnreachableError) as silent:
        drain.planned(cluster)
    assert "--skip-drain" in (silent.value.hint or "")


@pytest.mark.parametrize(
    ("pod", "holds"),
    [
        ({"spec": {"nodeName": "n"}, "metadata": {"name": "a"}}, True),
        ({"spec": {"nodeName": "n"}, "metadata": {"name": "a", "ownerReferences": [{"kind": "Job"}]}}, True),
        ({"spec": {"nodeName": "n"}, "metadata": {"name": "a", "ownerReferences": [{"kind": "DaemonSet"}]}}, False),
        ({"spec": {"nodeName": "n"}, "metadata": {"name": "a", "deletionTimestamp": "now"}}, False),
        ({"spec": {"nodeName": "n"}, "metadata": {"name": "a"}, "status": {"phase": "Succeeded"}}, False),
        ({"spec": {"nodeName": "other"}, "metadata": {"name": "a"}}, False),
        ({"spec": {}, "metadata": {"name": "pending"}}, False),
    ],
)
def test_which_pods_hold_a_node(pod: dict[str, Any], holds: bool) -> None:
    nodes: list[dict[str, Any]] = [
        {"metadata": {"name": "n", "labels": {drain.NODE_LABEL: "gpu"}}},
        {"metadata": {"name": "other"}},
    ]
    assert bool(drain.holders([pod], nodes)) is holds
