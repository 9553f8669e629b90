"""The names under which the platform answers, and the certificate for them.

A zone that the parent does not name answers nobody, and a certificate for it is never issued. So the certificate is
waited for only where the zone is known to answer: it was there already, its parent is told of it here, or the spec says
that somebody has told it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.governance import DomainSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.site import Site

AUTHORITIES = ("amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com")
"""Names under which AWS issues certificates."""
TTL_SECONDS = 300
DELEGATION_TTL_SECONDS = 3600


class Domain(Component):
    """A zone of Route 53, made or adopted, and a certificate for its name and all names in it."""

    def __init__(self, name: str, spec: DomainSpec, *, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Domain", name, site, opts)
        self.name: str = spec.name
        self.name_servers: pulumi.Output[Sequence[str]] | None = None
        """Servers that the parent zone has to name; None for a zone that is there already."""
        self._delegation: pulumi.Resource | None = None
        self.zone_id: pulumi.Input[str] = spec.zone_id or self._zone(spec)
        self.certificate_arn: pulumi.Output[str] = self._certificate(spec)
        self.register_outputs({"zone_id": self.zone_id, "certificate_arn": self.certificate_arn})

    def _zone(self, spec: DomainSpec) -> pulumi.Output[str]:
        zone = aws.route53.Zone(
            "zone",
            name=spec.name,
            comment=f"{self.site.base}: names of the platform",
            # Records that the cluster made would otherwise refuse the zone's end.
            force_destroy=not self.site.protected,
            tags=self.named(spec.name),
            # Another zone of the same name has other servers: whoever delegated to these would ask nobody.
            opts=self.kept(),
        )
        self.name_servers = zone.name_servers
        aws.route53.Record(
            "authorities",
            zone_id=zone.zone_id,
            name=spec.name,
            type="CAA",
            ttl=TTL_SECONDS,
            records=[f'0 {kind} "{each}"' for kind in ("issue", "issuewild") for each in AUTHORITIES],
            opts=self.child(),
        )
        if spec.parent_zone_id:
            self._delegation = aws.route53.Record(
                "delegation",
                zone_id=spec.parent_zone_id,
                name=spec.name,
                type="NS",
                ttl=DELEGATION_TTL_SECONDS,
                records=zone.name_servers,
                opts=self.child(),
            )
        zone_id: pulumi.Output[str] = zone.zone_id
        return zone_id

    def _certificate(self, spec: DomainSpec) -> pulumi.Output[str]:
        made = aws.acm.Certificate(
            "certificate",
            domain_name=spec.name,
            subject_alternative_names=[f"*.{spec.name}"],
            validation_method="DNS",
            tags=self.named(spec.name),
            opts=self.child(),
        )
        # The name and the wildcard are proved by one and the same record.
        proof = made.domain_validation_options[0]
        record = aws.route53.Record(
            "proof",
            zone_id=self.zone_id,
            name=proof.resource_record_name,
            type=proof.resource_record_type,
            records=[proof.resource_record_value],
            ttl=TTL_SECONDS,
            # The same for every certificate of the name in the account, so another one may have made it.
            allow_overwrite=True,
            opts=self.child(),
        )
        if not spec.answers:
            unproved: pulumi.Output[str] = made.arn
            return unproved
        waited = aws.acm.CertificateValidation(
            "certificate",
            certificate_arn=made.arn,
            validation_record_fqdns=[record.fqdn],
            opts=self.child(depends_on=[self._delegation] if self._delegation else []),
        )
        arn: pulumi.Output[str] = waited.certificate_arn
        return arn
