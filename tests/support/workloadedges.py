"""Who finds and reaches whom: rules over Services, selectors and network policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workloadbase import LONG, SERVICE, Found, labels_of, rule, selects
from workloads import Document, pods, where


@rule
def services_have_endpoints(found: Sequence[Document]) -> Found:
    """Each Service finds pods that listen on its ports, and no pod of a Job."""
    for document in found:
        if document["kind"] != "Service":
            continue
        chosen = [each for each in pods(found) if selects(document["spec"]["selector"], labels_of(each[1]))]
        kinds = {each["kind"] for each, _ in chosen}
        if not kinds & set(LONG):
            yield where(document), "finds no pods"
        if "Job" in kinds:
            yield where(document), "sends requests to a job"
        for port in document["spec"]["ports"]:
            if chosen and not any(_listens(template, port["targetPort"]) for _, template in chosen):
                yield where(document), f"nobody listens on `{port['targetPort']}`"


def _listens(template: Document, target: str | int) -> bool:
    ports = [port for each in template["spec"]["containers"] for port in each.get("ports", [])]
    return any(target in (port.get("name"), port["containerPort"]) for port in ports)


@rule
def selectors_find_their_own(found: Sequence[Document]) -> Found:
    """A workload's selector is among the labels of its pods, and among those of nobody else's."""
    for document in found:
        selector = document["spec"].get("selector", {}).get("matchLabels") if document["kind"] in LONG else None
        if selector is None:
            continue
        mine = [each for each, template in pods(found) if selects(selector, labels_of(template))]
        if [where(each) for each in mine] != [where(document)]:
            yield where(document), f"finds the pods of {[where(each) for each in mine]}"


@rule
def pods_have_a_policy(found: Sequence[Document]) -> Found:
    """Each pod is meant by a network policy that says whom it reaches and who reaches it."""
    policies = [each["spec"] for each in found if each["kind"] == "NetworkPolicy"]
    for document, template in pods(found):
        mine = [each for each in policies if selects(each["podSelector"].get("matchLabels", {}), labels_of(template))]
        if not any({*each["policyTypes"]} == {"Ingress", "Egress"} for each in mine):
            yield where(document), "is meant by no network policy"


@rule
def edges_have_two_ends(found: Sequence[Document]) -> Found:
    """Each edge between two services here is opened at both ends, for a port on which somebody listens."""
    policies = {
        each["spec"]["podSelector"]["matchLabels"][SERVICE]: each
        for each in found
        if each["kind"] == "NetworkPolicy" and SERVICE in each["spec"]["podSelector"].get("matchLabels", {})
    }
    listened = {
        labels_of(template).get(SERVICE): {
            port["containerPort"] for each in template["spec"]["containers"] for port in each.get("ports", [])
        }
        for document, template in pods(found)
        if document["kind"] in LONG
    }
    out = {(name, other, port) for name, each in policies.items() for other, port in _edges(each, "egress", "to")}
    into = {(other, name, port) for name, each in policies.items() for other, port in _edges(each, "ingress", "from")}
    for one, other, port in sorted(out ^ into):
        yield f"NetworkPolicy/{one}", f"the edge to `{other}` on {port} is open at one end only"
    for one, other, port in sorted(out | into):
        if port not in listened.get(other, set()):
            yield f"NetworkPolicy/{one}", f"nobody of `{other}` listens on {port}"


def _edges(policy: Document, way: str, end: str) -> Iterator[tuple[str, int]]:
    for each in policy["spec"].get(way, []):
        for peer in each.get(end, []):
            name = peer.get("podSelector", {}).get("matchLabels", {}).get(SERVICE)
            yield from ((name, port["port"]) for port in each.get("ports", []) if name)


@rule
def policies_mean_somebody(found: Sequence[Document]) -> Found:
    """No network policy is left over from pods that are no more, and none opens a way from or to nobody."""
    for document in found:
        if document["kind"] != "NetworkPolicy":
            continue
        selector = document["spec"]["podSelector"].get("matchLabels", {})
        if not any(selects(selector, labels_of(template)) for _, template in pods(found)):
            yield where(document), "means no pods"
        for way, end in (("ingress", "from"), ("egress", "to")):
            # An empty list of peers means everybody.
            if any(not each.get(end) for each in document["spec"].get(way, [])):
                yield where(document), f"is open to everybody by `{way}`"
