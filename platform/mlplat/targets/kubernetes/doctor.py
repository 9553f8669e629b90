"""What can keep an `up` on a cluster from ending well, looked at before it begins. Changes nothing.

Each check is its own line. One that could not be asked says so and is a fault: silence would look like a yes. What a
cluster does not tell anybody, such as whether its network enforces policies, is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlplat import images
from mlplat.cluster import Cluster
from mlplat.controller.stores import Entry
from mlplat.errors import MlplatError
from mlplat.manifests import crd, names
from mlplat.spec.platform import PlatformSpec, stack_file
from mlplat.targets.findings import Finding
from mlplat.targets.kubernetes import identity, status
from mlplat.targets.kubernetes.given import wanted

DEFINITION = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
ENFORCERS = ("calico-node", "cilium", "antrea-agent", "kube-router", "ovnkube-node", "weave-net", "kube-ovn-cni")
"""DaemonSets of network plugins that enforce policies as they come."""
GPU = "nvidia.com/gpu"
RIGHTS: tuple[tuple[str, str, str], ...] = (
    ("create", "", "namespaces"),
    ("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
    # Whoever makes a role may otherwise give no right that they lack themselves.
    ("escalate", "rbac.authorization.k8s.io", "roles"),
    ("create", "admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("create", "admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    # Whoever makes a policy on endpoints has to be somebody who may see them.
    ("get", names.GROUP, crd.PLURAL),
    ("create", "apps", "deployments"),
    ("create", "batch", "jobs"),
    ("create", "", "secrets"),
    ("create", "", "resourcequotas"),
    ("create", "networking.k8s.io", "networkpolicies"),
    ("create", "", "pods/portforward"),
    ("get", "", "pods/log"),
)
"""Verb, group and resource of what `up`, `open` and `logs` do."""


@dataclass(frozen=True)
class Asked:
    """What the checks look at."""

    cluster: Cluster
    spec: PlatformSpec
    stack: str
    entry: Entry
    written: str | None
    """Id of the cluster that the stack file names."""


Check = Callable[[Asked], Iterable[Finding]]


def examine(spec: PlatformSpec, stack: str, entry: Entry, written: str | None) -> list[Finding]:
    """Look at everything that `up` needs of a cluster, in the order in which it needs it."""
    try:
        cluster = entry.cluster()
    except MlplatError as error:
        return [Finding("context", False, error.message, error.hint)]
    with cluster:
        asked = Asked(cluster, spec, stack, entry, written)
        first = _asked("context", _context, asked)
        if not all(each.ok for each in first):
            nothing = f"could not be asked: {', '.join(CHECKS)}"
            return [*first, Finding("everything else", False, nothing, "mend `context` first")]
        return [*first, *(found for name, check in CHECKS.items() for found in _asked(name, check, asked))]


def _asked(name: str, check: Check, asked: Asked) -> list[Finding]:
    try:
        return list(check(asked))
    except MlplatError as error:
        return [Finding(name, False, f"could not be asked: {error.message}", error.hint)]


def _context(asked: Asked) -> Iterator[Finding]:
    told = asked.cluster.ask("GET", "/version")
    found = f"{told['major']}.{str(told['minor']).rstrip('+')}"
    yield Finding("context", True, f"`{asked.entry.context}` answers: Kubernetes {told['gitVersion']}")
    known = asked.spec.kubernetes.version
    yield Finding(
        "version",
        found == known,
        f"the cluster is {found}, the stack file says {known}",
        None if found == known else f"write `kubernetes.version: '{found}'` if `mlplat explain` lists it, or upgrade",
    )


def _identity(asked: Asked) -> Iterator[Finding]:
    found = identity.of(asked.cluster)
    if asked.written is None:
        yield Finding("cluster", True, f"{found}; the first `up` writes it to the stack file")
        return
    same = asked.written == found
    said = found if same else f"the context leads to {found}, the stack file is of {asked.written}"
    yield Finding("cluster", same, said, None if same else "choose the context that leads to the stack's own cluster")


def _rights(asked: Asked) -> Iterator[Finding]:
    lacking = [f"{verb} {kind}" for verb, group, kind in RIGHTS if not _may(asked.cluster, verb, group, kind)]
    said = f"may not {', '.join(lacking)}" if lacking else f"may do the {len(RIGHTS)} things that were asked for"
    yield Finding("rights", not lacking, said, "ask who keeps the cluster for them" if lacking else None)


def _may(cluster: Cluster, verb: str, group: str, kind: str) -> bool:
    resource, _, part = kind.partition("/")
    asked = {"verb": verb, "group": group, "resource": resource, "subresource": part, "namespace": names.NAMESPACE}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(cluster.ask("POST", path, body=review)["status"]["allowed"])


def _storage(asked: Asked) -> Iterator[Finding]:
    on, classes = asked.spec.kubernetes, asked.cluster.list("storage.k8s.io/v1", "StorageClass")
    if on.storage_class:
        there = any(each["metadata"]["name"] == on.storage_class for each in classes)
        mend = None if there else "name one of `kubectl get storageclass` as `kubernetes.storage_class`"
        yield Finding("storage class", there, f"`{on.storage_class}` is {'there' if there else 'missing'}", mend)
        return
    default = [each["metadata"]["name"] for each in classes if _is_default(each)]
    needed = on.databases is None or on.objects is None or on.addons.monitoring == "install"
    said = f"`{default[0]}` is the default" if default else "none is the default"
    mend = "name one as `kubernetes.storage_class`: volumes would wait for ever"
    yield Finding("storage class", bool(default) or not needed, said, mend if needed and not default else None)


def _is_default(storage: Mapping[str, Any]) -> bool:
    return bool((storage["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true")


def _addons(asked: Asked) -> Iterator[Finding]:
    for group, (version, kind) in status.KINDS.items():
        chosen, there = getattr(asked.spec.kubernetes.addons, group), asked.cluster.knows(version, kind)
        if chosen == "adopt":
            said = f"`{kind}` of `{version}` is {'there' if there else 'missing'}"
            mend = None if there else f"install it, or write `kubernetes.addons.{group}: install`"
            yield Finding(f"add-on {group}", there, said, mend)
        elif chosen == "install" and there:
            yield _installed(asked.cluster, group, version, kind)


def _installed(cluster: Cluster, group: str, version: str, kind: str) -> Finding:
    """Return whether the definitions that a chart of ours would bring are ours, or somebody else's."""
    domain = version.partition("/")[0]
    found = [
        each
        for each in cluster.list(*DEFINITION)
        if each["spec"]["group"] == domain and each["spec"]["names"]["kind"] == kind
    ]
    ours = all(_is_ours(each, group) for each in found)
    said = f"`{kind}` is there, {'by this platform' if ours else 'and somebody else keeps it'}"
    # Two charts that own the same definitions undo each other's changes.
    mend = None if ours else f"write `kubernetes.addons.{group}: adopt`"
    return Finding(f"add-on {group}", ours, said, mend)


