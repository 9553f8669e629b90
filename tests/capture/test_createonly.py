"""What a change of the spec would replace: the documented list is what AWS's schemas say of captured programs."""

from __future__ import annotations

import pytest

import awsprogram
import createonly
import variants
from changes import CHANGES, IN_PLACE, Change, outcome
from rules.base import aws, is_aws, kind


@pytest.mark.parametrize("change", [pytest.param(each, id=each.says.replace(" ", "-")) for each in CHANGES])
def test_a_change_does_what_the_list_says(change: Change) -> None:
    before = awsprogram.graph("prod")
    after = awsprogram.of(variants.changed("prod", change.values), "prod")
    assert before.document() != after.document()
    assert outcome(before, after) == (change.outcome, change.kinds)


def test_the_same_spec_replaces_nothing() -> None:
    again = awsprogram.of(awsprogram.spec("prod"), "prod")
    assert outcome(awsprogram.graph("prod"), again) == (IN_PLACE, ())


def test_whatever_is_named_is_replaced_with_its_name() -> None:
    graph = awsprogram.graph("prod")
    for name, path in {
        "s3.Bucket": "bucket",
        "ecr.Repository": "name",
        "sqs.Queue": "name",
        "eks.Cluster": "name",
    }.items():
        assert path in createonly.inputs(kind(name))
        assert aws(graph, name)


def test_what_stands_on_a_replaced_network_is_replaced_with_it() -> None:
    graph = awsprogram.graph("prod")
    moved = graph.changed(aws(graph, "ec2.Vpc")[0].key, lambda inputs: inputs.update(cidrBlock="10.80.0.0/16"))
    found = createonly.replaced(graph, moved)
    assert {each.key for each in aws(graph, "ec2.Subnet", "eks.NodeGroup")} <= set(found)
    assert not {each.key for each in aws(graph, "s3.Bucket", "kms.Key")} & set(found)


def test_every_correction_is_of_an_input_that_would_replace_otherwise() -> None:
    from cfntypes import MAPPED
    from cloudformation import property_of, schema

    for type_, inputs in createonly.UPDATED.items():
        only = " ".join(schema(MAPPED[type_].type)["createOnlyProperties"])
        for name in inputs:
            assert (property_of(type_, name) or name[:1].upper() + name[1:]) in only, f"{type_} {name}"


def test_what_would_be_lost_by_a_replacement_has_inputs_that_are_known() -> None:
    silent = {each.type for each in awsprogram.graph("prod") if is_aws(each) and each.protect}
    assert {type_ for type_ in silent if not createonly.inputs(type_)} <= {
        # A key has no name of its own, and nothing about it replaces it.
        kind("kms.Key")
    }
