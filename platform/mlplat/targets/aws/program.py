"""The AWS target as a program: one stack for all of it, or one for the foundation and one for what stands on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pulumi
import pulumi_aws as aws

from mlplat.contracts import ClusterFoundation
from mlplat.errors import RefusedError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import cost
from mlplat.targets.aws.compute import Compute
from mlplat.targets.aws.foundation import Provisioned, provision
from mlplat.targets.aws.site import Site

FOUNDATION = "foundation"
"""Output by which another stack takes the foundation."""
NO_DEFAULTS = "disable-default-providers"
DELETING = "mlplat:deleting"
"""Config of a stack that `mlplat down --delete-data` is about to end: nothing in it is protected any more."""


def declare(spec: PlatformSpec, stack: str, identity: str | None) -> Mapping[str, Any]:
    """Declare a stack; return its outputs. Raises `RefusedError` where a guard says no."""
    refuse_default_providers(stack)
    cost.refuse_over_cap(spec)
    site = Site.of(spec, stack, identity, deleting=is_deleting())
    if spec.foundation.stack:
        stood_on = taken(spec.foundation.stack)
        install(spec, site, Provisioned(stood_on, []))
        return {}
    opts = pulumi.ResourceOptions(providers=[provider(site)])
    made = provision(spec, site=site, opts=opts)
    if not spec.foundation.only:
        install(spec, site, made)
    # Not `asdict`: it copies, and an output cannot be copied.
    return {FOUNDATION: {each.name: getattr(made.foundation, each.name) for each in fields(ClusterFoundation)}}


def provider(site: Site) -> aws.Provider:
    """Return the one provider of a site: its account and region, whatever profile the environment names."""
    return aws.Provider(
        "aws",
        region=site.region,
        allowed_account_ids=[site.account],
        default_tags={"tags": site.tags()},
    )


def install(spec: PlatformSpec, site: Site, on: Provisioned) -> None:
    """Declare what stands on the foundation's cluster."""
    Compute(
        "compute",
        spec,
        site=site,
        foundation=on.foundation,
        admin=on.foundation.cluster_admin,
        key=on.foundation.disk_key,
        opts=pulumi.ResourceOptions(depends_on=on.ready),
    )


def taken(stack: str) -> ClusterFoundation:
    """Return the foundation that another stack of this project exports, its leaves unread."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
    found = pulumi.StackReference("foundation", stack_name=name).require_output(FOUNDATION)
    return ClusterFoundation(**{each.name: _leaf(found, each.name) for each in fields(ClusterFoundation)})


def _leaf(found: pulumi.Output[Any], name: str) -> pulumi.Output[Any]:
    # The engine keeps no output that is null, such as a stream where there is none.
    return found.apply(lambda values: values.get(name))


def is_deleting() -> bool:
    """Tell whether the stack is about to be ended with its data."""
    namespace, _, key = DELETING.partition(":")
    return pulumi.Config(namespace).get_bool(key) or False


def refuse_default_providers(stack: str) -> None:
    """Raise `RefusedError` for a stack whose resources could fall to a profile that happens to be set."""
    written = json.loads(pulumi.Config("pulumi").get(NO_DEFAULTS) or "[]")
    if "*" not in written:
        raise RefusedError(
            f"the stack `{stack}` lets the engine choose credentials that the environment happens to have",
            hint=f'write `pulumi:{NO_DEFAULTS}: ["*"]` under `config` in its stack file',
        )
