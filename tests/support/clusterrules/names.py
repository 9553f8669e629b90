"""Rules on what objects say of each other by name or label, and on names that somebody else has already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from capture import Made
from clusterrules.base import WORKLOADS, Case, Found, at, chart_name, charts, documents, namespace, pod, rule, value
from clusterrules.order import ALWAYS_THERE

MADE_BY_KUBERNETES = {
    *(("Namespace", name) for name in ALWAYS_THERE),
    ("ServiceAccount", "default"),
    ("ConfigMap", "kube-root-ca.crt"),
    ("PriorityClass", "system-cluster-critical"),
    ("PriorityClass", "system-node-critical"),
}
"""What is there before anybody asks: the engine does not take over what it has not made, and fails."""
CLUSTER_ROLES = ("cluster-admin", "admin", "edit", "view", "system:auth-delegator")
OF_CHARTS = {"external-secrets": "serviceAccount.name"}
"""Charts that make a service account under a name that is said."""


@rule
def objects_are_new(case: Case) -> Found:
    """Nothing is declared twice, nor what Kubernetes makes by itself: its creation would be refused."""
    seen: set[tuple[str, str | None, str]] = set()
    for each in documents(case):
        kind, name = str(each.inputs["kind"]), str(at(each.inputs, "metadata.name"))
        if (kind, name) in MADE_BY_KUBERNETES:
            yield each.key, f"is the {kind} {name} that every cluster has"
        if (kind, namespace(each), name) in seen:
            yield each.key, f"is the {kind} {name} of {namespace(each)} for a second time"
        seen.add((kind, namespace(each), name))


@rule
def bindings_bind_what_is_there(case: Case) -> Found:
    """A binding of a role or an account that there is not gives nobody anything, and nobody is told."""
    roles = {(namespace(each), at(each.inputs, "metadata.name")) for each in documents(case, "Role")}
    cluster = {at(each.inputs, "metadata.name") for each in documents(case, "ClusterRole")} | {*CLUSTER_ROLES}
    accounts = {(namespace(each), at(each.inputs, "metadata.name")) for each in documents(case, "ServiceAccount")}
    accounts |= {(namespace(each), value(each, OF_CHARTS[chart_name(each)])) for each in charts(case, *OF_CHARTS)}
    for each in documents(case, "RoleBinding", "ClusterRoleBinding"):
        role = each.inputs["roleRef"]
        known = role["name"] in cluster if role["kind"] == "ClusterRole" else (namespace(each), role["name"]) in roles
        if not known:
            yield each.key, f"binds the {role['kind']} {role['name']}, which there is not"
        for subject in each.inputs.get("subjects", []):
            bound = (subject.get("namespace") or namespace(each), subject["name"])
            if subject["kind"] == "ServiceAccount" and bound not in accounts:
                yield each.key, f"binds the account {bound[1]} of {bound[0]}, which there is not"


@rule
def pods_run_as_an_account_that_is_there(case: Case) -> Found:
    """A pod of an account that there is not is never made, and the reason stands in an event of its ReplicaSet."""
    accounts = {(namespace(each), at(each.inputs, "metadata.name")) for each in documents(case, "ServiceAccount")}
    for each in documents(case, *WORKLOADS):
        name = pod(each).get("serviceAccountName")
        if name is None or (namespace(each), name) not in accounts:
            yield each.key, f"runs as {name}, which there is not"


@rule
def services_have_endpoints(case: Case) -> Found:
    """A service's labels are those of some pods, and its ports are theirs: it answers nobody otherwise."""
    pods = [(namespace(each), *_template(each)) for each in documents(case, "Deployment", "StatefulSet")]
    for each in documents(case, "Service"):
        chosen = at(each.inputs, "spec.selector") or {}
        beside = [(labels, ports) for space, labels, ports in pods if space == namespace(each)]
        found = [ports for labels, ports in beside if chosen.items() <= labels.items()]
        if not chosen or not found:
            yield each.key, f"chooses {chosen}, which no pod has"
            continue
        for port in each.inputs["spec"].get("ports", []):
            target = port.get("targetPort", port["port"])
            if not any(target in ports for ports in found):
                yield each.key, f"leads to the port {target}, which none of its pods has"


def _template(made: Made) -> tuple[dict[str, str], set[Any]]:
    labels = at(made.inputs, "spec.template.metadata.labels") or {}
    return labels, {*_ports(pod(made))}


