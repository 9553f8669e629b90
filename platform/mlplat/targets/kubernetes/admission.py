"""What the API server itself refuses to end: a team, or the platform, while an endpoint of it serves.

An endpoint goes by its controller alone. Whoever ends that first, or takes away the rights that it has in the team's
namespace, is left with an endpoint that cannot go, and a namespace that cannot go because of it. The CLI looks before
it begins; plain `pulumi` and `kubectl` look nowhere, so this is asked where all of them end up.

Two objects carry the question: the platform's namespace, the first that `up` changes, names the teams there are; the
one called `standing`, made after everything else, is the first that is deleted. A policy holds each of them against
the objects that are there at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlplat.manifests import crd, names
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import ends

TEAMS = "mlplat/teams"
"""Annotation of the platform's namespace: the teams whose namespaces are there, with commas between."""
STANDING = "standing"
API = "admissionregistration.k8s.io/v1"
OPEN_WORKFLOWS = {"matchExpressions": [{"key": ends.ENDED, "operator": "NotIn", "values": ["true"]}]}

Document = dict[str, Any]

KEPT = (
    f"has(object.metadata.annotations) && '{TEAMS}' in object.metadata.annotations"
    f" ? object.metadata.annotations['{TEAMS}'].split(',') : [params.metadata.namespace]"
)
STAYS = f"request.name != '{names.NAMESPACE}' || params.metadata.namespace in variables.kept"
"""Whether the team of what serves, or runs, is still named. A namespace that names none says nothing of teams."""
MAY_GO = (
    f"request.resource.resource == 'namespaces'"
    f" && request.name != '{names.NAMESPACE}' && request.name != params.metadata.namespace"
)
ENDPOINT = "params.metadata.name.replace('.', '/', 1)"


def teams(spec: PlatformSpec) -> dict[str, str]:
    """Return what the platform's namespace says of teams."""
    return {TEAMS: ",".join(sorted(spec.teams))}


def endpoints(teams: Iterable[str]) -> list[Document]:
    """Return what keeps teams, and the platform, while they have endpoints; after the definition of those."""
    rules = [_rule("namespaces", "UPDATE", "DELETE"), {**_rule("configmaps", "DELETE"), "resourceNames": [STANDING]}]
    said = f"'the endpoint ' + {ENDPOINT} + ' would wait for ever for its controller: `mlplat endpoint delete ' + "
    policy = _policy(
        "endpoints",
        (names.API_VERSION, crd.KIND),
        rules,
        f"request.operation == 'UPDATE' ? ({STAYS}) : ({MAY_GO})",
        f"{said}{ENDPOINT} + '` ends it, `mlplat down` ends all of them before the platform'",
    )
    return [policy, *(_binding("endpoints", team, {}) for team in teams)]


def workflows(teams: Iterable[str]) -> list[Document]:
    """Return what keeps teams in the stack file while their pipelines run; after the definition of workflows.

    Who ends the whole platform is not kept: Argo outlives the teams, and ends what runs.
    """
    policy = _policy(
        "workflows",
        ends.WORKFLOWS,
        [{**_rule("namespaces", "UPDATE"), "resourceNames": [names.NAMESPACE]}],
        STAYS,
        "'the pipeline ' + params.metadata.name + ' of the team ' + params.metadata.namespace + ' runs: wait for it, or"
        " `kubectl delete workflow -n ' + params.metadata.namespace + ' ' + params.metadata.name + '`'",
    )
    return [policy, *(_binding("workflows", team, OPEN_WORKFLOWS) for team in teams)]


def standing() -> Document:
    """Return the object that is made last and deleted first."""
    why = "made last, so deleted first: the API server refuses that while an endpoint serves, and all the rest waits"
    return {**_of("v1", "ConfigMap", STANDING, names.NAMESPACE), "data": {"why": why}}


def _policy(name: str, kind: tuple[str, str], rules: list[Document], holds: str, said: str) -> Document:
    return {
        **_of(API, "ValidatingAdmissionPolicy", f"mlplat-{name}"),
        "spec": {
            # Where nobody defines the kind any more there is nothing of it to wait for.
            "failurePolicy": "Ignore",
            "paramKind": {"apiVersion": kind[0], "kind": kind[1]},
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {"matchLabels": {names.PART_OF: "mlplat"}},
                "resourceRules": rules,
            },
            "variables": [{"name": "kept", "expression": KEPT}],
            # `Forbidden` would say that it is the person who may not, and the engine's preview takes it for that.
            "validations": [{"expression": holds, "messageExpression": said, "reason": "Invalid"}],
        },
    }


def _binding(policy: str, team: str, chosen: Document) -> Document:
    return {
        **_of(API, "ValidatingAdmissionPolicyBinding", f"mlplat-{policy}-{team}"),
        "spec": {
            "policyName": f"mlplat-{policy}",
            "paramRef": {"namespace": team, "selector": chosen, "parameterNotFoundAction": "Allow"},
            "validationActions": ["Deny"],
        },
    }


def _rule(resources: str, *operations: str) -> Document:
    return {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": [*operations],
        "resources": [resources],
        "scope": "*",
    }


def _of(version: str, kind: str, name: str, namespace: str | None = None) -> Document:
    placed = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, **placed, "labels": {names.PART_OF: "mlplat"}},
    }
