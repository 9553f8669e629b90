"""The platform's own KMS keys, one for each purpose, and who may use each.

Whoever belongs to the account uses a key by its own IAM policy, which says through which service (`kms:ViaService`);
a key's policy adds the AWS services that come with no role of ours. Keys are kept with what they encrypt: a bucket
whose key is gone is lost.
"""

from __future__ import annotations

from typing import Literal, get_args

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.data import KeysSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.keypolicies import policy
from mlplat.targets.aws.site import Site

Purpose = Literal["cluster", "data", "database", "logs"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
DESCRIPTIONS: dict[Purpose, str] = {
    "cluster": "Secrets of the Kubernetes cluster and disks of its nodes",
    "data": "Buckets, images, tables, streams and secrets",
    "database": "PostgreSQL and the secret of its master user",
    "logs": "Logs, the audit trail and alerts",
}


def alias(site: Site, purpose: Purpose) -> str:
    """Return the name by which people find a purpose's key."""
    return f"alias/{site.name(purpose, limit=250)}"


class Keys(Component):
    """A key for each purpose, turned by AWS."""

    def __init__(self, name: str, spec: KeysSpec, *, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Keys", name, site, opts)
        self.keys: dict[str, aws.kms.Key] = {purpose: self._key(purpose, spec) for purpose in PURPOSES}
        self.register_outputs({purpose: key.arn for purpose, key in self.keys.items()})

    def arn(self, purpose: Purpose) -> pulumi.Output[str]:
        """Return the ARN of a purpose's key."""
        arn: pulumi.Output[str] = self.keys[purpose].arn
        return arn

    def _key(self, purpose: Purpose, spec: KeysSpec) -> aws.kms.Key:
        key = aws.kms.Key(
            purpose,
            description=f"{DESCRIPTIONS[purpose]} ({self.site.base})",
            deletion_window_in_days=spec.deletion_days,
            enable_key_rotation=True,
            rotation_period_in_days=spec.rotation_days,
            policy=policy(purpose, self.site),
            tags=self.named(self.site.name(purpose)),
            opts=self.kept(),
        )
        aws.kms.Alias(purpose, name=alias(self.site, purpose), target_key_id=key.key_id, opts=self.child())
        return key