def _is_ours(definition: Mapping[str, Any], group: str) -> bool:
    metadata = definition["metadata"]
    chart = (metadata.get("annotations") or {}).get("meta.helm.sh/release-namespace")
    managers = {str(each.get("manager", "")) for each in metadata.get("managedFields") or []}
    return chart in status.CHARTS[group] or any(each.startswith("pulumi-kubernetes") for each in managers)


def _images(asked: Asked) -> Iterator[Finding]:
    file = stack_file(asked.stack, Path.cwd())
    lacking = images.missing(asked.spec, images.read(images.lock_file(file))) if file else ()
    needed = images.needed(asked.spec)
    if not lacking:
        yield Finding("images", True, f"{len(needed)} of {len(needed)} locked, as this mlplat builds them")
        return
    production = asked.spec.kubernetes.production
    said = f"not locked as this mlplat builds them: {', '.join(lacking)}"
    mend = f"`mlplat images build -s {asked.stack}` and `mlplat images push -s {asked.stack}`"
    yield Finding("images", not production, said, mend if production else None)


def _secrets(asked: Asked) -> Iterator[Finding]:
    for each in wanted(asked.spec):
        held = asked.cluster.get("v1", "Secret", each.name, each.namespace)
        what = f"secret {each.namespace}/{each.name}"
        if held is None and not each.needed:
            yield Finding(what, True, f"is not there, so there is no {each.purpose}; {each.mend()} makes it")
            continue
        trouble = f"is not there; {each.purpose} needs it" if held is None else each.trouble(held.get("data") or {})
        if trouble is None:
            yield Finding(what, True, f"is there, for {each.purpose}")
            continue
        # A namespace that somebody else has made is refused by the first `up`.
        is_there = asked.cluster.get("v1", "Namespace", each.namespace) is not None
        when = "" if is_there else f"while `mlplat up -s {asked.stack}` waits, which makes the namespace: "
        yield Finding(what, False, trouble, when + each.mend())


def _pools(asked: Asked) -> Iterator[Finding]:
    if not asked.spec.pools:
        return
    nodes = asked.cluster.list("v1", "Node")
    for name, pool in asked.spec.pools.items():
        found = [each for each in nodes if pool.node_selector.items() <= (each["metadata"].get("labels") or {}).items()]
        gpus = [int((each.get("status") or {}).get("allocatable", {}).get(GPU, 0)) for each in found]
        short = sum(each < pool.gpu_count for each in gpus)
        said = f"{len(found)} nodes" + (f", {short} of them with fewer than {pool.gpu_count} GPUs" if short else "")
        mend = "label nodes, or let `node_selector` name labels that they have"
        if found and short:
            mend = "look whether NVIDIA's device plugin runs there, and at `gpu_count`"
        fine = bool(found) and not short
        yield Finding(f"pool {name}", fine, said, None if fine else mend)


def _network(asked: Asked) -> Iterator[Finding]:
    running = {each["metadata"]["name"] for each in asked.cluster.list("apps/v1", "DaemonSet")}
    known = sorted(running & set(ENFORCERS))
    # No cluster says it of itself: a plugin that ignores policies takes them all the same.
    unknown = "it cannot be known whether the network enforces them: no plugin that is known to was found"
    yield Finding("network policies", True, f"enforced by {known[0]}, as far as is known" if known else unknown)


CHECKS: dict[str, Check] = {
    "cluster": _identity,
    "rights": _rights,
    "storage class": _storage,
    "add-ons": _addons,
    "images": _images,
    "secrets": _secrets,
    "pools": _pools,
    "network policies": _network,
}
