"""Which inputs replace what they belong to, from AWS's own schemas, and what a change of the spec would so replace.

CloudFormation's schemas name the properties that only a creation reads (`createOnlyProperties`). The provider agrees,
but for `UPDATED`, which it changes in place, and `FOR_EVERY_PART`, which CloudFormation has no type for.
"""

from __future__ import annotations

import functools
from typing import Any

from capture import Graph, Made
from cfntypes import INTO, MAPPED
from cloudformation import property_of, schema
from rules.base import kind, refs
from rules.names import arguments

UPDATED: dict[str, dict[str, str]] = {
    kind(name): inputs
    for name, inputs in {
        "rds.Instance": {
            "identifier": "RDS renames a database in place",
            "dbSubnetGroupName": "RDS moves a database within its network",
        },
        "budgets.Budget": {"notifications": "alerts are written again one by one"},
        "ecr.PullThroughCacheRule": {"credentialArn": "ECR takes another secret"},
        "ec2.PlacementGroup": {"tags": "EC2 tags what is there"},
        "ec2.RouteTableAssociation": {"routeTableId": "EC2 has a call that exchanges the table"},
    }.items()
}
"""Inputs that CloudFormation replaces for, and the provider does not."""

NESTED: dict[str, dict[str, str]] = {
    kind("eks.Cluster"): {
        "accessConfig.bootstrapClusterCreatorAdminPermissions": "AccessConfig/BootstrapClusterCreatorAdminPermissions",
        "kubernetesNetworkConfig.serviceIpv4Cidr": "KubernetesNetworkConfig/ServiceIpv4Cidr",
        "kubernetesNetworkConfig.ipFamily": "KubernetesNetworkConfig/IpFamily",
    },
    kind("budgets.Budget"): {"name": "Budget/BudgetName"},
    kind("dynamodb.Table"): {"hashKey": "KeySchema", "rangeKey": "KeySchema"},
    kind("backup.Selection"): {
        "name": "BackupSelection", "planId": "BackupPlanId", "iamRoleArn": "BackupSelection",
        "resources": "BackupSelection",
    },
    kind("costexplorer.AnomalyMonitor"): {"monitorSpecification": "MonitorSpecification"},
}  # fmt: skip
"""Inputs that only a part of a property, or several of them, hold."""


@functools.cache
def inputs(type_: str) -> frozenset[str]:
    """Return the inputs of a type whose change replaces the resource, nested ones by their path."""
    if type_ in INTO:
        return frozenset({INTO[type_].owner})
    if type_ not in MAPPED:
        return frozenset()
    written = schema(MAPPED[type_].type)
    only = {
        path.removeprefix("/properties/")
        for field in ("createOnlyProperties", "conditionalCreateOnlyProperties")
        for path in written.get(field, [])
        if field == "createOnlyProperties" or path.endswith("KeySchema")
    }
    top = {name for name in map(_camel, arguments(type_)) if property_of(type_, name) in only}
    nested = {path for path, place in NESTED.get(type_, {}).items() if place in only}
    return frozenset((top | nested) - set(UPDATED.get(type_, {})))


def _camel(name: str) -> str:
    first, *rest = name.strip("_").split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def replaced(before: Graph, after: Graph) -> dict[str, list[str]]:
    """Return what a change replaces, by key, and by which inputs: they differ, or hold the id of another."""
    old = {each.key: each for each in before}
    both = [each for each in after if each.key in old]
    found = {each.key: named for each in both if (named := _differing(old[each.key], each))}
    while fresh := {each.key: named for each in both if each.key not in found and (named := _moved(each, set(found)))}:
        found |= fresh
    return found


def deleted(before: Graph, after: Graph) -> list[str]:
    """Return the keys of what a change takes away."""
    kept = {each.key for each in after}
    return [each.key for each in before if each.key not in kept]


def _differing(old: Made, new: Made) -> list[str]:
    return sorted(path for path in inputs(new.type) if _at(old.inputs, path) != _at(new.inputs, path))


def _moved(made: Made, gone: set[str]) -> list[str]:
    return sorted(path for path in inputs(made.type) if refs(_at(made.inputs, path)) & gone)


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
