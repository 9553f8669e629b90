"""Who runs on the cluster, and what each may do in the account: values, without a resource.

A team's rights are of two kinds: `pipeline` reads and writes what is the team's, `serving` reads its models and
features and adds to its prediction log. What is a team's lies in each bucket under the team's own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlplat.errors import UsageError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import grants
from mlplat.targets.aws.grants import Wiring
from mlplat.targets.aws.iam import Statement
from mlplat.targets.kubernetes.addons import monitoring

PLATFORM = "mlplat"
"""Namespace of the platform's own services."""
RESERVED = {PLATFORM, "default", "karpenter", "kube-node-lease", "kube-public", "kube-system"}
"""Namespaces that no team can be called after."""
TEAM_WORKLOADS = ("pipeline", "serving")


@dataclass(frozen=True)
class Workload:
    """One service account, and what its pods may do."""

    namespace: str
    service_account: str
    statements: tuple[Statement, ...]
    about: str

    @property
    def key(self) -> str:
        """Return what its role is known by: `tracking`, or `flights-pipeline` for a team's."""
        own = self.namespace == PLATFORM
        return self.service_account if own else f"{self.namespace}-{self.service_account}"


def workloads(spec: PlatformSpec, wiring: Wiring) -> list[Workload]:
    """Return all of a platform's. Raises `UsageError` for a team that is called as a namespace of the cluster's own."""
    if taken := sorted(RESERVED & set(spec.teams)):
        raise UsageError(
            f"`teams.{taken[0]}`: the cluster has a namespace of that name", hint="give the team another name"
        )
    teams = [each for team in spec.teams for each in team_workloads(team, wiring)]
    return [*services(wiring), *watchers(spec, wiring), *teams]


def services(wiring: Wiring) -> list[Workload]:
    """Return the platform's own services."""
    made: Mapping[str, tuple[str, tuple[Statement, ...]]] = {
        "tracking": (
            "MLflow keeps artifacts for all teams",
            (*grants.bucket(wiring, "artifacts", write=True), grants.data_key(wiring, "s3")),
        ),
        "features": (
            "Feast's registry and its materialisation",
            (
                *grants.bucket(wiring, "features", write=True),
                *grants.bucket(wiring, "data"),
                grants.data_key(wiring, "s3"),
                *(grants.online_owner(wiring) if wiring.online == "valkey" else ()),
            ),
        ),
        "pipelines": (
            "Workflows keep what steps hand on, and their logs",
            (*grants.bucket(wiring, "pipelines", write=True), grants.data_key(wiring, "s3")),
        ),
        "controller": (
            "The controller reads models and published code, publishes models to servers, and clears old predictions",
            (
                *grants.bucket(wiring, "artifacts"),
                *grants.bundles(wiring),
                *grants.log_keeper(wiring),
                *grants.bucket(wiring, "pipelines"),
                grants.data_key(wiring, "s3"),
            ),
        ),
        "external-secrets": ("Secrets of the platform's path, for the cluster", grants.secrets_reader(wiring)),
        "databases": ("The job that makes databases and users", grants.databases(wiring)),
        **(
            {
                "online": (
                    "The feature server keeps values in tables",
                    (grants.data_key(wiring, "dynamodb"), *grants.online_owner(wiring)),
                ),
                "tables": ("The job that gives those tables key and recovery", grants.tables(wiring)),
            }
            if wiring.online == "dynamodb"
            else {}
        ),
    }
    return [Workload(PLATFORM, name, statements, about) for name, (about, statements) in made.items()]


def watchers(spec: PlatformSpec, wiring: Wiring) -> list[Workload]:
    """Return what tells people of alerts by a topic; nobody, where no receiver of the stack is one."""
    on = spec.kubernetes
    topics = {each.topic for each in on.monitoring.receivers.values() if each.kind == "sns"}
    if on.addons.monitoring != "install" or not topics:
        return []
    granted = grants.alerts(wiring, sorted(topics, key=str))
    return [Workload(monitoring.NAMESPACE, monitoring.ALERTS_ACCOUNT, granted, "Alertmanager tells people by a topic")]


def team_workloads(team: str, wiring: Wiring) -> list[Workload]:
    """Return what one team runs."""
    pipeline = (
        *(each for kind in grants.TEAM_BUCKETS for each in grants.prefix(wiring, kind, team, write=True)),
        *grants.events(wiring),
        grants.data_key(wiring, *team_services(wiring)),
        *grants.online_writer(wiring, team),
    )
    serving = (
        *grants.prefix(wiring, "artifacts", team),
        *grants.prefix(wiring, "features", team),
        *grants.prediction_log(wiring, team),
        grants.data_key(wiring, *team_services(wiring)),
        *grants.online_reader(wiring, team),
    )
    return [
        Workload(team, "pipeline", pipeline, f"Pipelines of the team {team}"),
        Workload(team, "serving", serving, f"Model servers of the team {team}"),
    ]


def team_services(wiring: Wiring) -> list[str]:
    """Return the services by way of which a team uses the key of data."""
    return ["s3", "dynamodb"] + (["kinesis"] if wiring.stream_arn is not None else [])
