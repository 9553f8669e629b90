"""Which version of each part there is, by resources: those of an engine's state, or those that a program declares.

Resources are asked, rather than the outputs of the last `up`: one that failed half-way has written none, and has
brought some parts to their new version, whose databases cannot go back; and outputs still tell what a `down` has ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

MLPLAT, KUBERNETES, EKS, RDS, GATEWAY_API = "mlplat", "kubernetes", "eks", "rds", "gateway-api"
UNMADE = (MLPLAT, KUBERNETES)
"""Parts that are no resource."""
MACHINE_IMAGE = "machine image"
IMAGE = "image "
"""Begins the name of an image of the platform's own: `image tracking`."""
OUTPUT = "versions"
"""Output of a stack: the version of each part as its last `up` has left it."""
ROOT = "pulumi:pulumi:Stack"
BUNDLE = "gateway.networking.k8s.io/bundle-version"
SERVICE, VERSION = "mlplat/service", "app.kubernetes.io/version"
SIGNS = 12
"""Signs of a digest that people tell one from another by."""

Inputs = Mapping[str, Any]
Version = tuple[str, Any]
"""A part, and its version: text, or an output that nobody can read yet."""


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: of `v1.22.4-eksbuild.3`, (1, 22, 4)."""
    found = re.search(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def installed(resources: Iterable[tuple[str, Inputs]]) -> dict[str, str]:
    """Return the version of each part, by types and inputs of resources in any order; of several the newest.

    Names of inputs are the engine's or Python's. Versions that only the engine will know are left out.
    """
    found: dict[str, str] = {}
    for kind, inputs in resources:
        for part, version in _versions(kind, inputs):
            if isinstance(version, str) and _order(version) > _order(found.get(part, "")):
                found[part] = version
    return dict(sorted(found.items()))


def remembered(resources: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the versions that a state holds: by its resources, and by its outputs what no resource tells."""
    held = list(resources)
    root = next((each.get("outputs") or {} for each in held if each["type"] == ROOT), {})
    told = root.get(OUTPUT) or {}
    # What waits to be deleted was replaced by something that is in the state too.
    made = installed((str(each["type"]), each.get("inputs") or {}) for each in held if not each.get("delete"))
    return {**{name: told[name] for name in UNMADE if name in told}, **made}


def _order(version: str) -> tuple[tuple[int, ...], str]:
    return numbers(version), version


def _versions(kind: str, inputs: Inputs) -> Iterator[Version]:
    if reader := READERS.get(kind):
        yield from reader({_camel(name): value for name, value in inputs.items()})


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _release(inputs: Inputs) -> Iterator[Version]:
    yield inputs["name"], inputs.get("version")


def _addon(inputs: Inputs) -> Iterator[Version]:
    yield inputs["addonName"], inputs.get("addonVersion")


def _cluster(inputs: Inputs) -> Iterator[Version]:
    yield EKS, inputs.get("version")


def _database(inputs: Inputs) -> Iterator[Version]:
    yield RDS, inputs.get("engineVersion")


def _node_class(inputs: Inputs) -> Iterator[Version]:
    for term in inputs["spec"].get("amiSelectorTerms") or ():
        yield MACHINE_IMAGE, term.get("alias")


def _definition(inputs: Inputs) -> Iterator[Version]:
    version = (inputs["metadata"].get("annotations") or {}).get(BUNDLE)
    yield GATEWAY_API, version.removeprefix("v") if isinstance(version, str) else None


def _workload(inputs: Inputs) -> Iterator[Version]:
    marks = inputs["metadata"].get("labels") or {}
    if SERVICE in marks:
        yield marks[SERVICE], marks.get(VERSION)


def _layer(inputs: Inputs) -> Iterator[Version]:
    for name, reference in (inputs.get("images") or {}).items():
        yield IMAGE + name, _content(reference) if isinstance(reference, str) else None


def _content(reference: str) -> str:
    """Return what tells an image's content: its digest in short, or else its tag."""
    rest, _, digest = reference.partition("@sha256:")
    return digest[:SIGNS] or rest.rpartition(":")[2]


READERS: Mapping[str, Callable[[Inputs], Iterator[Version]]] = {
    "kubernetes:helm.sh/v3:Release": _release,
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": _definition,
    "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass": _node_class,
    "kubernetes:apps/v1:Deployment": _workload,
    "kubernetes:apps/v1:StatefulSet": _workload,
    # A migration that has run while what comes after it has not.
    "kubernetes:batch/v1:Job": _workload,
    "mlplat:kubernetes:Layer": _layer,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/addon:Addon": _addon,
    "aws:rds/instance:Instance": _database,
}
