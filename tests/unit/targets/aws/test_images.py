from __future__ import annotations

import json
from typing import Any

import pytest

import capture
from capture import Graph
from mlplat.errors import RefusedError
from mlplat.spec.aws import AwsSpec
from mlplat.targets.aws.imagecache import ADDRESSES, SHORT, cached, prefix, pulls, refuse_elsewhere
from mlplat.targets.aws.images import OWN, Images, lifecycle, registry
from mlplat.targets.aws.site import Site

KEY = "arn:aws:kms:eu-west-1:111122223333:key/data"
CREDENTIALS = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ecr-pullthroughcache/hub-AbCdEf"
HUB: dict[str, Any] = {"pull_through": ["docker.io"], "credentials": {"docker.io": CREDENTIALS}}


def site(protected: bool = True, region: str = "eu-west-1", platform: str = "mlplat", **images: Any) -> Site:
    written = {
        "account": "111122223333",
        "region": region,
        "environment": "dev",
        "protected": protected,
        "images": images,
        "identities": {"boundary": "arn:aws:iam::111122223333:policy/boundary"},
    }
    return Site(platform, "dev", "0123456789abcdef", AwsSpec.model_validate_json(json.dumps(written)))


def made(where: Site) -> tuple[Graph, Images]:
    kept: list[Images] = []

    def program() -> None:
        kept.append(Images("images", where.aws.images, site=where, key_arn=KEY, opts=capture.provider()))

    return capture.run(program), kept[0]


def test_every_image_of_ours_and_every_project_has_a_repository() -> None:
    graph, images = made(site(projects=["flights", "tracking"]))
    assert set(images.repositories) == {*OWN, "projects/flights", "projects/tracking"}
    names = {each.inputs["name"] for each in graph.of("aws:ecr/repository:Repository")}
    assert "mlplat/mlplat-dev-012345/tracking" in names
    # A project may have the name of a service.
    assert "mlplat/mlplat-dev-012345/projects/tracking" in names
    assert images.registry == "111122223333.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("protected", [True, False])
def test_an_image_is_scanned_encrypted_and_never_changes_under_its_tag(protected: bool) -> None:
    graph, _ = made(site(protected))
    for each in graph.of("aws:ecr/repository:Repository"):
        assert each.inputs["imageTagMutability"] == "IMMUTABLE"
        assert each.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
        assert each.inputs["encryptionConfigurations"] == [{"encryptionType": "KMS", "kmsKey": KEY}]
        assert each.inputs["forceDelete"] is not protected
        assert (each.protect, each.retain_on_delete) == (protected, protected)
    policies = {each.inputs["repository"] for each in graph.of("aws:ecr/lifecyclePolicy:LifecyclePolicy")}
    assert len(policies) == len(graph.of("aws:ecr/repository:Repository"))


def test_old_images_go_and_the_rule_for_any_image_comes_last() -> None:
    rules = json.loads(lifecycle(site(keep=7, untagged_days=3).aws.images))["rules"]
    assert [each["rulePriority"] for each in rules] == [1, 2]
    untagged, newest = (each["selection"] for each in rules)
    assert (untagged["tagStatus"], untagged["countNumber"], untagged["countUnit"]) == ("untagged", 3, "days")
    assert (newest["tagStatus"], newest["countType"], newest["countNumber"]) == ("any", "imageCountMoreThan", 7)


def test_a_registry_is_copied_under_a_prefix_of_the_deployment() -> None:
    graph, _ = made(site())
    rules = {each.name: each for each in graph.of("aws:ecr/pullThroughCacheRule:PullThroughCacheRule")}
    assert {each.inputs["upstreamRegistryUrl"] for each in rules.values()} == {
        "public.ecr.aws",
        "registry.k8s.io",
        "quay.io",
    }
    for name, rule in rules.items():
        template = graph.one("aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate", name)
        assert template.inputs["prefix"] == rule.inputs["ecrRepositoryPrefix"]
        assert "012345" in template.inputs["prefix"]
        # What is copied before its template is there stays as it is, unencrypted by our key.
        assert template.key in rule.depends_on
        assert template.inputs["encryptionConfigurations"] == [{"encryptionType": "KMS", "kmsKey": KEY}]
        assert template.inputs["imageTagMutability"] == "MUTABLE"
        assert template.inputs["resourceTags"]["mlplat:deployment"] == "0123456789abcdef"


