"""Rules on nodes: their sizes, machines, disks, and what stands on them."""

from __future__ import annotations

import functools
import gzip
import json
from importlib.resources import files
from typing import Any

from capture import Graph, Made
from rules.base import Found, at, aws, customs, objects, parsed, place, rule
from rules.cluster import AFTER_NODES

SYSTEM_TAINT = "CriticalAddonsOnly"
ON_SYSTEM_NODES = ("karpenter", "aws-load-balancer-controller")
"""Charts whose pods stand on the system nodes."""
ON_EVERY_GPU = ("nvidia-device-plugin", "dcgm-exporter")
"""Charts that make a GPU of a node visible."""


@rule
def sizes_agree(graph: Graph) -> Found:
    """Fewest, wanted and most nodes are in order."""
    for each in aws(graph, "eks.NodeGroup"):
        low, want, high = (at(each.inputs, f"scalingConfig.{name}") for name in ("minSize", "desiredSize", "maxSize"))
        if not all(isinstance(size, int) for size in (low, want, high)) or not 0 <= low <= want <= high or high < 1:
            yield each.key, f"sizes {low}, {want}, {high} are not in order"
        if not place(graph).is_dev and (low or 0) < 2:
            yield each.key, "has fewer than two nodes, and one must be able to go"
        if "scalingConfig.desiredSize" not in each.ignore_changes and "scalingConfig" not in each.ignore_changes:
            yield each.key, "takes back what an autoscaler did to its size"


@functools.cache
def machines() -> dict[str, list[str]]:
    """Return the processor architectures of every EC2 instance type, from the facts that moto ships."""
    packed = files("moto.ec2.resources").joinpath("instance_types.json.gz").read_bytes()
    known = json.loads(gzip.decompress(packed))
    return {name: facts["ProcessorInfo"]["SupportedArchitectures"] for name, facts in known.items()}


@rule
def machines_exist(graph: Graph) -> Found:
    """An instance type is one of EC2's, and of the architecture that its image is made for."""
    for each in aws(graph, "eks.NodeGroup"):
        image = str(each.inputs.get("amiType"))
        wanted = "arm64" if "ARM_64" in image or "arm_64" in image else "x86_64"
        for name in each.inputs.get("instanceTypes") or []:
            if name not in machines():
                yield each.key, f"{name} is no instance type"
            elif wanted not in machines()[name]:
                yield each.key, f"{name} cannot run {image}"
            elif "NVIDIA" in image and name[0] not in "gp":
                yield each.key, f"{name} has no GPU for {image}"
    for each in customs(graph, "NodePool"):
        names = required(each, "node.kubernetes.io/instance-type")
        architectures = required(each, "kubernetes.io/arch") or ["amd64"]
        for name in names:
            known = machines().get(name, [])
            if not known:
                yield each.key, f"{name} is no instance type"
            elif {"amd64": "x86_64"}.get(architectures[0], architectures[0]) not in known:
                yield each.key, f"{name} is not {architectures[0]}"


def required(pool: Made, key: str) -> list[str]:
    """Return the values that a pool asks for by a requirement."""
    written = at(pool.inputs, "spec.template.spec.requirements") or []
    found = pool.inputs["spec"]["template"]["spec"]["requirements"] if written else []
    return [value for each in found if each.get("key") == key for value in each.get("values", [])]


@rule
def machines_are_locked(graph: Graph) -> Found:
    """A pod cannot take its node's role: tokens are required, and end at the node. Disks are encrypted."""
    for each in aws(graph, "ec2.LaunchTemplate"):
        options = at(each.inputs, "metadataOptions") or {}
        if options.get("httpTokens") != "required" or options.get("httpPutResponseHopLimit") != 1:
            yield each.key, "lets pods ask for the node's credentials"
        disks = [at(disk, "ebs") or {} for disk in each.inputs.get("blockDeviceMappings", [])]
        if not disks or not all(
            str(disk.get("encrypted")).lower() == "true" and disk.get("kmsKeyId") for disk in disks
        ):
            yield each.key, "has a disk that is not encrypted with a key of ours"
    for each in customs(graph, "EC2NodeClass"):
        disks = each.inputs["spec"].get("blockDeviceMappings", [])
        if not disks or not all(at(disk, "ebs.encrypted") is True for disk in disks):
            yield each.key, "has a disk that is not encrypted"
        options = at(each.inputs, "spec.metadataOptions")
        if options is not None and (
            options.get("httpTokens") != "required" or options.get("httpPutResponseHopLimit") != 1
        ):
            yield each.key, "lets pods ask for the node's credentials"


