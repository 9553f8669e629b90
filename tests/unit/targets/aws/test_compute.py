from __future__ import annotations

import functools
import json
from typing import Any

import pytest

import awsparts
import capture
from capture import Graph, Made
from mlplat import versions
from mlplat.contracts import ClusterFoundation
from mlplat.errors import SpecError, UsageError
from mlplat.spec.platform import parse_platform
from mlplat.targets.aws.compute import Compute, storage_parameters
from mlplat.targets.aws.site import Site

RELEASE = "kubernetes:helm.sh/v3:Release"
PROVIDER = "pulumi:providers:kubernetes"
POOLS = {
    "cpu": {"instance_types": ["m7i.xlarge"], "max_size": 2},
    "gpu": {"instance_types": ["g6.xlarge"], "max_size": 2, "shared_by": 2, "min_size": 1},
}
FOUNDATION = {
    "cluster": "mlplat-dev-012345",
    "cluster_endpoint": "https://cluster",
    "cluster_authority": "YXV0aG9yaXR5",
    "cluster_admin": None,
    "vpc": "vpc-0123456789abcdef0",
    "node_role": "mlplat-dev-012345-node",
    "queue": "mlplat-dev-012345-interruptions",
}
ROLE = f"arn:aws:iam::{awsparts.ACCOUNT}:role/admin"


def foundation() -> ClusterFoundation:
    empty: dict[str, Any] = dict.fromkeys(ClusterFoundation.__dataclass_fields__)
    return ClusterFoundation(**{**empty, **FOUNDATION})


@functools.cache
def _made(written: str, pools: str) -> Graph:
    import pulumi
    import pulumi_aws

    settings = {"account": awsparts.ACCOUNT, "region": awsparts.REGION, "environment": "dev", **json.loads(written)}
    document = {"version": 2, "target": "aws", "engine": {}, "aws": settings, "pools": json.loads(pools)}
    spec = parse_platform(document, "a test")
    assert spec.aws
    site = Site("mlplat", "dev", awsparts.DEPLOYMENT, spec.aws)

    def program() -> None:
        before = pulumi_aws.iam.Role(
            "before", assume_role_policy="{}", opts=pulumi.ResourceOptions(provider=pulumi_aws.Provider("aws"))
        )
        Compute(
            "compute",
            spec,
            site=site,
            foundation=foundation(),
            admin=ROLE,
            key=awsparts.KEY,
            opts=pulumi.ResourceOptions(depends_on=[before]),
        )

    return capture.run(program)


def made(pools: dict[str, Any] | None = None, **written: Any) -> Graph:
    return _made(json.dumps(written), json.dumps(POOLS if pools is None else pools))


def on_cluster(graph: Graph) -> list[Made]:
    return [each for each in graph if each.custom and each.type.startswith("kubernetes:")]


def node_pool(graph: Graph, name: str) -> Made:
    return graph.one("kubernetes:karpenter.sh/v1:NodePool", f"nodepool-{name}")


def test_every_object_is_made_by_the_one_provider_after_what_compute_was_told_to_wait_for() -> None:
    graph = made()
    assert on_cluster(graph)
    for each in on_cluster(graph):
        assert each.provider == f"{PROVIDER}::cluster", each.key
        assert "aws:iam/role:Role::before" in each.depends_on, each.key


def test_a_new_certificate_is_still_the_same_cluster() -> None:
    inputs = made().one(PROVIDER).inputs
    assert inputs["clusterIdentifier"] == f"arn:aws:eks:eu-west-1:{awsparts.ACCOUNT}:cluster/mlplat-dev-012345"


def kubeconfig(graph: Graph) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(graph.one(PROVIDER).inputs["kubeconfig"])
    return found


def test_no_credential_and_no_folder_of_this_computer_is_in_the_kubeconfig() -> None:
    (user,) = kubeconfig(made())["users"]
    asks = user["user"]["exec"]
    assert set(user["user"]) == {"exec"}
    assert (asks["command"], asks["apiVersion"]) == ("mlplat", "client.authentication.k8s.io/v1")
    assert asks["interactiveMode"] == "Never"
    assert "env" not in asks
    assert asks["args"][-2:] == ["--role", ROLE]


def test_named_admins_enter_as_themselves() -> None:
    (user,) = kubeconfig(made(cluster={"admins": [ROLE]}))["users"]
    assert "--role" not in user["user"]["exec"]["args"]


def test_the_arguments_are_those_that_the_command_takes() -> None:
    from mlplat.cli.aws import token

    (user,) = kubeconfig(made())["users"]
    said = {each for each in user["user"]["exec"]["args"] if each.startswith("--")}
    assert said <= {option for each in token.params for option in each.opts}


