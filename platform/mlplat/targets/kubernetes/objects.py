"""A manifest as a resource of the engine: one way, for Kubernetes' own kinds and everybody else's alike.

The classes of `pulumi_kubernetes` are one a kind, take no custom resource with fields beside `spec`, and rename every
key on the way. A document says all of it already; its type follows from its `apiVersion` and `kind`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import pulumi

from mlplat.manifests.names import short

NAME_SIGNS = 100
AWAITED: Mapping[str, str] = {
    # Without these the engine takes a custom resource for done once it is written.
    "Gateway": "condition=Programmed",
    "ExternalSecret": "condition=Ready",
    "SecretStore": "condition=Ready",
    "CustomResourceDefinition": "condition=Established",
}
"""What the engine waits for, by kind; it knows Kubernetes' own kinds itself."""
MINUTES: Mapping[str, str] = {"Deployment": "15m", "StatefulSet": "15m", "Job": "20m", "Namespace": "20m"}
"""How long it waits where its own ten minutes are little: images are pulled, namespaces are emptied."""

Document = Mapping[str, Any]


def token(document: Document) -> str:
    """Return the engine's type of a document: `kubernetes:core/v1:Service`, `kubernetes:apps/v1:Deployment`."""
    version = document["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{document['kind']}"


def logical_name(document: Document) -> str:
    """Return what the engine knows a document by, below its parent: `service-mlplat-tracking`."""
    named = document["metadata"]
    parts = [document["kind"], named.get("namespace"), named["name"]]
    return short("-".join(str(each) for each in parts if each).lower(), NAME_SIGNS)


class Declared(pulumi.CustomResource):
    """An object; of what the cluster adds to it, `status` is kept for those whose status is asked for."""

    status: pulumi.Output[Any]


def declare(
    document: Document, opts: pulumi.ResourceOptions | None = None, name: str | None = None, *, status: bool = False
) -> Declared:
    """Declare one document; any leaf of it but kind, name and namespace may be an output."""
    timeout = MINUTES.get(document["kind"])
    more = pulumi.ResourceOptions(
        version=version(),
        custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout, delete=timeout) if timeout else None,
    )
    return Declared(
        token(document),
        name or logical_name(document),
        {**_with_waiting(document), **({"status": None} if status else {})},
        pulumi.ResourceOptions.merge(more, opts),
    )


@functools.cache
def version() -> str:
    """Return the version of the provider that the engine takes: that of the package which is installed."""
    return metadata.version("pulumi_kubernetes")


def _with_waiting(document: Document) -> dict[str, Any]:
    waited = AWAITED.get(document["kind"])
    if waited is None:
        return dict(document)
    named = document["metadata"]
    annotations = {**named.get("annotations", {}), "pulumi.com/waitFor": waited}
    return {**document, "metadata": {**named, "annotations": annotations}}


class _Found(pulumi.CustomResource):
    metadata: pulumi.Output[Mapping[str, Any]]


def found(api_version: str, kind: str, name: str, opts: pulumi.ResourceOptions) -> _Found:
    """Return an object that is somebody else's, as the cluster has it when the program runs."""
    document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
    asked = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=name, version=version()))
    return _Found(token(document), f"found-{kind}-{name}".lower(), {"metadata": None}, asked)