@rule
def taints_are_spelled(graph: Graph) -> Found:
    """EKS and Kubernetes spell the same effect differently, and the SDK takes either."""
    for each in aws(graph, "eks.NodeGroup"):
        for taint in each.inputs.get("taints") or []:
            if taint.get("effect") not in ("NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"):
                yield each.key, f"effect {taint.get('effect')!r} is none of EKS's"
    for each in customs(graph, "NodePool"):
        for taint in at(each.inputs, "spec.template.spec") and each.inputs["spec"]["template"]["spec"].get(
            "taints", []
        ):
            if taint.get("effect") not in ("NoSchedule", "NoExecute", "PreferNoSchedule"):
                yield each.key, f"effect {taint.get('effect')!r} is none of Kubernetes's"


@rule
def taints_are_tolerated(graph: Graph) -> Found:
    """What must stand on a tainted node tolerates its taint: else nodes come, and stay empty."""
    nodes = [taint for each in aws(graph, "eks.NodeGroup") for taint in each.inputs.get("taints") or []]
    pools = [
        taint
        for each in customs(graph, "NodePool")
        for taint in each.inputs["spec"]["template"]["spec"].get("taints", [])
    ]
    gpu = [taint for taint in pools if is_gpu(taint)]
    for each in objects(graph):
        chart = str(each.inputs.get("chart", "")).rpartition("/")[2]
        wanted = nodes if chart in ON_SYSTEM_NODES else pools if chart in ON_EVERY_GPU and gpu else []
        for taint in wanted:
            if not any(_tolerates(found, taint) for found in _tolerations(each.inputs.get("values"))):
                yield each.key, f"does not tolerate the taint `{taint.get('key')}`"
    for each in aws(graph, "eks.Addon"):
        if each.inputs.get("addonName") in AFTER_NODES:
            given = _tolerations(parsed(each.inputs.get("configurationValues") or "{}"))
            for taint in nodes:
                if taint.get("key") != SYSTEM_TAINT and not any(_tolerates(found, taint) for found in given):
                    yield each.key, f"does not tolerate the taint `{taint.get('key')}`"
                # EKS's add-ons tolerate `CriticalAddonsOnly` unless told otherwise.
                if taint.get("key") == SYSTEM_TAINT and given and not any(_tolerates(found, taint) for found in given):
                    yield each.key, f"no longer tolerates the taint `{SYSTEM_TAINT}`"


def is_gpu(taint: dict[str, Any]) -> bool:
    """Tell whether a taint keeps a GPU for those who ask for one."""
    return str(taint.get("key")).startswith("nvidia.com/gpu")


def _tolerations(values: Any) -> list[dict[str, Any]]:
    if isinstance(values, dict):
        own = values.get("tolerations")
        found = [each for each in own if isinstance(each, dict)] if isinstance(own, list) else []
        return [
            *found,
            *(each for key, below in values.items() if key != "tolerations" for each in _tolerations(below)),
        ]
    return []


def _tolerates(toleration: dict[str, Any], taint: dict[str, Any]) -> bool:
    if toleration.get("key") not in (None, "", taint.get("key")):
        return False
    effect = str(taint.get("effect", "")).replace("_", "").lower()
    if str(toleration.get("effect") or effect).lower() != effect:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and str(toleration.get("value", "")) == str(taint.get("value", ""))