def test_a_registry_that_asks_who_one_is_is_told_by_a_secret() -> None:
    graph, _ = made(site(**HUB))
    rule = graph.one("aws:ecr/pullThroughCacheRule:PullThroughCacheRule").inputs
    assert rule["credentialArn"] == CREDENTIALS
    assert rule["upstreamRegistryUrl"] == "registry-1.docker.io"


def test_no_copies_make_no_role() -> None:
    graph, _ = made(site(pull_through=[]))
    assert not graph.of("aws:iam/role:Role")
    assert pulls(site(pull_through=[])) == []


def test_the_role_that_makes_repositories_reaches_the_copies_alone() -> None:
    graph, _ = made(site(pull_through=["quay.io"]))
    create, encrypt = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    assert create["Resource"] == ["arn:aws:ecr:eu-west-1:111122223333:repository/mlplat-dev-012345-quay/*"]
    assert encrypt["Resource"] == [KEY]
    assert encrypt["Condition"] == {"StringEquals": {"kms:ViaService": "ecr.eu-west-1.amazonaws.com"}}
    role = graph.one("aws:iam/role:Role").inputs
    assert role["permissionsBoundary"].endswith("policy/boundary")
    [trust] = json.loads(role["assumeRolePolicy"])["Statement"]
    # ECR is not documented to name the account: it must not be another, and need not be there.
    assert trust["Condition"] == {"StringEqualsIfExists": {"aws:SourceAccount": "111122223333"}}


def test_nodes_fill_the_copies_and_no_other_repository() -> None:
    [statement] = pulls(site(pull_through=["quay.io", "registry.k8s.io"]))
    assert set(statement.actions) == {"ecr:BatchImportUpstreamImage", "ecr:CreateRepository"}
    assert [str(each).rpartition(":")[2] for each in statement.resources] == [
        "repository/mlplat-dev-012345-quay/*",
        "repository/mlplat-dev-012345-k8s/*",
    ]


@pytest.mark.parametrize(
    ("image", "copy"),
    [
        ("registry.k8s.io/pause:3.10", "mlplat-dev-012345-k8s/pause:3.10"),
        ("quay.io/argoproj/argoexec:v4", "mlplat-dev-012345-quay/argoproj/argoexec:v4"),
        ("public.ecr.aws/karpenter/controller@sha256:0", "mlplat-dev-012345-aws/karpenter/controller@sha256:0"),
        ("docker.io/postgres:17", "mlplat-dev-012345-hub/library/postgres:17"),
        ("docker.io/envoyproxy/envoy:v1", "mlplat-dev-012345-hub/envoyproxy/envoy:v1"),
    ],
)
def test_a_copy_has_the_address_that_its_rule_answers(image: str, copy: str) -> None:
    where = site(
        pull_through=["registry.k8s.io", "quay.io", "public.ecr.aws", "docker.io"],
        credentials={"docker.io": CREDENTIALS},
    )
    assert cached(where, image) == f"{registry(where)}/{copy}"


@pytest.mark.parametrize("image", ["ghcr.io/mlflow/mlflow:3", "nvcr.io/nvidia/k8s/dcgm-exporter:4", "postgres:17"])
def test_an_image_that_is_not_copied_keeps_its_address(image: str) -> None:
    assert cached(site(), image) == image


@pytest.mark.parametrize("upstream", SHORT)
@pytest.mark.parametrize("platform", ["m", "p" * 63])
def test_a_prefix_has_no_more_signs_than_ecr_takes(upstream: Any, platform: str) -> None:
    found = prefix(site(platform=platform), upstream)
    assert 2 <= len(found) <= 30
    assert "012345" in found


def test_registries_are_those_that_ecr_copies() -> None:
    """NVIDIA's is none of them, though images come from there."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", "AWS::ECR::PullThroughCacheRule").schema
    known = set(schema["definitions"]["UpstreamRegistry"]["enum"])
    kinds = {
        "public.ecr.aws": "ecr-public",
        "registry.k8s.io": "k8s",
        "quay.io": "quay",
        "ghcr.io": "github-container-registry",
        "docker.io": "docker-hub",
    }
    assert set(kinds) == set(SHORT)
    assert set(kinds.values()) <= known
    assert not any("nvidia" in each or "nvcr" in each for each in known)
    assert set(ADDRESSES) <= set(SHORT)


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_where_ecr_copies_nothing_it_is_said_before_anything_is_made(region: str) -> None:
    with pytest.raises(RefusedError, match=region) as caught:
        refuse_elsewhere(site(region=region))
    assert "pull_through: []" in (caught.value.hint or "")


def test_the_registry_in_china_has_its_own_name() -> None:
    assert registry(site(region="cn-north-1")).endswith(".amazonaws.com.cn")
