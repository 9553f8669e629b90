"""Rules on Karpenter: its pools and classes, its kinds, and the events that end machines."""

from __future__ import annotations

import json
import re
from typing import Any

from capture import Graph, Made
from rules.base import Found, ancestors, at, aws, customs, first, listed, objects, parsed, refs, rule
from rules.nodes import is_gpu, required


@rule
def gpu_pools_are_kept_apart(graph: Graph) -> Found:
    """A GPU is not for whoever passes by, and its plugin looks for the label."""
    for each in customs(graph, "NodePool"):
        template = each.inputs["spec"]["template"]
        names = required(each, "node.kubernetes.io/instance-type")
        if not any(re.match(r"(g|p)\d", name) for name in names):
            continue
        if not any(is_gpu(taint) for taint in template["spec"].get("taints", [])):
            yield each.key, "has GPUs and no taint"
        if (at(template, "metadata.labels") or {}).get("nvidia.com/gpu.present") != "true":
            yield each.key, "has GPUs and no label `nvidia.com/gpu.present`"
        if not any(key.startswith("nvidia.com/gpu") for key in each.inputs["spec"].get("limits", {})) and (
            "replicas" not in each.inputs["spec"]
        ):
            yield each.key, "has no limit of GPUs"


@rule
def pools_are_bounded(graph: Graph) -> Found:
    """A pool's limits are what it can cost."""
    for each in customs(graph, "NodePool"):
        limits = each.inputs["spec"].get("limits") or {}
        if not {"cpu", "nodes"} & set(limits):
            yield each.key, "has no limit"


@rule
def pools_have_their_class(graph: Graph) -> Found:
    """A pool names a class of machines that is there before it; the class names a role that nodes may have."""
    before = ancestors(graph)
    classes = {at(each.inputs, "metadata.name"): each for each in customs(graph, "EC2NodeClass")}
    for each in customs(graph, "NodePool"):
        named = at(each.inputs, "spec.template.spec.nodeClassRef.name")
        if named not in classes:
            yield each.key, f"names the class {named!r}, which is not made"
        elif classes[named].key not in before(each.key):
            yield each.key, f"does not wait for {classes[named].key}"
    for each in classes.values():
        terms = each.inputs["spec"].get("amiSelectorTerms") or []
        if not terms or any(str(term.get("alias", "")).endswith("@latest") for term in terms):
            yield each.key, "takes whichever image is newest"
        if any("alias" in term for term in terms) and len(terms) > 1:
            yield each.key, "names more beside an alias"


EVENTS = (
    "AWS Health Event", "EC2 Spot Instance Interruption Warning", "EC2 Instance State-change Notification",
    "EC2 Capacity Reservation Instance Interruption Warning",
)  # fmt: skip
"""What EventBridge says before, or when, a machine ends."""


@rule
def karpenter_hears_of_ends(graph: Graph) -> Found:
    """Karpenter's queue is the one that its chart names, and the four events that end machines arrive in it."""
    charts = [each for each in objects(graph) if str(each.inputs.get("chart")).endswith("karpenter")]
    queues = {each.inputs.get("name"): each for each in aws(graph, "sqs.Queue")}
    if first(graph, "eks.Cluster") is None:
        return
    for chart in charts:
        name = at(chart.inputs, "values.settings.interruptionQueue")
        if name not in queues:
            yield chart.key, f"listens to the queue {name!r}, which is not made"
            continue
        yield from _feeds(graph, queues[name])
        if at(chart.inputs, "values.settings.clusterName") not in [
            e.inputs.get("name") for e in aws(graph, "eks.Cluster")
        ]:
            yield chart.key, "names another cluster"


def _feeds(graph: Graph, queue: Made) -> Found:
    rules = {each.key: parsed(each.inputs.get("eventPattern")) for each in aws(graph, "cloudwatch.EventRule")}
    fed: set[str] = set()
    for each in aws(graph, "cloudwatch.EventTarget"):
        if not _is_queue(each.inputs.get("arn"), queue):
            continue
        names = {made.inputs.get("name"): made.key for made in aws(graph, "cloudwatch.EventRule")}
        named = refs(each.inputs.get("rule")) or {names.get(each.inputs.get("rule"), "")}
        fed |= {event for key in named for event in listed((rules.get(key) or {}).get("detail-type"))}
    for event in EVENTS:
        if event not in fed:
            yield queue.key, f"does not hear of `{event}`"
    policies = [each for each in aws(graph, "sqs.QueuePolicy") if _is_queue(each.inputs.get("queueUrl"), queue)]
    senders = json.dumps([each.inputs.get("policy") for each in policies] or queue.inputs.get("policy", ""))
    if "events.amazonaws.com" not in senders:
        yield queue.key, "does not let EventBridge send"


def _is_queue(value: Any, queue: Made) -> bool:
    return queue.key in refs(value) or str(value).endswith(f":{queue.inputs.get('name')}")


@rule
def kinds_come_before_objects(graph: Graph) -> Found:
    """Karpenter's kinds are a release of their own, there before it and after every object of them."""
    before = ancestors(graph)
    kinds = {each.key for each in objects(graph) if str(each.inputs.get("chart")).endswith("karpenter-crd")}
    for each in objects(graph):
        needs = each.inputs.get("kind") in ("NodePool", "EC2NodeClass", "NodeOverlay") or (
            str(each.inputs.get("chart")).endswith("/karpenter")
        )
        if needs and not kinds & before(each.key):
            yield each.key, "does not wait for the kinds of Karpenter"
        if str(each.inputs.get("chart")).endswith("/karpenter") and each.inputs.get("skipCrds") is not True:
            yield each.key, "brings kinds of its own, which no upgrade would change"
