"""Every value is one that AWS takes, as far as CloudFormation's schemas know."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import awsstacks
import cloudformation
from capture import TOKEN, Graph, Made
from cfntypes import APART, INTO, MAPPED


def test_no_value_is_one_that_aws_refuses(graph: Graph) -> None:
    assert cloudformation.findings(graph) == []


def test_every_type_and_input_is_mapped_or_has_a_reason(graph: Graph) -> None:
    """What is not in the template is not checked, and nothing would say so."""
    assert cloudformation.template(graph).unmapped == []


def test_what_one_resource_takes_of_another_is_a_reference(graph: Graph) -> None:
    template = cloudformation.template(graph)
    assert not TOKEN.search(template.text())
    references = template.text().count('"Ref"') + template.text().count('"Fn::GetAtt"')
    assert references > len(template.resources)


def test_no_two_resources_share_a_logical_id(graph: Graph) -> None:
    keys = cloudformation.template(graph).keys
    assert len({*keys.values()}) == len(keys)


def test_every_type_in_the_tables_is_made_by_some_stack() -> None:
    made = {each.type for stack in awsstacks.STACKS for each in awsstacks.graph(stack)}
    assert {*MAPPED, *INTO, *APART} - made == set()


WRONG: dict[str, tuple[str, Any]] = {
    "aws:eks/cluster:Cluster": ("accessConfig", {"authenticationMode": "IAM"}),
    "aws:cloudwatch/logGroup:LogGroup": ("retentionInDays", 8),
    "aws:kms/key:Key": ("deletionWindowInDays", 3),
    "aws:rds/instance:Instance": ("instanceClass", "db.t9.micro"),
    "aws:ecr/repository:Repository": ("imageTagMutability", "NEVER"),
    "aws:iam/role:Role": ("maxSessionDuration", 100),
    "aws:s3/bucketVersioning:BucketVersioning": ("versioningConfiguration", {"status": "On"}),
}
"""Inputs, and a value that AWS refuses."""


def _set(inputs: dict[str, Any], name: str, value: Any) -> None:
    inputs[name] = value


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """Return what is found in a graph that has every wrong value, by the type that has it."""
    graph = awsstacks.graph("dev")
    keys = {kind: graph.of(kind)[0].key for kind in WRONG}
    for kind, (name, value) in WRONG.items():
        graph = graph.changed(keys[kind], functools.partial(_set, name=name, value=value))
    places = {kind: _place(graph.at(key), graph) for kind, key in keys.items()}
    lines = cloudformation.findings(graph)
    return {kind: "\n".join(each for each in lines if each.startswith(f"{key}:")) for kind, key in places.items()}


def _place(made: Made, graph: Graph) -> str:
    into = INTO.get(made.type)
    owner = into and cloudformation.owner_of(graph, made, into.owner, into.types)
    return owner.key if owner else made.key


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_value_is_found(kind: str, found: dict[str, str]) -> None:
    _, value = WRONG[kind]
    assert str(next(iter(value.values())) if isinstance(value, dict) else value) in found[kind]
