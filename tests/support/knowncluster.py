"""A cluster that holds the objects it was given, for what only looks: no API server is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.errors import UnreachableError

Document = dict[str, Any]


class KnownCluster:
    """Objects by kind; `log` by pod; `denied` are the resources that nobody here may touch."""

    described = "the cluster of the tests"

    def __init__(self, *objects: Document, log: Mapping[str, str] | None = None, denied: tuple[str, ...] = ()) -> None:
        self.objects = [*objects]
        self.log = dict(log or {})
        self.denied = denied
        self.kinds = {(each["apiVersion"], each["kind"]) for each in objects}
        self.version = {"major": "1", "minor": "35", "gitVersion": "v1.35.4"}
        self.gone = False
        """Whether nothing answers."""

    def __enter__(self) -> KnownCluster:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Document | None:
        return next((each for each in self.list(api_version, kind, namespace) if _name(each) == name), None)

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: str | None = None,
    ) -> list[Document]:
        if self.gone:
            raise UnreachableError(f"{self.described} does not answer")
        return [
            each
            for each in self.objects
            if (each["apiVersion"], each["kind"]) == (api_version, kind)
            and namespace in (None, each["metadata"].get("namespace"))
            and (labels or {}).items() <= each["metadata"].get("labels", {}).items()
        ]

    def knows(self, api_version: str, kind: str) -> bool:
        return (api_version, kind) in self.kinds

    def ask(self, method: str, path: str, query: Any = None, body: Any = None) -> Document:
        if self.gone:
            raise UnreachableError(f"{self.described} does not answer")
        if path == "/version":
            return self.version
        asked = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": asked["resource"] not in self.denied}}

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None, **_: Any) -> None:
        for each in self.list(api_version, kind, namespace):
            if _name(each) == name and not each["metadata"].get("finalizers"):
                self.objects.remove(each)

    def merge(
        self, api_version: str, kind: str, name: str, change: Document, namespace: str | None = None, **_: Any
    ) -> None:
        for each in self.list(api_version, kind, namespace):
            if _name(each) == name:
                each["metadata"] |= change["metadata"]
                if not each["metadata"]["finalizers"]:
                    self.objects.remove(each)

    def logs(
        self, namespace: str, pod: str, *, container: str | None = None, lines: int = 100, previous: bool = False
    ) -> str:
        kept = self.log.get(f"{pod}/previous" if previous else pod, "")
        return "\n".join(kept.splitlines()[-lines:])


def made(kind: str, name: str, namespace: str | None = None, version: str = "v1", **more: Any) -> Document:
    """Return an object; `labels` and other metadata by `metadata`."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def deployment(name: str, namespace: str = "mlplat", *, wanted: int = 1, ready: int = 1, **status: Any) -> Document:
    """Return a Deployment of which so many are ready."""
    told = {"observedGeneration": 1, "readyReplicas": ready, "updatedReplicas": wanted, **status}
    chosen = {"matchLabels": {"app.kubernetes.io/name": name}}
    spec = {"replicas": wanted, "selector": chosen}
    return made("Deployment", name, namespace, "apps/v1", metadata={"generation": 1}, spec=spec, status=told)


def pod(name: str, service: str, namespace: str = "mlplat", **more: Any) -> Document:
    """Return a pod of a service."""
    about = {
        "labels": {"app.kubernetes.io/name": service},
        "creationTimestamp": more.pop("since", "2026-01-01T00:00:00Z"),
    }
    spec = {"containers": [{"name": service}]}
    return made("Pod", name, namespace, metadata=about, spec=spec, **more)


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])