def test_pools_go_before_what_takes_their_nodes_away() -> None:
    """What is made later is ended earlier; an orphaned node would be paid for until somebody finds it."""
    graph = made()
    before = graph.before(node_pool(graph, "gpu").key)
    chain = ["ec2nodeclass-gpu", "nodeoverlay-gpu-1-gpu", "karpenter", "karpenter-crd", "nvidia-device-plugin"]
    assert set(chain) <= {key.rpartition("::")[2] for key in before}
    assert node_pool(graph, "gpu").timeouts["delete"] == "40m"
    annotations = node_pool(graph, "gpu").inputs["metadata"]["annotations"]
    assert annotations["pulumi.com/deletionPropagationPolicy"] == "foreground"
    assert annotations["pulumi.com/waitFor"] == "condition=Ready"


def test_definitions_are_a_release_of_their_own_and_come_first() -> None:
    graph = made()
    karpenter = graph.one(RELEASE, "karpenter")
    assert f"{RELEASE}::karpenter-crd" in karpenter.depends_on
    assert karpenter.inputs["skipCrds"] is True


def test_releases_are_pinned_and_stay_to_be_looked_at_where_they_fail() -> None:
    pinned = {each.name: each for each in versions.CHARTS}
    for release in made().of(RELEASE):
        inputs, chart = release.inputs, pinned[release.name]
        assert inputs["version"] == chart.version
        assert inputs["chart"] == (chart.repository if chart.oci else chart.name)
        assert inputs.get("repositoryOpts", {}).get("repo") == (None if chart.oci else chart.repository)
        assert (inputs["atomic"], inputs["name"]) == (False, chart.name)


@pytest.mark.parametrize(
    ("pools", "plugins"),
    [
        ({"cpu": POOLS["cpu"]}, set()),
        (POOLS, {"nvidia-device-plugin", "dcgm-exporter"}),
        (
            {"fast": {"instance_types": ["p5.48xlarge"], "max_size": 2, "efa": True}},
            {"nvidia-device-plugin", "dcgm-exporter", "aws-efa-k8s-device-plugin"},
        ),
    ],
)
def test_only_what_a_pool_has_is_served(pools: dict[str, Any], plugins: set[str]) -> None:
    always = {"karpenter", "karpenter-crd", "aws-load-balancer-controller"}
    assert {each.name for each in made(pools).of(RELEASE)} - always == plugins


def test_volumes_are_encrypted_tagged_and_made_where_the_pod_is() -> None:
    inputs = made().one("kubernetes:storage.k8s.io/v1:StorageClass").inputs
    assert inputs["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert inputs["volumeBindingMode"] == "WaitForFirstConsumer"
    assert (inputs["parameters"]["encrypted"], inputs["parameters"]["kmsKeyId"]) == ("true", awsparts.KEY)


def test_every_tag_is_a_parameter_of_its_own_counted_from_one() -> None:
    site = awsparts.site()
    found = storage_parameters(site, awsparts.KEY)
    said = [found[f"tagSpecification_{number}"] for number in range(1, len(site.tags("volumes")) + 1)]
    assert f"mlplat:deployment={awsparts.DEPLOYMENT}" in said


def test_an_up_at_night_can_take_a_static_pool_s_number_back() -> None:
    graph = made()
    forced = {
        each.inputs["metadata"]["name"]
        for each in graph.of("kubernetes:karpenter.sh/v1:NodePool")
        if "pulumi.com/patchForce" in each.inputs["metadata"]["annotations"]
    }
    assert forced == {"gpu-warm"}


@pytest.mark.parametrize("nights", [None, {"down": "20:00"}])
def test_there_are_jobs_for_nights_only_where_there_are_nights(nights: dict[str, str] | None) -> None:
    graph = made(cluster={"nights": nights} if nights else {})
    jobs = {each.inputs["metadata"]["name"] for each in graph.of("kubernetes:batch/v1:CronJob")}
    assert jobs == ({"mlplat-nights-evening", "mlplat-nights-morning"} if nights else set())
    grace = node_pool(graph, "cpu").inputs["spec"]["template"]["spec"]["terminationGracePeriod"]
    assert grace == ("20m" if nights else "24h")


def test_a_pool_that_no_machine_fits_and_nights_of_production_are_refused() -> None:
    with pytest.raises(SpecError, match="no instance type"):
        made({"cpu": {"instance_types": ["m7i.huge"], "max_size": 1}})
    with pytest.raises(UsageError, match="production"):
        made(environment="prod", cluster={"nights": {}})
