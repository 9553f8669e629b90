"""The whole program of the stack `dev`, by `mlplat up` and `down` through a real engine, on an emulated account."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from awsengine import ACCOUNT, OTHERS, Emulation, Platform
from conformance import Standing
from fakecloud.world import BEGINS, ENDS, FOLDER, Call, World
from mlplat.spec.platform import KEY

pytestmark = [pytest.mark.engine, pytest.mark.cluster]
CLUSTER = "aws:eks/cluster:Cluster"
NODES = "aws:eks/nodeGroup:NodeGroup"
RELEASE = "kubernetes:helm.sh/v3:Release"
NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"


@pytest.fixture
def platform(aws_platform: Standing) -> Platform:
    """Return the repository of the session's platform, the stack `dev`."""
    assert aws_platform.account is not None
    return aws_platform.account


@pytest.fixture
def preview(aws_platform: Standing) -> Any:
    """Return what a first preview showed."""
    return aws_platform.shown


@pytest.fixture
def made(aws_platform: Standing) -> Sequence[Call]:
    """Return what the first `up` did, in order."""
    return aws_platform.did


@pytest.fixture
def ended(aws_platform: Standing) -> Sequence[Call]:
    """Return what `down` did, in order."""
    return aws_platform.end()[1]


def test_an_up_makes_exactly_what_its_preview_showed(preview: Any, made: Sequence[Call], platform: Platform) -> None:
    assert {each["action"] for each in preview["changes"]} == {"create"}
    shown = [each for each in preview["changes"] if each["kind"] != "component"]
    assert len({each.key for each in made}) > 150
    assert {each.action for each in made} == {"create"}
    names = {_stem(each.key.rpartition(":")[2]) for each in made}
    assert names <= {_stem(each["name"]) for each in shown}
    assert "deployment" in platform.repository.file.read_text()


def test_what_is_made_first_is_there_before_what_needs_it(made: Sequence[Call]) -> None:
    _all_before(made, "create", lambda key: key.startswith("aws:ec2/natGateway:"), _is(NODES))
    _all_before(made, "create", _is(CLUSTER), _is(NODES))
    _all_before(made, "create", lambda key: key.startswith("aws:eks/accessPolicyAssociation:"), _kubernetes)
    _all_before(made, "create", _is(NODE_CLASS), _is(NODE_POOL))
    _all_before(made, "create", lambda key: key == f"{RELEASE}::karpenter", _is(NODE_POOL))


def test_another_accounts_credentials_are_refused_before_the_engine_runs(
    made: Sequence[Call], platform: Platform, emulation: Emulation
) -> None:
    platform.repository.ordered()
    refused = platform.run("up", "-s", "dev", code=None, env=emulation.credentials(OTHERS))
    assert refused.code != 0
    assert f"those of account {OTHERS}" in refused.err
    assert f"the stack is for account {ACCOUNT}" in refused.err
    assert platform.repository.ordered() == []


def test_one_new_pool_is_one_pool_more_and_nothing_else(made: Sequence[Call], platform: Platform) -> None:
    pool = {"instance_types": ["r7i.xlarge"], "max_size": 2}
    seen = _shown(platform, pools={**platform.written["pools"], "memory": pool})
    created = {each["kind"] for each in seen if each["action"] == "create"}
    of_a_pool = {"nodepool", "ec2nodeclass", "resourceflavor"}
    assert of_a_pool <= created <= {*of_a_pool, "nodeoverlay"}
    assert {each["action"] for each in seen} <= {"create", "update"}


def test_a_foundation_that_is_to_stand_alone_gives_up_what_stands_on_it_and_nothing_else(
    made: Sequence[Call], platform: Platform
) -> None:
    seen = _shown(platform, foundation={"only": True})
    assert {each["action"] for each in seen} == {"delete"}
    assert {each["name"] for each in seen} >= {"compute", "karpenter"}
    on_it = {call.key.split("::")[0].rpartition(":")[2].lower() for call in made if _kubernetes(call.key)}
    assert {each["kind"] for each in seen} <= on_it | {"compute", "nightjobs", "layer", "addons"}


