"""Copies of others' images: pulled by the account's own address, kept there from the first time on.

A node then starts while the registry that an image came from is down, limits it or has lost it. The first pull of an
image needs a way to the internet where it is asked for, even though ECR does the pulling: for an isolated network,
somebody outside of it has to pull each image once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from mlplat.errors import RefusedError
from mlplat.spec.aws.governance import ImagesSpec, Upstream
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document
from mlplat.targets.aws.site import Site

SHORT: Mapping[Upstream, str] = {
    "public.ecr.aws": "aws",
    "registry.k8s.io": "k8s",
    "quay.io": "quay",
    "ghcr.io": "ghcr",
    "docker.io": "hub",
}
"""Names of the registries in prefixes, which have 30 signs in all."""
ADDRESSES: Mapping[Upstream, str] = {"docker.io": "registry-1.docker.io"}
"""Where a registry answers, if not at the name that images have."""
OFFICIAL = "library"
"""Where Docker Hub keeps images whose names have one part."""
PREFIX_LIMIT = 30


def prefix(site: Site, upstream: Upstream) -> str:
    """Return what the repositories of a registry's copies begin with."""
    return site.name(SHORT[upstream], limit=PREFIX_LIMIT)


def cached(site: Site, image: str) -> str:
    """Return the address of an image's copy; the image's own where its registry is not copied."""
    from mlplat.targets.aws.images import registry

    host, _, rest = image.partition("/")
    found = next((each for each in site.aws.images.pull_through if each == host), None)
    if found is None:
        return image
    if found == "docker.io" and "/" not in rest:
        rest = f"{OFFICIAL}/{rest}"
    return f"{registry(site)}/{prefix(site, found)}/{rest}"


def pulls(site: Site) -> list[Statement]:
    """Return what a node's role needs for the first pull of an image, beside the rights to read what is there."""
    repositories = [site.arn("ecr", f"repository/{prefix(site, each)}/*") for each in site.aws.images.pull_through]
    fills = ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"]
    return [Statement("FillCache", fills, repositories)] if repositories else []


def refuse_elsewhere(site: Site) -> None:
    """Raise `RefusedError` in China and in GovCloud, where ECR copies nothing."""
    if site.aws.partition != "aws":
        raise RefusedError(
            f"`aws.images.pull_through`: ECR copies no images in {site.region}",
            hint="write `pull_through: []`, and nodes pull from where the images are",
        )


class ImageCache(Component):
    """A rule for each registry, and how the repositories that ECR makes for it are set."""

    def __init__(
        self,
        name: str,
        spec: ImagesSpec,
        *,
        site: Site,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("ImageCache", name, site, opts)
        role, policy = self._role(spec, key_arn)
        for upstream in spec.pull_through:
            template = self._template(upstream, spec, role, key_arn, policy)
            aws.ecr.PullThroughCacheRule(
                SHORT[upstream],
                ecr_repository_prefix=prefix(site, upstream),
                upstream_registry_url=ADDRESSES.get(upstream, upstream),
                credential_arn=spec.credentials.get(upstream),
                # A repository takes its settings when it is made, and never again: the template has to be first.
                opts=self.child(depends_on=[template]),
            )
        self.register_outputs({})

    def _template(
        self,
        upstream: Upstream,
        spec: ImagesSpec,
        role: aws.iam.Role,
        key_arn: pulumi.Input[str],
        policy: aws.iam.RolePolicy,
    ) -> aws.ecr.RepositoryCreationTemplate:
        return aws.ecr.RepositoryCreationTemplate(
            SHORT[upstream],
            prefix=prefix(self.site, upstream),
            description=f"Copies of {upstream}",
            applied_fors=["PULL_THROUGH_CACHE"],
            # Their tags move at the source, and a copy that cannot follow fails to be refreshed.
            image_tag_mutability="MUTABLE",
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": key_arn}],
            lifecycle_policy=_untagged(spec),
            custom_role_arn=role.arn,
            resource_tags=self.tags,
            opts=self.child(depends_on=[policy]),
        )

    def _role(self, spec: ImagesSpec, key_arn: pulumi.Input[str]) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        """Make the role by which ECR makes repositories: with a key or tags it takes one of the account's."""
        role = aws.iam.Role(
            "cache",
            name=self.site.name("image-cache", limit=64),
            description="Makes repositories for copies of images",
            assume_role_policy=_trust(self.site),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.tags,
            opts=self.child(),
        )
        made = [self.site.arn("ecr", f"repository/{prefix(self.site, each)}/*") for each in spec.pull_through]
        creates = ["ecr:CreateRepository", "ecr:ReplicateImage", "ecr:TagResource", "ecr:PutLifecyclePolicy"]
        through = {"StringEquals": {"kms:ViaService": f"ecr.{self.site.region}.amazonaws.com"}}
        encrypts = ["kms:CreateGrant", "kms:RetireGrant", "kms:DescribeKey"]
        granted = pulumi.Output.from_input(key_arn)
        policy = document(Statement("Create", creates, made), Statement("Encrypt", encrypts, [granted], through))
        return role, aws.iam.RolePolicy("cache", role=role.name, policy=policy, opts=self.child())


def _trust(site: Site) -> str:
    # If it says so: ECR is not documented to say on whose behalf it asks, and a role that it cannot take is no image on
    # any node.
    conditions = {"StringEqualsIfExists": {"aws:SourceAccount": site.account}}
    service = {"Service": "ecr.amazonaws.com"}
    made: str = document(Statement("Service", ["sts:AssumeRole"], (), conditions, service, own=True))
    return made


def _untagged(spec: ImagesSpec) -> str:
    # Only what no tag names any more: a copy of an old release may be what runs.
    selection = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": spec.untagged_days,
    }
    rule = {"rulePriority": 1, "description": "images without a tag", "selection": selection}
    return json.dumps({"rules": [{**rule, "action": {"type": "expire"}}]}, sort_keys=True)
