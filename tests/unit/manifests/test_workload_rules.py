"""The rules hold for every service of the platform, and each rule sees the faults that it is there for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import workloads
from workloadrules import RULES, broken
from workloads import Document

KEPT = {
    "production": True,
    "databases": {"tracking": "t", "features": "f", "pipelines": "p"},
    "objects": {"buckets": {each: each for each in workloads.BUCKETS}},
}
METADATA = {"metadata_service": f"public.ecr.aws/outerbounds/metaflow_metadata_service:2.5.1{workloads.DIGEST}"}
TEAMS = {"sky": {"projects": ["flights"]}}
QUIET = {"addons": {"monitoring": "off", "cost": "off"}}


@pytest.mark.parametrize(
    ("kubernetes", "production"),
    [({}, False), (METADATA, False), (QUIET, False), (KEPT, True), ({**KEPT, **METADATA}, True)],
)
def test_the_platforms_services_break_no_rule(kubernetes: dict[str, Any], production: bool) -> None:
    found = workloads.documents(workloads.spec(kubernetes, teams=TEAMS), production=production)
    assert broken(found, production=production) == []


def base() -> list[Document]:
    """Return documents that break no rule, with all kinds among them: several replicas, volumes, files, jobs."""
    small = workloads.documents(workloads.spec())
    several = workloads.documents(workloads.spec({**KEPT, **METADATA}))
    there = {workloads.where(each) for each in several}
    kept = [each for each in small if each["metadata"]["labels"]["mlplat/service"] in ("database", "objects")]
    # What leads to the small ones is not there: these stand for themselves.
    alone = [{**each, "spec": {**each["spec"], "ingress": []}} if _heard(each) else each for each in kept]
    return copy.deepcopy([*(each for each in alone if workloads.where(each) not in there), *several])


def _heard(document: Document) -> bool:
    return document["kind"] == "NetworkPolicy" and "ingress" in document["spec"]


Seed = Callable[[Document], None]


@dataclass(frozen=True)
class Fault:
    """One thing wrong in one document, and the rule that says so."""

    rule: str
    at: str
    seed: Seed


def pod(change: Callable[[dict[str, Any]], object]) -> Seed:
    """Return a fault in the pods of a workload."""
    return lambda document: void(change(document["spec"]["template"]["spec"]))


def container(change: Callable[[dict[str, Any]], object]) -> Seed:
    """Return a fault in the first container of a workload."""
    return pod(lambda spec: change(spec["containers"][0]))


def spec(change: Callable[[dict[str, Any]], object]) -> Seed:
    """Return a fault in a document's `spec`."""
    return lambda document: void(change(document["spec"]))


def void(_: object) -> None:
    """Take what a change returns and return nothing."""