def _ports(spec: dict[str, Any]) -> Iterator[Any]:
    for container in spec.get("containers", []):
        for port in container.get("ports", []):
            yield port["containerPort"]
            yield port.get("name")


@rule
def routes_are_taken(case: Case) -> Found:
    """A route is for a listener that there is, and that takes routes of its namespace."""
    gateways = {(namespace(each), at(each.inputs, "metadata.name")): each for each in documents(case, "Gateway")}
    spaces = {at(each.inputs, "metadata.name"): each for each in documents(case, "Namespace")}
    for each in documents(case, "HTTPRoute"):
        labels = at(spaces[namespace(each)].inputs, "metadata.labels") or {}
        for parent in each.inputs["spec"]["parentRefs"]:
            found = gateways.get((parent["namespace"], parent["name"]))
            listeners = found.inputs["spec"]["listeners"] if found else []
            named = [one for one in listeners if one["name"] == parent.get("sectionName", one["name"])]
            if not named:
                yield each.key, f"is for a listener of the gateway {parent['name']} that there is not"
            elif not any(_takes(one, namespace(each) == parent["namespace"], labels) for one in named):
                yield each.key, f"is of {namespace(each)}, of which the gateway takes no route"


def _takes(listener: dict[str, Any], at_home: bool, labels: dict[str, str]) -> bool:
    asked = listener["allowedRoutes"]["namespaces"]
    if asked["from"] == "Same":
        return at_home
    return bool(asked["selector"]["matchLabels"].items() <= labels.items())


@rule
def routes_lead_to_who_listens(case: Case) -> Found:
    """A route leads to a port that a service has: of its own namespace, or of a chart in one that gives leave."""
    services = {
        (namespace(each), at(each.inputs, "metadata.name"), port["port"])
        for each in documents(case, "Service")
        for port in each.inputs["spec"]["ports"]
    }
    left = {
        (namespace(each), granted["name"])
        for each in documents(case, "ReferenceGrant")
        for granted in each.inputs["spec"]["to"]
    }
    # What a chart brings is not seen here: its services begin with its release's name.
    brought = [(namespace(each), f"{chart_name(each)}-") for each in charts(case)]
    for each in documents(case, "HTTPRoute"):
        for backend in _backends(each):
            space, name = backend.get("namespace", namespace(each)), str(backend["name"])
            by_chart = (space, name) in left and any(space == of and name.startswith(begins) for of, begins in brought)
            if (space, name, backend["port"]) not in services and not by_chart:
                yield each.key, f"leads to the port {backend['port']} of {name}, which there is not, or not for it"


def _backends(route: Made) -> list[dict[str, Any]]:
    return [backend for each in route.inputs["spec"]["rules"] for backend in each["backendRefs"]]


@rule
def routes_know_their_callers(case: Case) -> Found:
    """Whoever comes by a route of the platform is known by a key, token or sign-in: MLflow asks nobody who it is."""
    guarded = {
        (namespace(each), target.get("name"))
        for each in documents(case, "SecurityPolicy")
        if {"apiKeyAuth", "jwt", "oidc"} & each.inputs["spec"].keys()
        for target in each.inputs["spec"].get("targetRefs", [])
        if target["kind"] == "HTTPRoute"
    }
    for each in documents(case, "HTTPRoute"):
        if (namespace(each), at(each.inputs, "metadata.name")) not in guarded:
            yield each.key, "lets in whoever comes"


@rule
def monitors_read_somebody(case: Case) -> Found:
    """A monitor of services chooses some, by labels and by the name of a port."""
    services = documents(case, "Service")
    for each in documents(case, "ServiceMonitor"):
        chosen = at(each.inputs, "spec.selector.matchLabels") or {}
        found = [
            made
            for made in services
            if namespace(made) == namespace(each)
            and chosen.items() <= (at(made.inputs, "metadata.labels") or {}).items()
        ]
        if not found:
            yield each.key, f"chooses {chosen}, which no service has"
        ports = {port.get("name") for made in found for port in made.inputs["spec"]["ports"]}
        for endpoint in each.inputs["spec"]["endpoints"] if found else []:
            if endpoint.get("port") not in ports:
                yield each.key, f"asks the port {endpoint.get('port')}, which none of them has"
