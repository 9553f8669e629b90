from __future__ import annotations

import json
import re
from typing import Any

import pytest

import awsparts
from mlplat import versions
from mlplat.spec.base import parse
from mlplat.spec.capacity import PoolSpec
from mlplat.targets.aws.nodeclass import node_class
from mlplat.targets.aws.spend import TEAM, team_tag

EXISTING = {
    "vpc_id": "vpc-0123456789abcdef0",
    "cidr": "10.1.0.0/16",
    "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "route_table_ids": ["rtb-0123456789abcdef0"],
}


def made(*types: str, network: dict[str, Any] | None = None, **written: Any) -> dict[str, Any]:
    pool = parse(PoolSpec, {"instance_types": list(types or ("m7i.xlarge",)), "max_size": 2, **written}, "a test")
    site = awsparts.site(network=network or {})
    found: dict[str, Any] = node_class(
        "pool", pool, site=site, cluster="mlplat-dev-012345", node_role="node-role", key=awsparts.KEY
    )["spec"]
    return found


def test_the_image_is_pinned_and_the_only_term() -> None:
    assert made()["amiSelectorTerms"] == [{"alias": versions.MACHINE_IMAGE}]


def test_a_pod_cannot_take_the_node_s_credentials() -> None:
    options = made()["metadataOptions"]
    assert (options["httpTokens"], options["httpPutResponseHopLimit"]) == ("required", 1)
    assert made()["associatePublicIPAddress"] is False


@pytest.mark.parametrize(("kind", "throughput"), [("m7i.xlarge", 125), ("g6.xlarge", 600)])
def test_disks_are_encrypted_under_our_key_and_fast_where_images_are_large(kind: str, throughput: int) -> None:
    (disk,) = made(kind, disk_gib=200)["blockDeviceMappings"]
    assert disk["rootVolume"]
    ebs = disk["ebs"]
    assert (ebs["encrypted"], ebs["kmsKeyID"], ebs["volumeType"]) == (True, awsparts.KEY, "gp3")
    assert (ebs["volumeSize"], ebs["throughput"]) == ("200Gi", throughput)
    # EC2 refuses more than a quarter of a MiB a second for each operation a second.
    assert throughput <= ebs["iops"] / 4


def test_nodes_are_found_by_the_deployment_s_tag() -> None:
    tags = made()["tags"]
    assert tags["mlplat:deployment"] == awsparts.DEPLOYMENT
    assert tags["mlplat:pool"] == "pool"
    forbidden = re.compile(r"^(kubernetes\.io/cluster|karpenter\.|eks:)")
    assert not [each for each in tags if forbidden.match(each)]


def test_places_are_found_by_the_cluster_s_tag_and_in_others_networks_by_id() -> None:
    by_tag = [{"tags": {"karpenter.sh/discovery": "mlplat-dev-012345"}}]
    assert made()["subnetSelectorTerms"] == made()["securityGroupSelectorTerms"] == by_tag
    theirs = made(network={"existing": EXISTING, "zones": ["a", "b"]})
    assert theirs["subnetSelectorTerms"] == [{"id": each} for each in EXISTING["private_subnet_ids"]]
    assert theirs["securityGroupSelectorTerms"] == by_tag


def test_where_nothing_leaves_the_profile_is_made_beforehand() -> None:
    assert made()["role"] == "node-role"
    isolated = made(network={"isolated": True})
    assert isolated["instanceProfile"] == "node-role"
    assert "role" not in isolated


@pytest.mark.parametrize(("kind", "cards"), [("g6.12xlarge", 1), ("p4d.24xlarge", 4), ("p5.48xlarge", 32)])
def test_every_card_has_one_fast_interface_and_the_first_a_plain_one_too(kind: str, cards: int) -> None:
    spec = made(kind, efa=True)
    first, *fast = spec["networkInterfaces"]
    assert first == {"networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "interface"}
    assert [each["networkCardIndex"] for each in fast] == list(range(cards))
    assert {each["interfaceType"] for each in fast} == {"efa-only"}
    assert spec["placementGroupSelector"] == {"name": "mlplat-dev-012345-pool-pool"}
    assert "networkInterfaces" not in made(kind)


def test_reservations_are_selected_else_they_would_be_paid_and_idle() -> None:
    cr = "cr-0123456789abcdef0"
    spec = made("p5.48xlarge", capacity=["reserved"], reservations=[cr])
    assert spec["capacityReservationSelectorTerms"] == [{"id": cr}]
    assert "capacityReservationSelectorTerms" not in made()


def test_image_pulls_are_set_where_nodes_read_them() -> None:
    """The class's own `kubelet` knows nothing of them."""
    spec = made()
    config = json.loads(spec["userData"])
    assert (config["apiVersion"], config["kind"]) == ("node.eks.aws/v1alpha1", "NodeConfig")
    assert config["spec"]["kubelet"]["config"]["serializeImagePulls"] is False
    assert config["spec"]["featureGates"] == {"FastImagePull": True}
    assert "kubelet" not in spec


@pytest.mark.parametrize(("teams", "told"), [([], False), (["flights"], True), (["flights", "fares"], False)])
def test_machines_of_one_team_are_on_its_bill(teams: list[str], told: bool) -> None:
    """A team's budget filters by its tag, which nothing carried."""
    tags = made(teams=teams)["tags"]
    assert (tags.get(TEAM) == team_tag(awsparts.site(network={}), "flights")) is told
