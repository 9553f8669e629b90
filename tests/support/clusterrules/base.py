"""What a rule over a captured layer is, and what all of them read off it.

A rule looks at one graph, and at the spec that it was made of where the graph cannot know: what somebody else keeps on
the cluster is in no graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from capture import Graph, Made
from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec
from rules.base import ancestors, at, leaves, objects

Found = Iterator[tuple[str, str]]
"""Where a rule is broken, and why: a resource's key and a sentence."""


@dataclass(frozen=True)
class Case:
    """One captured program and its spec."""

    graph: Graph
    spec: PlatformSpec

    def adopted(self, group: str) -> bool:
        """Tell whether somebody else keeps a group of add-ons on the cluster."""
        return bool(getattr(self.spec.kubernetes.addons, group) == "adopt")

    @property
    def production(self) -> bool:
        """Tell whether the layer is one for production."""
        if self.spec.aws is not None:
            return self.spec.aws.environment != "dev" and self.spec.kubernetes.production
        return self.spec.kubernetes.production


Rule = Callable[[Case], Found]
RULES: dict[str, Rule] = {}
"""Every rule by its name."""

RELEASE = "kubernetes:helm.sh/v3:Release"
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


def rule(made: Rule) -> Rule:
    """Enter a rule under its function's name."""
    RULES[made.__name__] = made
    return made


def broken(case: Case, *names: str) -> list[str]:
    """Return what rules, or all of them, find: `<rule>: <where>: <why>`."""
    return [f"{name}: {where}: {why}" for name in names or RULES for where, why in RULES[name](case)]


def charts(case: Case, *names: str) -> list[Made]:
    """Return the releases of charts, or of those of some names."""
    found = [each for each in case.graph if each.type == RELEASE]
    return [each for each in found if not names or chart_name(each) in names]


def chart_name(made: Made) -> str:
    """Return the name of a release's chart, without its registry."""
    return str(made.inputs.get("chart")).rpartition("/")[2]


def value(made: Made, path: str) -> Any:
    """Return a value of a release's chart by its dotted path; None without."""
    return at(made.inputs.get("values", {}), path)


def files(case: Case) -> list[Made]:
    """Return definitions that come as files: those of others' kinds, and the policy that guards them."""
    kinds = ("CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    found = documents(case, *kinds)
    return [each for each in found if (at(each.inputs, "metadata.labels") or {}).get(names.PART_OF) != "mlplat"]


def documents(case: Case, *kinds: str) -> list[Made]:
    """Return the cluster's objects, or those of some kinds; charts and files are none."""
    found = [each for each in objects(case.graph) if "apiVersion" in each.inputs and "kind" in each.inputs]
    return [each for each in found if not kinds or each.inputs["kind"] in kinds]


def group(made: Made) -> str:
    """Return an object's API group; Kubernetes' oldest has none."""
    version = str(made.inputs["apiVersion"])
    return version.partition("/")[0] if "/" in version else ""


def namespace(made: Made) -> str | None:
    """Return the namespace of an object or release; None for what has none."""
    if made.type == RELEASE:
        return str(made.inputs["namespace"])
    found = at(made.inputs, "metadata.namespace")
    return None if found is None else str(found)


def pod(made: Made) -> dict[str, Any]:
    """Return what a workload says of its pods."""
    path = "spec.jobTemplate.spec.template.spec" if made.inputs["kind"] == "CronJob" else "spec.template.spec"
    found: dict[str, Any] = at(made.inputs, path) or {}
    return found


def containers(made: Made) -> list[dict[str, Any]]:
    """Return a workload's containers, those that run before the others among them."""
    spec = pod(made)
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


__all__ = [
    "RELEASE",
    "RULES",
    "WORKLOADS",
    "Case",
    "Found",
    "ancestors",
    "at",
    "broken",
    "chart_name",
    "charts",
    "containers",
    "documents",
    "files",
    "group",
    "leaves",
    "namespace",
    "pod",
    "rule",
    "value",
]
