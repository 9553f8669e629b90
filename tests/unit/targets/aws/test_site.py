from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import RefusedError
from mlplat.spec.aws import AwsSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws.site import TAG, Site

AWS = AwsSpec(account="111122223333", region="eu-west-1")
LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
IDS = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)


def site(platform: str = "mlplat", stack: str = "dev", identity: str = "0123456789abcdef") -> Site:
    return Site(platform, stack, identity, AWS)


@given(LABELS, LABELS, IDS, LABELS, st.integers(32, 63))
def test_a_name_fits_and_holds_the_deployment(platform: str, stack: str, identity: str, part: str, limit: int) -> None:
    name = site(platform, stack, identity).name(part, limit=limit)
    assert len(name) <= limit
    assert identity[:6] in name
    assert name == name.lower()
    assert "--" not in name or "--" in f"{platform}-{stack}-{part}"


@given(LABELS, LABELS, st.integers(32, 63))
def test_names_that_are_cut_still_differ(one: str, other: str, limit: int) -> None:
    made = {site("p" * 40).name(part, limit=limit) for part in (one, other)}
    assert len(made) == len({one, other})


def test_two_deployments_meet_in_no_name() -> None:
    one, other = site(identity="0" * 16), site(identity="1" * 16)
    assert one.name("data") != other.name("data")
    assert one.path("admin") != other.path("admin")
    assert one.tags()[TAG] != other.tags()[TAG]


@pytest.mark.parametrize(
    ("service", "resource", "options", "arn"),
    [
        ("sqs", "events", {}, "arn:aws:sqs:eu-west-1:111122223333:events"),
        ("iam", "role/x", {"region": False}, "arn:aws:iam::111122223333:role/x"),
        ("s3", "bucket", {"region": False, "account": False}, "arn:aws:s3:::bucket"),
    ],
)
def test_an_arn_has_what_its_service_has(service: str, resource: str, options: dict[str, bool], arn: str) -> None:
    assert site().arn(service, resource, **options) == arn


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_an_arn_begins_with_the_region_s_partition(region: str, partition: str) -> None:
    there = Site("mlplat", "dev", "0" * 16, AwsSpec(account="111122223333", region=region))
    assert there.arn("sqs", "x").startswith(f"arn:{partition}:sqs:{region}:")


def test_a_stack_without_an_id_has_no_names() -> None:
    with pytest.raises(RefusedError, match="no deployment id"):
        Site.of(PlatformSpec(), "dev", None)


def test_a_stack_that_is_about_to_go_with_its_data_is_not_protected() -> None:
    assert site().protected
    assert not Site("mlplat", "dev", "0" * 16, AWS, deleting=True).protected
