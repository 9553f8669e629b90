"""Container images: repositories of the platform and its projects, and copies of others' images.

Scanning and replication are settings of a whole account's registry, so they are left as they are: each repository says
for itself that it is scanned on push.
"""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.governance import ImagesSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.imagecache import ImageCache, refuse_elsewhere
from mlplat.targets.aws.site import Site

OWN = ("tracking", "features", "controller", "serving", "workflows")


def registry(site: Site) -> str:
    """Return the address of the account's registry in the region."""
    return site.registry


class Images(Component):
    """A repository for each image of the platform's own and for each project."""

    def __init__(
        self,
        name: str,
        spec: ImagesSpec,
        *,
        site: Site,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Images", name, site, opts)
        self.spec = spec
        self.registry: str = registry(site)
        self.repositories: dict[str, aws.ecr.Repository] = {
            each: self._repository(each, key_arn) for each in (*OWN, *(f"projects/{each}" for each in spec.projects))
        }
        """By what they hold: `tracking`, or `projects/<name>`."""
        if spec.pull_through:
            refuse_elsewhere(site)
            ImageCache("cache", spec, site=site, key_arn=key_arn, opts=self.child())
        self.register_outputs({"registry": self.registry})

    def _repository(self, each: str, key_arn: pulumi.Input[str]) -> aws.ecr.Repository:
        logical = each.replace("/", "-")
        made = aws.ecr.Repository(
            logical,
            name=self.site.path(*each.split("/")),
            # What a tag means never changes under whoever runs it.
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": key_arn}],
            force_delete=not self.site.protected,
            tags=self.named(self.site.path(*each.split("/"))),
            opts=self.kept(),
        )
        aws.ecr.LifecyclePolicy(logical, repository=made.name, policy=lifecycle(self.spec), opts=self.child())
        return made


def lifecycle(spec: ImagesSpec) -> str:
    """Return how long images of a repository stay, as ECR's JSON."""
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": spec.untagged_days,
    }
    # `any` has the last word by rule of ECR: the untagged ones of a push of several processors' images go first.
    newest = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": spec.keep}
    described = (("images without a tag", untagged), (f"all but the newest {spec.keep}", newest))
    rules = [
        {"rulePriority": number, "description": text, "selection": selection, "action": {"type": "expire"}}
        for number, (text, selection) in enumerate(described, start=1)
    ]
    return json.dumps({"rules": rules}, sort_keys=True)
