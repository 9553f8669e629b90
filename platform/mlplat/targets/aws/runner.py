"""The runner: a CodeBuild project inside the network, which runs `mlplat up` where the cluster's API is private.

Its role has the policy that `mlplat aws policy` prints, what CodeBuild itself needs, and a way into the cluster. The
repository is a platform's: its `requirements.txt` pins mlplat. One that is not public needs the account's connection to
its host (CodeBuild's source credentials), which a person makes once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.governance import RunnerSpec
from mlplat.targets.aws.cluster import ADMIN_POLICY, Cluster, admin_role
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document, trusted
from mlplat.targets.aws.logs import retention
from mlplat.targets.aws.network import Network
from mlplat.targets.aws.site import Site

HTTPS = 443
IMAGE = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
PYTHON = "3.12"
SOURCES = {"bitbucket.org": "BITBUCKET", "github.com": "GITHUB", "gitlab.com": "GITLAB"}
QUEUED_MINUTES = 60


class Runner(Component):
    """A project that brings a stack up; nothing where the spec does not ask for one."""

    def __init__(
        self,
        name: str,
        spec: RunnerSpec,
        *,
        site: Site,
        network: Network,
        cluster: Cluster,
        key_arn: pulumi.Input[str],
        logs_key_arn: pulumi.Input[str] | None = None,
        policy_documents: Sequence[pulumi.Input[str]] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Runner", name, site, opts)
        self.spec = spec
        self.key_arn = key_arn
        self.project: aws.codebuild.Project | None = None
        if spec.enabled and spec.repository:
            logs = self._logs(logs_key_arn)
            access = self._access(network, cluster)
            role, rights = self._role(network, access, logs, policy_documents)
            self._entry(cluster, role)
            self.project = self._project(spec.repository, network, access, logs, role, rights)
        self.register_outputs({"project": self.project.name if self.project else None})

    def _logs(self, key_arn: pulumi.Input[str] | None) -> aws.cloudwatch.LogGroup:
        return aws.cloudwatch.LogGroup(
            "runner",
            name=f"/aws/codebuild/{self.site.name('runner')}",
            retention_in_days=retention(self.site.aws.audit.log_days),
            kms_key_id=key_arn,
            tags=self.named("runner"),
            opts=self.child(),
        )

    def _access(self, network: Network, cluster: Cluster) -> aws.ec2.SecurityGroup:
        group = aws.ec2.SecurityGroup(
            "runner",
            name=self.site.name("runner"),
            description="The runner: it reaches out, nobody reaches it",
            vpc_id=network.vpc_id,
            tags=self.named("runner"),
            opts=self.child(),
        )
        aws.vpc.SecurityGroupEgressRule(
            "runner",
            security_group_id=group.id,
            description="HTTPS: AWS, the repository, packages, the cluster",
            cidr_ipv4="0.0.0.0/0",
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            tags=self.named("runner"),
            opts=self.child(),
        )
        aws.vpc.SecurityGroupIngressRule(
            "runner",
            security_group_id=cluster.security_group_id,
            description="API of the cluster, from the runner",
            referenced_security_group_id=group.id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            tags=self.named("runner"),
            opts=self.child(),
        )
        return group

    def _role(
        self,
        network: Network,
        access: aws.ec2.SecurityGroup,
        logs: aws.cloudwatch.LogGroup,
        policies: Sequence[pulumi.Input[str]],
    ) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        role = aws.iam.Role(
            "runner",
            name=self.site.name("runner", limit=64),
            description="The runner brings the platform up with it",
            assume_role_policy=trusted("codebuild.amazonaws.com", account=self.site.account),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.named("runner"),
            opts=self.child(),
        )
        own = aws.iam.RolePolicy(
            "runner",
            name="codebuild",
            role=role.name,
            policy=document(*self._statements(network, access, logs)),
            opts=self.child(),
        )
        attached = [self._deployer(number, text, role) for number, text in enumerate(policies, start=1)]
        return role, [own, *attached]

    def _deployer(self, number: int, text: pulumi.Input[str], role: aws.iam.Role) -> aws.iam.RolePolicyAttachment:
        # Inline they would not fit: a role's inline policies together have 10,240 signs.
        policy = aws.iam.Policy(
            f"deployer-{number}",
            name=self.site.name("deployer", str(number)),
            description="What bringing the platform up needs",
            policy=text,
            tags=self.named(f"deployer-{number}"),
            opts=self.child(),
        )
        return aws.iam.RolePolicyAttachment(
            f"deployer-{number}", role=role.name, policy_arn=policy.arn, opts=self.child()
        )

    def _statements(
        self, network: Network, access: aws.ec2.SecurityGroup, logs: aws.cloudwatch.LogGroup
    ) -> list[Statement]:
        site = self.site
        interfaces = site.arn("ec2", "network-interface/*")
        subnets = [
            pulumi.Output.from_input(each).apply(lambda found: site.arn("ec2", f"subnet/{found}"))
            for each in network.private_subnet_ids
        ]
        place = {"ArnEquals": {"ec2:Subnet": subnets}}
        service = {"StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"}}
        statements = [
            Statement("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.format("{0}:*", logs.arn)]),
            Statement(
                "Look",
                [
                    "ec2:DescribeDhcpOptions",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcs",
                ],
            ),
            Statement("Plug", ["ec2:CreateNetworkInterface"], [interfaces, *subnets, access.arn]),
            Statement("Hand", ["ec2:CreateNetworkInterfacePermission"], [interfaces], {**place, **service}),
            Statement("Unplug", ["ec2:DeleteNetworkInterface"], [interfaces], place),
            Statement(
                "Key",
                ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
                [pulumi.Output.from_input(self.key_arn)],
            ),
        ]
        taken = admin_role(site)
        return [*statements, *([Statement("Enter", ["sts:AssumeRole"], [taken])] if taken else [])]

    def _entry(self, cluster: Cluster, role: aws.iam.Role) -> None:
        """Let the runner into the cluster by its own role, where the spec names who else may."""
        if admin_role(self.site):
            return
        entry = aws.eks.AccessEntry(
            "runner",
            cluster_name=cluster.resource.name,
            principal_arn=role.arn,
            type="STANDARD",
            tags=self.named("runner"),
            opts=self.child(),
        )
        aws.eks.AccessPolicyAssociation(
            "runner",
            cluster_name=cluster.resource.name,
            principal_arn=entry.principal_arn,
            policy_arn=f"arn:{self.site.aws.partition}:eks::aws:cluster-access-policy/{ADMIN_POLICY}",
            access_scope={"type": "cluster"},
            opts=self.child(),
        )

    def _project(
        self,
        repository: str,
        network: Network,
        access: aws.ec2.SecurityGroup,
        logs: aws.cloudwatch.LogGroup,
        role: aws.iam.Role,
        rights: Sequence[pulumi.Resource],
    ) -> aws.codebuild.Project:
        stack = self.spec.stack or self.site.stack
        return aws.codebuild.Project(
            "runner",
            name=self.site.name("runner"),
            description=f"`mlplat up -s {stack}`, inside the network",
            service_role=role.arn,
            source={
                "type": SOURCES[urlsplit(repository).hostname or ""],
                "location": repository,
                "git_clone_depth": 1,
                "buildspec": buildspec(stack),
            },
            source_version=self.spec.branch,
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "compute_type": "BUILD_GENERAL1_SMALL",
                "image": IMAGE,
                "image_pull_credentials_type": "CODEBUILD",
                # It builds no images, and so needs no Docker and not the rights of its host.
                "privileged_mode": False,
            },
            vpc_config={
                "vpc_id": network.vpc_id,
                "subnets": network.private_subnet_ids,
                "security_group_ids": [access.id],
            },
            encryption_key=self.key_arn,
            logs_config={"cloudwatch_logs": {"status": "ENABLED", "group_name": logs.name}},
            build_timeout=self.spec.minutes,
            queued_timeout=QUEUED_MINUTES,
            # Two at once would only wait for each other's lock.
            concurrent_build_limit=1,
            tags=self.named("runner"),
            # CodeBuild tries role and subnets at once.
            opts=self.child(depends_on=[*rights, *network.ready]),
        )


def buildspec(stack: str) -> str:
    """Return what CodeBuild does: install what the repository pins, and bring a stack up. JSON is YAML to it."""
    phases = {
        "install": {
            "runtime-versions": {"python": PYTHON},
            "commands": ["python -m venv .venv", ".venv/bin/pip install --quiet --requirement requirements.txt"],
        },
        "build": {"commands": [f".venv/bin/mlplat doctor -s {stack}", f".venv/bin/mlplat up -s {stack} --yes"]},
    }
    return json.dumps({"version": 0.2, "env": {"variables": {"NO_COLOR": "1"}}, "phases": phases}, indent=2)
