"""The name under which endpoints answer: a record that points to the load balancer which the gateway was given."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from mlplat.targets.aws.component import Component
from mlplat.targets.aws.site import Site
from mlplat.targets.kubernetes.objects import Declared

TTL_SECONDS = 60
"""A gateway that is made anew has another load balancer; for so long, some clients still ask the former."""


class EndpointName(Component):
    """A name in the platform's zone."""

    def __init__(
        self,
        label: str,
        name: str,
        *,
        site: Site,
        zone: Any,
        gateway: Declared,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`gateway` is awaited before: the address in its status is the load balancer's own name."""
        super().__init__("EndpointName", label, site, opts)
        aws.route53.Record(
            "endpoints",
            zone_id=zone,
            name=name,
            type="CNAME",
            ttl=TTL_SECONDS,
            records=[gateway.status["addresses"][0]["value"]],
            opts=self.child(),
        )
        self.register_outputs({"name": name})