TRACKING, CONTROLLER, DATABASE = "Deployment/tracking", "Deployment/controller", "StatefulSet/database"
FAULTS = [
    Fault("what_stays_is_probed", TRACKING, container(lambda it: it.pop("readinessProbe"))),
    Fault("what_stays_is_probed", DATABASE, container(lambda it: it.pop("livenessProbe"))),
    Fault("probes_name_the_service", TRACKING, container(lambda it: it["startupProbe"]["httpGet"].pop("httpHeaders"))),
    Fault("memory_is_limited_and_processors_are_not", TRACKING, container(lambda it: it.pop("resources"))),
    Fault(
        "memory_is_limited_and_processors_are_not",
        CONTROLLER,
        container(lambda it: it["resources"]["limits"].update(cpu="1")),
    ),
    Fault("nobody_is_root", TRACKING, pod(lambda it: it["securityContext"].update(runAsUser=0, runAsNonRoot=False))),
    Fault("nobody_is_root", DATABASE, pod(lambda it: it["securityContext"].pop("seccompProfile"))),
    Fault("containers_are_closed", TRACKING, container(lambda it: it["securityContext"].pop("capabilities"))),
    Fault("containers_are_closed", TRACKING, container(lambda it: it["securityContext"].update(privileged=True))),
    Fault(
        "containers_are_closed",
        DATABASE,
        container(lambda it: it["securityContext"].update(readOnlyRootFilesystem=False)),
    ),
    Fault("images_have_versions", TRACKING, container(lambda it: it.update(image="registry.example.com:5000/x"))),
    Fault("images_have_versions", TRACKING, container(lambda it: it.update(image="x:latest"))),
    Fault("images_have_digests", TRACKING, container(lambda it: it.update(image="x:1"))),
    Fault(
        "secrets_are_references",
        DATABASE,
        container(lambda it: it["env"].append({"name": "POSTGRES_PASSWORD_2", "value": "hunter2"})),
    ),
    Fault("secrets_are_references", TRACKING, container(lambda it: it["command"].append("postgresql://a:b@c/d"))),
    Fault(
        "secrets_are_references",
        "ConfigMap/features-files",
        lambda it: it["data"].update({"feature_store.yaml": "postgresql://a:b@c/d"}),
    ),
    Fault("variables_are_known_before", TRACKING, container(lambda it: it["command"].append("$(NOWHERE)"))),
    Fault(
        "variables_are_known_before",
        CONTROLLER,
        container(lambda it: it["env"].insert(0, {"name": "A", "value": "$(HOME)"})),
    ),
    Fault("services_have_endpoints", "Service/tracking", spec(lambda it: it["selector"].update(x="y"))),
    Fault("services_have_endpoints", "Service/tracking", spec(lambda it: it["ports"][0].update(targetPort="none"))),
    Fault(
        "services_have_endpoints",
        "Service/tracking",
        spec(lambda it: it.update(selector={"mlplat/service": "tracking"})),
    ),
    Fault(
        "selectors_find_their_own",
        CONTROLLER,
        spec(lambda it: it["selector"].update(matchLabels={"mlplat/service": "tracking"})),
    ),
    Fault("several_are_not_ended_at_once", CONTROLLER, spec(lambda it: it.update(replicas=2))),
    Fault(
        "several_are_not_ended_at_once",
        TRACKING,
        pod(lambda it: it.pop("topologySpreadConstraints")),
    ),
    Fault("accounts_are_their_own", TRACKING, pod(lambda it: it.update(serviceAccountName="default"))),
    Fault("accounts_are_their_own", TRACKING, pod(lambda it: it.pop("automountServiceAccountToken"))),
    Fault("accounts_are_their_own", TRACKING, pod(lambda it: it.pop("enableServiceLinks"))),
    Fault("mounts_are_there", TRACKING, pod(lambda it: it["volumes"].pop(0))),
    Fault("mounts_are_there", DATABASE, container(lambda it: it["volumeMounts"].pop(0))),
    Fault("mounts_are_there", "ConfigMap/features-files", lambda it: it["metadata"].update(name="features-other")),
    Fault("pods_end_in_peace", TRACKING, container(lambda it: it.pop("lifecycle"))),
    Fault("pods_end_in_peace", TRACKING, pod(lambda it: it.update(terminationGracePeriodSeconds=5))),
    Fault("pods_have_a_policy", "NetworkPolicy/tracking", spec(lambda it: it.update(policyTypes=["Ingress"]))),
    Fault("edges_have_two_ends", "NetworkPolicy/tracking", spec(lambda it: it["ingress"].pop(0))),
    Fault(
        "edges_have_two_ends",
        "NetworkPolicy/controller",
        spec(lambda it: it["egress"][0]["ports"][0].update(port=1)),
    ),
    Fault(
        "policies_mean_somebody",
        "NetworkPolicy/database-secrets",
        spec(lambda it: it["podSelector"]["matchLabels"].update(x="y")),
    ),
    Fault("policies_mean_somebody", "NetworkPolicy/tracking", spec(lambda it: it["egress"].append({"to": []}))),
    Fault("nodes_are_never_named", TRACKING, pod(lambda it: it.update(hostNetwork=True))),
    Fault("nodes_are_never_named", TRACKING, pod(lambda it: it["volumes"][0].update(hostPath={"path": "/"}))),
    Fault("jobs_end", "Job/database-secrets", spec(lambda it: it.pop("activeDeadlineSeconds"))),
    Fault("jobs_end", "Job/database-secrets", spec(lambda it: it.update(ttlSecondsAfterFinished=60))),
    Fault("names_are_labels", "Role/databases-setup", lambda it: it["metadata"].update(name="a.b")),
    Fault("names_are_labels", "Role/databases-setup", lambda it: it["metadata"].update(name="objects-setup")),
]


def _chosen(found: Sequence[Document], at: str) -> Document:
    # A Job's name ends with a digest of what it runs.
    (chosen,) = [each for each in found if workloads.where(each) == at or workloads.where(each)[:-11] == at]
    return chosen


def test_the_documents_that_faults_are_seeded_into_have_none() -> None:
    assert broken(base()) == []


@pytest.mark.parametrize("fault", [pytest.param(each, id=f"{each.rule}-{index}") for index, each in enumerate(FAULTS)])
def test_a_fault_is_found_by_its_rule_and_by_no_other(fault: Fault) -> None:
    found = base()
    fault.seed(_chosen(found, fault.at))
    told = broken(found, production=fault.rule == "images_have_digests")
    assert {each.partition(":")[0] for each in told} == {fault.rule}


def test_each_rule_has_a_fault() -> None:
    assert {fault.rule for fault in FAULTS} == set(RULES)
