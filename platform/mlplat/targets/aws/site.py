"""Where an AWS platform stands and what its things are called: handed to every component, asked of nobody.

Every physical name holds the first signs of the deployment's id, so that two deployments in one account and region
never meet in one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mlplat.errors import RefusedError
from mlplat.spec.aws import AwsSpec
from mlplat.spec.platform import PlatformSpec

ID_SIGNS = 6
HASH_SIGNS = 6
TAG = "mlplat:deployment"
"""Tag by which `mlplat aws leftovers` finds whatever a deployment has made."""


@dataclass(frozen=True)
class Site:
    """One deployment of a platform in one account and region."""

    platform: str
    stack: str
    deployment: str
    """The deployment's id, as the stack file names it."""
    aws: AwsSpec
    owner: str | None = None
    deleting: bool = False
    """Whether the stack is about to be ended with its data, so that nothing is protected any more."""

    @classmethod
    def of(cls, spec: PlatformSpec, stack: str, deployment: str | None, *, deleting: bool = False) -> Site:
        """Return a stack's site. Raises `RefusedError` for one that has no id yet."""
        if not deployment:
            raise RefusedError(
                f"the stack `{stack}` has no deployment id, from which everything takes its name",
                hint="`mlplat up` writes one; for plain `pulumi up`, run `mlplat state init` first",
            )
        if spec.aws is None:
            raise RefusedError(f"the stack `{stack}` says nothing of an account", hint="`mlplat explain aws`")
        return cls(spec.name, stack, deployment, spec.aws, spec.owner, deleting)

    @property
    def account(self) -> str:
        """Return the account, 12 digits."""
        return self.aws.account

    @property
    def region(self) -> str:
        """Return the region."""
        return self.aws.region

    @property
    def protected(self) -> bool:
        """Tell whether what holds data must not be deleted."""
        return self.aws.protected and not self.deleting

    @property
    def base(self) -> str:
        """Return what every name begins with."""
        return f"{self.platform}-{self.stack}-{self.deployment[:ID_SIGNS]}"

    def name(self, *parts: str, limit: int = 63) -> str:
        """Return a physical name of at most `limit` characters; a longer one is cut, and ends with a hash of it all."""
        text = "-".join([self.base, *parts])
        if len(text) <= limit:
            return text
        mark = hashlib.sha256(text.encode()).hexdigest()[:HASH_SIGNS]
        # The id stays whole: by it the names of two deployments differ even before the hash.
        tail = f"-{self.deployment[:ID_SIGNS]}-{mark}"
        return f"{text[: limit - len(tail)].rstrip('-')}{tail}"

    @property
    def registry(self) -> str:
        """Return the address of the account's image registry in the region."""
        return f"{self.account}.dkr.ecr.{self.region}.{self.aws.dns_suffix}"

    def path(self, *parts: str) -> str:
        """Return a name with slashes, for secrets, parameters and repositories."""
        return "/".join(["mlplat", self.base, *parts])

    def tags(self, component: str | None = None) -> dict[str, str]:
        """Return the tags of everything, or of one component's things."""
        return {
            TAG: self.deployment,
            "mlplat:platform": self.platform,
            "mlplat:stack": self.stack,
            "mlplat:environment": self.aws.environment,
            **({"mlplat:owner": self.owner} if self.owner else {}),
            **({"mlplat:component": component} if component else {}),
        }

    def arn(self, service: str, resource: str, *, region: bool = True, account: bool = True) -> str:
        """Return an ARN in this account and region; S3 has neither, IAM no region."""
        place = f"{self.region if region else ''}:{self.account if account else ''}"
        return f"arn:{self.aws.partition}:{service}:{place}:{resource}"
