"""Services' documents without an engine: a place where every reference has a plain value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlplat import services
from mlplat.manifests import Peer, Place, edges, names, network, workload
from mlplat.services import Service
from mlplat.spec.platform import PlatformSpec, parse_platform

Document = dict[str, Any]
DIGEST = "@sha256:" + 64 * "0"
IMAGES = {
    name: f"registry.example.com/mlplat/{name}:1{DIGEST}" for name in ("tracking", "features", "controller", "serving")
}
BUCKETS = ("data", "artifacts", "features", "pipelines")
ANYWHERE = Peer((443, 6443), addresses=network.ANYWHERE)


def spec(kubernetes: Mapping[str, Any] | None = None, **more: Any) -> PlatformSpec:
    """Return a platform on a cluster, for development unless it says otherwise."""
    on = {"context": "test", "production": False, **(kubernetes or {})}
    return parse_platform({"version": 2, "target": "kubernetes", "engine": {}, "kubernetes": on, **more}, "a test")


def place(made: Sequence[Service], **more: Any) -> Place:
    """Return a place of services that knows all that they refer to."""
    known = {each.name: edges.of_service(each) for each in made}
    outside = dict.fromkeys(("database", "objects", "identity", "api"), ANYWHERE)
    callers = {name: Peer((), {"matchLabels": {"mlplat/caller": name}}, {}) for name in CALLERS}
    clients = {each.name: [other.name for other in made if each.name in other.needs] for each in made}
    given = {"values": values(made), "peers": {**outside, **callers, **known}, "clients": clients, "production": False}
    return Place(**{"images": IMAGES, **given, **more})


CALLERS = ("gateway", "pipelines", "serving", "monitoring")


def values(made: Sequence[Service]) -> dict[str, Any]:
    """Return what references of services mean."""
    return {
        "artifacts": ("s3://", "bucket-artifacts", "/tracking"),
        "objects": "http://objects.mlplat.svc:8333",
        "region": "us-east-1",
        **{f"bucket:{each}": f"bucket-{each}" for each in BUCKETS},
        **{f"url:{each.name}": f"http://{each.name}.{names.NAMESPACE}.svc" for each in made},
        **{f"names:{each.name}": f"{each.name},{each.name}:80" for each in made},
    }


def documents(platform: PlatformSpec, **more: Any) -> list[Document]:
    """Return every document of a platform's services."""
    made = services.on_cluster(platform)
    return [each for service in made for each in workload(service, place(made, **more))]


def pods(found: Sequence[Document]) -> list[tuple[Document, Document]]:
    """Return each document that makes pods, with their template."""
    return [(each, each["spec"]["template"]) for each in found if "template" in each.get("spec", {})]


def containers(found: Sequence[Document]) -> list[tuple[Document, Document]]:
    """Return each document that makes pods with each of their containers."""
    return [
        (each, container)
        for each, template in pods(found)
        for kind in ("initContainers", "containers")
        for container in template["spec"].get(kind, [])
    ]


def where(document: Document) -> str:
    """Return what a document is known by."""
    return f"{document['kind']}/{document['metadata']['name']}"


def expanded(text: str, env: Mapping[str, str]) -> str:
    """Put variables into a text as the kubelet does: `$(NAME)` where it is known, `$$` for a dollar."""
    made, at = "", 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            made, at = made + text[at], at + 1
        elif text[at + 1] == "$":
            made, at = made + "$", at + 2
        elif text[at + 1] == "(" and ")" in text[at:]:
            end = text.index(")", at)
            name = text[at + 2 : end]
            made, at = made + env.get(name, text[at : end + 1]), end + 1
        else:
            made, at = made + "$", at + 1
    return made
