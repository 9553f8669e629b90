"""A cluster without nodes on which a platform stands: what would run there is played, but for the controller.

That runs as in its pod: the shipped program, by the settings and as the service account that `up` has put there. Only
the addresses that pods alone reach are others: the registry of models is one without any.
"""

from __future__ import annotations

import base64
import http.server
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import free_ports
from kubeapi import CONTEXT, Api
from mlplat.cluster import Cluster
from mlplat.manifests import crd, names
from mlplat.services.cluster.controller import SETTINGS
from mlplat.targets.kubernetes import connection, status

PROXY = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "envoy-mlplat", "namespace": names.PROXIES, "labels": connection.OWNER},
    "spec": {"ports": [{"name": "http", "port": 80}]},
}
"""What Envoy Gateway makes for the platform's Gateway."""
ABANDONED: dict[str, Any] = {
    "apiVersion": names.API_VERSION,
    "kind": crd.KIND,
    "metadata": {"name": "flights.abandoned", "namespace": "flights", "finalizers": [crd.FINALIZER]},
    "spec": {"model": "flights/abandoned", "version": "1"},
}
"""An endpoint that its controller has still to end, where none runs."""
COUNTS = ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
KINDS = ("Deployment", "StatefulSet")
PROGRAMMED = {
    "type": "Programmed",
    "status": "True",
    "reason": "Programmed",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


@dataclass(frozen=True)
class Played:
    """A cluster, entered as its administrator."""

    cluster: Cluster
    api: Api

    def answer(self) -> None:
        """Write what kubelets and Envoy Gateway would say once everything runs."""
        for place in self._places():
            for kind in KINDS:
                for each in self.cluster.list(status.APPS, kind, place):
                    self._count(each, int(each["spec"].get("replicas", 1)))
        change = {"status": {"conditions": [PROGRAMMED]}}
        self.cluster.merge(connection.GATEWAYS, "Gateway", names.GATEWAY, change, names.NAMESPACE, status=True)

    @contextmanager
    def hurt(self, name: str) -> Iterator[str]:
        """Let a service have no pod that is ready."""
        found = self.cluster.get(status.APPS, "Deployment", name, names.NAMESPACE)
        assert found is not None
        self._count(found, 0)
        yield name
        self._count(found, int(found["spec"].get("replicas", 1)))

    def charts(self) -> None:
        """Put a workload in each place where charts would run: none can be had here."""
        for group, places in status.CHARTS.items():
            for place in places:
                label = {status.INSTANCE: status.RELEASES.get(group, group)}
                self.cluster.apply(named("v1", "Namespace", place))
                self.cluster.apply(_workload(group, place, label))

    def secrets(self) -> list[str]:
        """Return every value of the platform's own secrets."""
        found = self.cluster.list("v1", "Secret", names.NAMESPACE)
        values = [base64.b64decode(value).decode() for each in found for value in (each.get("data") or {}).values()]
        return [value for value in values if len(value) > LEAST_SIGNS]

    def _places(self) -> list[str]:
        found = {names.NAMESPACE, *(place for places in status.CHARTS.values() for place in places)}
        return sorted(found & {each["metadata"]["name"] for each in self.cluster.list("v1", "Namespace")})

    def _count(self, workload: Mapping[str, Any], ready: int) -> None:
        metadata = workload["metadata"]
        told = {"status": {"observedGeneration": metadata["generation"], **dict.fromkeys(COUNTS, ready)}}
        place = (metadata["name"], told, metadata["namespace"])
        self.cluster.merge(status.APPS, workload["kind"], *place, status=True)


LEAST_SIGNS = 7
"""Shorter values, such as a user's name, may stand anywhere."""


def named(version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    """Return the head of an object."""
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place}}


def _workload(name: str, place: str, labels: Mapping[str, str]) -> dict[str, Any]:
    head = named(status.APPS, "Deployment", name, place)
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": "chart"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": pod}
    return {**head, "metadata": {**head["metadata"], "labels": labels}, "spec": spec}


@contextmanager
def controller(api: Api, folder: Path) -> Iterator[None]:
    """Run the platform's controller for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    with api.cluster() as cluster, empty_registry() as tracking:
        settings, (port,) = _settings(cluster), free_ports(1)
        told = folder / SETTINGS
        told.write_text(json.dumps({**settings, "tracking": tracking, "port": port}))
        entry = _entry(api, _token(cluster), folder / "kubeconfig")
        name = f"controller-{folder.name}"
        known = (f"KUBECONFIG={entry}", "AWS_ACCESS_KEY_ID=tests", "AWS_SECRET_ACCESS_KEY=tests")
        argv = (sys.executable, "-m", "mlplat.controller.kubernetes", "--settings", told, "--context", CONTEXT)
        api.processes.start(name, "/usr/bin/env", *known, *argv)
        try:
            lease = "coordination.k8s.io/v1", "Lease", "controller", names.NAMESPACE
            api.processes.wait(name, lambda: bool((cluster.get(*lease) or {}).get("spec", {}).get("holderIdentity")))
            yield
        finally:
            api.processes.end(name)


def _settings(cluster: Cluster) -> dict[str, Any]:
    maps = [each.get("data") or {} for each in cluster.list("v1", "ConfigMap", names.NAMESPACE)]
    (told,) = [each[SETTINGS] for each in maps if SETTINGS in each]
    settings: dict[str, Any] = json.loads(told)
    return settings


def _token(cluster: Cluster) -> str:
    """Return what the API server lets the controller's pod in by."""
    deployment = cluster.get(status.APPS, "Deployment", "controller", names.NAMESPACE)
    assert deployment is not None
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    path = f"/api/v1/namespaces/{names.NAMESPACE}/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(cluster.ask("POST", path, body=body)["status"]["token"])


def _entry(api: Api, token: str, file: Path) -> Path:
    config = json.loads(api.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))
    return file


@contextmanager
def empty_registry() -> Iterator[str]:
    """Serve a registry of models that holds none, in MLflow's words."""
    said = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is no such model"}
    with answering(lambda _: (404, said)) as address:
        yield address


@contextmanager
def answering(answer: Callable[[bytes], tuple[int, Mapping[str, Any]]]) -> Iterator[str]:
    """Serve JSON on loopback: a code and a document for what is asked; yield the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            code, document = answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
