"""Roles: one for each workload of the platform and two for each team, taken by its pods through EKS Pod Identity.

An association binds one namespace and service account to one role. It must be there before the pod starts: `ready`
is what workloads wait for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.database import Database
from mlplat.targets.aws.grants import Wiring
from mlplat.targets.aws.iam import document, pods
from mlplat.targets.aws.online import OnlineStore
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.stream import Stream
from mlplat.targets.aws.workloads import Workload, workloads

ROLE_LIMIT = 64


class Identities(Component):
    """Who may do what in the account, of those who run on the cluster."""

    def __init__(
        self,
        name: str,
        spec: PlatformSpec,
        *,
        site: Site,
        cluster_name: pulumi.Input[str],
        cluster_ready: Sequence[pulumi.Resource],
        buckets: Mapping[str, aws.s3.Bucket],
        data_key_arn: pulumi.Output[str],
        database: Database,
        online: OnlineStore,
        stream: Stream,
        alerts_arn: pulumi.Input[str],
        alerts_key_arn: pulumi.Output[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Identities", name, site, opts)
        wiring = Wiring(
            site,
            {kind: each.arn for kind, each in buckets.items()},
            data_key_arn,
            pulumi.Output.from_input(database.key_arn),
            database.master_secret_arn,
            [each.arn for each in database.applications.values()],
            online.kind,
            stream.stream.arn if stream.stream else None,
            pulumi.Output.from_input(alerts_arn),
            alerts_key_arn,
        )
        made = workloads(spec, wiring)
        self.roles = {each.key: self._role(each) for each in made}
        """Role by workload: `tracking`; a team's is `<team>-pipeline` or `<team>-serving`."""
        self.ready: list[pulumi.Resource] = [
            self._association(each, cluster_name, [*cluster_ready, self._rights(each)]) for each in made
        ]
        self.register_outputs({"roles": {key: role.arn for key, role in self.roles.items()}})

    def _role(self, workload: Workload) -> aws.iam.Role:
        return aws.iam.Role(
            workload.key,
            name=self.site.name(workload.key, limit=ROLE_LIMIT),
            description=workload.about,
            assume_role_policy=pods(),
            permissions_boundary=self.site.aws.identities.boundary,
            tags={**self.named(workload.key), "mlplat:namespace": workload.namespace},
            opts=self.child(),
        )

    def _rights(self, workload: Workload) -> aws.iam.RolePolicy:
        return aws.iam.RolePolicy(
            workload.key,
            name="rights",
            role=self.roles[workload.key].name,
            policy=document(*workload.statements),
            opts=self.child(),
        )

    def _association(
        self, workload: Workload, cluster_name: pulumi.Input[str], ready: Sequence[pulumi.Resource]
    ) -> aws.eks.PodIdentityAssociation:
        return aws.eks.PodIdentityAssociation(
            workload.key,
            cluster_name=cluster_name,
            namespace=workload.namespace,
            service_account=workload.service_account,
            role_arn=self.roles[workload.key].arn,
            tags=self.named(workload.key),
            opts=self.child(depends_on=list(ready)),
        )