def test_another_stack_stands_on_the_foundation_of_this_one(made: Sequence[Call], platform: Platform) -> None:
    cluster = World(platform.repository.folder / "other-cluster")
    own = {FOLDER: str(cluster.folder)}
    file = platform.repository.file.with_name("Pulumi.services.yaml")
    config = {KEY: {**platform.written, "foundation": {"stack": "dev"}}, "pulumi:disable-default-providers": ["*"]}
    file.write_text(json.dumps({"config": config}))
    platform.run("up", "-s", "services", "--yes", env=own)
    assert {call.type.partition(":")[0] for call in cluster.calls()} == {"kubernetes"}
    role = platform.run("outputs", "-s", "dev", "--json").json()["foundation"]["node_role"]
    classes = [each for each in cluster.all() if each["type"] == NODE_CLASS]
    assert {each["inputs"]["spec"]["role"] for each in classes} == {role}
    assert not any(call.key.startswith("kubernetes:") for call in platform.repository.ordered())


def test_what_comes_last_goes_first(ended: Sequence[Call]) -> None:
    _all_before(ended, "delete", _is(NODE_POOL), lambda key: key == f"{RELEASE}::karpenter")
    _all_before(ended, "delete", _is(NODE_POOL), _is(NODE_CLASS))
    _all_before(ended, "delete", _kubernetes, lambda key: key.startswith("aws:eks/accessPolicyAssociation:"))
    _all_before(ended, "delete", lambda key: key == f"{RELEASE}::karpenter", _is(NODES))
    _all_before(ended, "delete", lambda key: key.startswith("aws:eks/podIdentityAssociation:"), _is(CLUSTER))
    _all_before(ended, "delete", _is(NODES), _is(CLUSTER))
    _all_before(ended, "delete", _is(NODES), lambda key: key.startswith("aws:ec2/natGateway:"))
    _all_before(ended, "delete", _is(CLUSTER), lambda key: key.startswith("aws:ec2/subnet:"))
    _all_before(ended, "delete", lambda key: key.startswith("aws:ec2/subnet:"), lambda key: "Vpc::" in key)


def test_an_unprotected_end_leaves_nothing_that_costs(
    ended: Sequence[Call], platform: Platform, emulation: Emulation
) -> None:
    assert platform.repository.world.all() == []
    deployment = platform.identity()[:6]
    vpcs = emulation.client("ec2").describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]
    mine = [each for each in vpcs if deployment in json.dumps(each.get("Tags", []))]
    assert mine == []


def _shown(platform: Platform, **settings: Any) -> list[dict[str, Any]]:
    """Return what an `up` with some other settings would do."""
    platform.write(**settings)
    try:
        seen: list[dict[str, Any]] = platform.run("up", "-s", "dev", "--preview", "--json").json()["changes"]
        return seen
    finally:
        platform.write()


def _stem(name: str) -> str:
    # A job's name ends in a digest of what is in it; the deployment's id is, which the first preview does not know.
    return re.sub(r"-[0-9a-f]{10}$", "", name) if name.startswith("job-") else name


def _is(kind: str) -> Callable[[str], bool]:
    return lambda key: key.startswith(f"{kind}::")


def _kubernetes(key: str) -> bool:
    return key.startswith("kubernetes:")


def _all_before(calls: Sequence[Call], action: str, one: Callable[[str], bool], other: Callable[[str], bool]) -> None:
    """Check that every call of one kind has ended before any of the other has begun."""
    ends = [at for at, call in enumerate(calls) if (call.action, call.phase) == (action, ENDS) and one(call.key)]
    begins = [at for at, call in enumerate(calls) if (call.action, call.phase) == (action, BEGINS) and other(call.key)]
    assert ends, f"nothing of the first kind was asked to {action}"
    assert begins, f"nothing of the second kind was asked to {action}"
    late, early = calls[max(ends)], calls[min(begins)]
    assert max(ends) < min(begins), f"{late.key} ended after {early.key} had begun"
