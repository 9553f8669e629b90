"""The AWS target as a program: one stack for all of it, or one for the foundation and one for what stands on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pulumi
import pulumi_aws as aws

from mlplat import services
from mlplat.contracts import ClusterFoundation
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import cost, layer
from mlplat.targets.aws.compute import Compute
from mlplat.targets.aws.endpointname import EndpointName
from mlplat.targets.aws.foundation import Provisioned, provision
from mlplat.targets.aws.site import Site
from mlplat.targets.kubernetes import images
from mlplat.targets.kubernetes.guards import refuse_default_providers
from mlplat.targets.kubernetes.install import Layer

FOUNDATION = "foundation"
"""Output by which another stack takes the foundation."""
DELETING = "mlplat:deleting"
"""Config of a stack that `mlplat down --delete-data` is about to end: nothing in it is protected any more."""


def declare(spec: PlatformSpec, stack: str, identity: str | None) -> Mapping[str, Any]:
    """Declare a stack; return its outputs. Raises `RefusedError` where a guard says no."""
    refuse_default_providers(stack)
    cost.refuse_over_cap(spec)
    site = Site.of(spec, stack, identity, deleting=is_deleting())
    if spec.foundation.stack:
        stood_on = taken(spec.foundation.stack)
        # A provider only where something is made with it: it would ask for the account's credentials for nothing.
        account = pulumi.ResourceOptions(providers=[provider(site)] if layer.endpoints(site) else [])
        install(spec, site, Provisioned(stood_on, []), account)
        return {}
    opts = pulumi.ResourceOptions(providers=[provider(site)])
    made = provision(spec, site=site, opts=opts)
    if not spec.foundation.only:
        install(spec, site, made, opts)
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


def install(spec: PlatformSpec, site: Site, on: Provisioned, opts: pulumi.ResourceOptions) -> None:
    """Declare what stands on the foundation's cluster; `opts` has the provider of the account."""
    compute = Compute(
        "compute",
        spec,
        site=site,
        foundation=on.foundation,
        admin=on.foundation.cluster_admin,
        key=on.foundation.disk_key,
        opts=pulumi.ResourceOptions(depends_on=on.ready),
    )
    told = layer.on_cluster(spec, site)
    made = Layer(
        "layer",
        told,
        ground=layer.ground(told, site, on.foundation, compute),
        services=services.on_cluster(told),
        setup=layer.setup(site),
        images=images.of_account(told, site.stack),
        references=layer.references(on.foundation, site),
    )
    layer.warn_unfound(site)
    named: list[pulumi.Resource] = []
    if (name := layer.endpoints(site)) and made.gateway and told.kubernetes.exposure.service == "load-balancer":
        zone = on.foundation.domain["zone"]
        named = [EndpointName("endpoints", name, site=site, zone=zone, gateway=made.gateway, opts=opts)]
    made.close([compute, *named])


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
