from __future__ import annotations

from mlplat.engine.summary import Part, parts

STACK = "urn:pulumi:dev::mlplat::pulumi:pulumi:Stack::mlplat-dev"
NETWORK = "urn:pulumi:dev::mlplat::mlplat:aws:Network::network"


def test_resources_are_counted_by_the_component_they_belong_to() -> None:
    resources = [
        {"urn": STACK, "type": "pulumi:pulumi:Stack", "custom": False},
        {"urn": "p", "type": "pulumi:providers:aws", "custom": True, "parent": STACK},
        {"urn": NETWORK, "type": "mlplat:aws:Network", "custom": False, "parent": STACK},
        {"urn": "a", "type": "aws:ec2/vpc:Vpc", "custom": True, "parent": NETWORK, "protect": True},
        {"urn": "b", "type": "aws:ec2/subnet:Subnet", "custom": True, "parent": NETWORK, "delete": True},
        {"urn": "c", "type": "aws:s3/bucket:Bucket", "custom": True, "parent": STACK},
    ]
    assert parts(resources) == [Part("network", 2, 1, 1), Part("others", 1, 0, 0)]


def test_a_stack_that_holds_nothing_has_no_parts() -> None:
    assert parts([]) == []
