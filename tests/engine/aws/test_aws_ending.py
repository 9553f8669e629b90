"""A protected platform, ended twice: with its data kept, so that the next `up` goes on with it, and with its data."""

from __future__ import annotations

import pytest

from awsengine import Emulation, Platform

pytestmark = pytest.mark.engine
BUCKET, SHUT = "aws:s3/bucket:Bucket", "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
CLUSTER, KEY = "aws:eks/cluster:Cluster", "aws:kms/key:Key"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, emulation: Emulation) -> Platform:
    """Return a protected platform that stands."""
    made = Platform(tmp_path_factory.mktemp("protected"), emulation)
    made.written["aws"] |= {"protected": True}
    made.written["aws"]["database"] |= {"deletion_protection": True}
    made.written |= {"pools": {}, "teams": {}}
    made.write()
    made.run("up", "-s", "dev", "--yes")
    return made


def buckets(platform: Platform, emulation: Emulation) -> list[str]:
    """Return the platform's buckets that are there."""
    mark = platform.identity()[:6]
    return [name for each in emulation.client("s3").list_buckets()["Buckets"] if mark in (name := each["Name"])]


def test_a_protected_platform_is_ended_by_its_name_and_goes_on_with_its_data(
    platform: Platform, emulation: Emulation
) -> None:
    before = buckets(platform, emulation)
    assert len(before) >= 5
    refused = platform.run("down", "-s", "dev", "--yes", "--skip-drain", code=2)
    assert "--confirm mlplat" in refused.err
    platform.repository.ordered()
    platform.run("down", "-s", "dev", "--confirm", "mlplat", "--skip-drain", code=None)
    ended = {each.type for each in platform.repository.ordered() if each.action == "delete"}
    assert {CLUSTER, "aws:rds/instance:Instance", "aws:ec2/vpc:Vpc"} <= ended
    assert not {BUCKET, SHUT, KEY, "aws:kms/alias:Alias"} & ended
    assert buckets(platform, emulation) == before
    again = platform.run("up", "-s", "dev", "--yes")
    created = {each.type for each in platform.repository.ordered() if each.action == "create"}
    assert CLUSTER in created
    assert not {BUCKET, SHUT, KEY} & created, again.err


def test_with_its_data_nothing_of_it_is_left(platform: Platform, emulation: Emulation) -> None:
    assert buckets(platform, emulation)
    platform.run("down", "-s", "dev", "--delete-data", "--confirm", "mlplat", "--skip-drain", code=None)
    assert buckets(platform, emulation) == []
    assert platform.repository.world.all() == []
    assert "deleting" not in platform.repository.file.read_text()
