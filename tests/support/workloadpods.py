"""What pods are given, allowed and told: rules over whatever runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from workloadbase import LONG, Found, labels_of, rule, selects
from workloads import Document, containers, pods, where

ROOT = {"metadata-migrate"}
"""Pods that have to be root: their image keeps its files in root's folder."""
SECRET = re.compile(r"PASSWORD|PSWD|SECRET|TOKEN|ACCESS_KEY|DATABASE_URL|DSN|DBSTRING")
CREDENTIALS = re.compile(r"://[^/@\s]+:[^/@\s]+@")
REFERENCE = re.compile(r"(?<!\$)(?:\$\$)*\$\((\w+)\)")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@rule
def what_stays_is_probed(found: Sequence[Document]) -> Found:
    """Each container that goes on running says when it has started, is ready and is alive."""
    for document, container in containers(found):
        probes = ("startupProbe", "readinessProbe", "livenessProbe")
        if document["kind"] in LONG and (missing := [each for each in probes if each not in container]):
            yield where(document), f"has no `{missing[0]}`"


@rule
def probes_name_the_service(found: Sequence[Document]) -> Found:
    """A server that knows its names refuses a probe by the pod's address."""
    for document, container in containers(found):
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container.get(kind, {}).get("httpGet")
            if asked and "Host" not in [each["name"] for each in asked.get("httpHeaders", [])]:
                yield where(document), f"`{kind}` asks a bare address"


@rule
def memory_is_limited_and_processors_are_not(found: Sequence[Document]) -> Found:
    """Each container asks for both; memory has a limit, processors have none."""
    for document, container in containers(found):
        given = container.get("resources", {})
        if not {"cpu", "memory"} <= set(given.get("requests", {})):
            yield where(document), "does not ask for processors and memory"
        if "memory" not in given.get("limits", {}):
            yield where(document), "has no limit of memory"
        if "cpu" in given.get("limits", {}):
            yield where(document), "has a limit of processors"


@rule
def nobody_is_root(found: Sequence[Document]) -> Found:
    """Each pod runs as a number that is not 0, held to the kernel's default profile."""
    for document, template in pods(found):
        context = template["spec"].get("securityContext", {})
        known = labels_of(template).get("app.kubernetes.io/name") in ROOT
        if not known and not (context.get("runAsNonRoot") and context.get("runAsUser")):
            yield where(document), "may be root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield where(document), "may make any system call"


@rule
def containers_are_closed(found: Sequence[Document]) -> Found:
    """Each container has no capability, cannot get one, and cannot write to its image."""
    for document, container in containers(found):
        context = container.get("securityContext", {})
        if context.get("capabilities", {}).get("drop") != ["ALL"] or context.get("capabilities", {}).get("add"):
            yield where(document), "has capabilities"
        if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
            yield where(document), "may become more than it is"
        if not context.get("readOnlyRootFilesystem"):
            yield where(document), "may write to its image"


@rule
def images_have_versions(found: Sequence[Document]) -> Found:
    """Each image has a tag or digest that is not the newest one, whatever that is."""
    for document, container in containers(found):
        image = container["image"]
        if isinstance(image, str) and "@" not in image and image.rpartition("/")[2].partition(":")[2] in ("", "latest"):
            yield where(document), f"`{image}` has no version"


@rule
def images_have_digests(found: Sequence[Document]) -> Found:
    """What an image holds cannot change unseen."""
    for document, container in containers(found):
        if isinstance(container["image"], str) and "@sha256:" not in container["image"]:
            yield where(document), f"`{container['image']}` has no digest"


@rule
def secrets_are_references(found: Sequence[Document]) -> Found:
    """No variable, argument or file holds a password."""
    for document, container in containers(found):
        for each in container.get("env", []):
            text = each.get("value")
            if isinstance(text, str) and (SECRET.search(each["name"]) or CREDENTIALS.search(text)):
                yield where(document), f"`{each['name']}` is written down"
        if any(isinstance(each, str) and CREDENTIALS.search(each) for each in container.get("command", [])):
            yield where(document), "an argument is a password"
    for document in found:
        texts = document.get("data", {}).values() if document["kind"] == "ConfigMap" else ()
        if any(isinstance(each, str) and CREDENTIALS.search(each) for each in texts):
            yield where(document), "a file holds a password"


@rule
def variables_are_known_before(found: Sequence[Document]) -> Found:
    """What a text refers to is a variable of the container, and for a variable one that stands before it."""
    for document, container in containers(found):
        known: set[str] = set()
        for each in container.get("env", []):
            if missing := _missing(each.get("value"), known):
                yield where(document), f"`{each['name']}` refers to `{missing}` before it is there"
            known.add(each["name"])
        for each in container.get("command", []):
            if missing := _missing(each, known):
                yield where(document), f"an argument refers to `{missing}`, which is not there"


