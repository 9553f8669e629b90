"""Secrets Manager: names for what people hand to the platform, never values.

A value that Pulumi wrote would stand in its state. So what is made here is empty, and a person or a job fills it. A
secret is named by a path, `mlplat/<deployment>/<name>`, below which the role of external-secrets may read. Credentials
of a registry are not here: ECR tries them when it makes its rule, so that they must be there, and full, before
(`images.credentials`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.governance import SecretsSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, Texts, document
from mlplat.targets.aws.site import Site

CONTAINERS: Mapping[str, str] = {
    "tracking-admin": 'Administrator of MLflow: {"username": "…", "password": "…"}',
    "webhooks": 'Where alerts go, address by channel: {"ml-platform": "https://…"}',
}
"""What the platform waits for, and its form."""


class Secrets(Component):
    """The platform's own secrets, empty."""

    def __init__(
        self,
        name: str,
        spec: SecretsSpec,
        *,
        site: Site,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Secrets", name, site, opts)
        self.spec = spec
        self.key_arn = key_arn
        self.prefix = site.path("")
        """What the name of every secret of the platform begins with, the slash included."""
        self.containers = {each: self._container(each, about) for each, about in CONTAINERS.items()}
        self.register_outputs({"prefix": self.prefix})

    def _container(self, name: str, about: str) -> aws.secretsmanager.Secret:
        made = aws.secretsmanager.Secret(
            name,
            name=self.site.path(name),
            description=about,
            kms_key_id=self.key_arn,
            recovery_window_in_days=self.spec.recovery_days,
            tags=self.named(name),
            opts=self.child(),
        )
        guard(self, name, made)
        return made


def guard(component: Component, name: str, secret: aws.secretsmanager.Secret) -> aws.secretsmanager.SecretPolicy:
    """Refuse whoever is of another account, or does not encrypt the way, whatever their own policies allow."""
    return aws.secretsmanager.SecretPolicy(
        name,
        secret_arn=secret.arn,
        policy=document(own_account_only(component.site, secret.arn), encrypted(secret.arn)),
        block_public_policy=True,
        opts=component.child(),
    )


def encrypted(arn: Texts) -> Statement:
    """Return the statement of a secret's own policy that refuses whoever does not encrypt the way to it."""
    only = {"Bool": {"aws:SecureTransport": "false"}}
    return Statement("TlsOnly", ["secretsmanager:*"], [arn], only, {"AWS": "*"}, effect="Deny", own=True)


def own_account_only(site: Site, arn: Texts) -> Statement:
    """Return the statement of a resource's own policy that refuses other accounts."""
    return Statement(
        "OwnAccountOnly",
        ["secretsmanager:*"],
        [arn],
        {"StringNotEquals": {"aws:PrincipalAccount": site.account}},
        {"AWS": "*"},
        effect="Deny",
        own=True,
    )