def _missing(text: Any, known: set[str]) -> str | None:
    return (
        next((each for each in REFERENCE.findall(text) if each not in known), None) if isinstance(text, str) else None
    )


@rule
def several_are_not_ended_at_once(found: Sequence[Document]) -> Found:
    """What has several pods has a budget and is spread; what has one has none, which would keep its node for good."""
    budgets = {each["metadata"]["name"]: each for each in found if each["kind"] == "PodDisruptionBudget"}
    for document, template in pods(found):
        if document["kind"] not in LONG:
            continue
        several = document["spec"].get("replicas", 1) > 1
        budget = budgets.get(document["metadata"]["name"])
        if several != (budget is not None):
            yield where(document), "has no budget" if several else "has a budget for a single pod"
        if budget and not selects(budget["spec"]["selector"]["matchLabels"], labels_of(template)):
            yield where(document), "has a budget for others' pods"
        if several and not template["spec"].get("topologySpreadConstraints"):
            yield where(document), "may be on one node altogether"


@rule
def accounts_are_their_own(found: Sequence[Document]) -> Found:
    """Each pod runs as an account that is made; its token is there only where the account may do something."""
    made = {each["metadata"]["name"] for each in found if each["kind"] == "ServiceAccount"}
    for document, template in pods(found):
        spec = template["spec"]
        if spec.get("serviceAccountName") not in made:
            yield where(document), f"runs as `{spec.get('serviceAccountName')}`, which nobody makes"
        if spec.get("automountServiceAccountToken") is None:
            yield where(document), "does not say whether it signs in to Kubernetes"
        if spec.get("enableServiceLinks") is not False:
            yield where(document), "is told of every service by variables"


@rule
def mounts_are_there(found: Sequence[Document]) -> Found:
    """What a container mounts is a volume of its pod or a claim, and each file a ConfigMap that is made."""
    maps = {each["metadata"]["name"] for each in found if each["kind"] == "ConfigMap"}
    for document, template in pods(found):
        claims = {each["metadata"]["name"] for each in document["spec"].get("volumeClaimTemplates", [])}
        volumes = {each["name"]: each for each in template["spec"].get("volumes", [])}
        mounted = {mount["name"] for each in template["spec"]["containers"] for mount in each.get("volumeMounts", [])}
        if mounted - claims - set(volumes):
            yield where(document), f"mounts {sorted(mounted - claims - set(volumes))}, which is not there"
        if set(volumes) - mounted:
            yield where(document), f"has {sorted(set(volumes) - mounted)} and mounts it nowhere"
        sources = [each for one in volumes.values() for each in one.get("projected", {}).get("sources", [])]
        for each in sources:
            if each["configMap"]["name"] not in maps:
                yield where(document), f"is given `{each['configMap']['name']}`, which nobody makes"


@rule
def pods_end_in_peace(found: Sequence[Document]) -> Found:
    """What answers requests goes on for a while when it is told to end, and has time left after that."""
    for document, template in pods(found):
        for each in template["spec"]["containers"] if document["kind"] in LONG else []:
            seconds = each.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if each.get("ports") and not seconds:
                yield where(document), "stops at once, while proxies still send requests"
            if seconds >= template["spec"].get("terminationGracePeriodSeconds", 30):
                yield where(document), "has no time to end"


@rule
def nodes_are_never_named(found: Sequence[Document]) -> Found:
    """No pod is on its node's network, in its processes, or in its folders."""
    for document, template in pods(found):
        spec = template["spec"]
        if any(spec.get(each) for each in ("hostNetwork", "hostPID", "hostIPC", "nodeName")):
            yield where(document), "is part of its node"
        if any("hostPath" in each for each in spec.get("volumes", [])):
            yield where(document), "mounts a folder of its node"


@rule
def jobs_end(found: Sequence[Document]) -> Found:
    """Each Job gives up after a while, and is not gone before the next `up` looks for it."""
    for document in found:
        if document["kind"] == "Job":
            if not (document["spec"].get("activeDeadlineSeconds") and document["spec"].get("backoffLimit") is not None):
                yield where(document), "may try forever"
            if "ttlSecondsAfterFinished" in document["spec"]:
                yield where(document), "is gone when it has ended, and would run again"


@rule
def names_are_labels(found: Sequence[Document]) -> Found:
    """Each name can be part of a name on the network, and no two documents of a kind share one."""
    seen = set()
    for document in found:
        name = document["metadata"]["name"]
        if not LABEL.fullmatch(name):
            yield where(document), "has a name that no Service or label can have"
        if where(document) in seen:
            yield where(document), "is there twice"
        seen.add(where(document))
