"""When nobody works, nothing stands: what goes to sleep in the evening, when, and what wakes it.

In the evening the pools go first, while the controller that takes their nodes away still runs (`nightjobs`); half an
hour later EventBridge Scheduler takes the system nodes away and stops the database. In the morning it starts both at
once, and the pools open as soon as there is a node again. All of it is by the wall clock of one time zone: a change of
summer time moves it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pulumi
import pulumi_aws as aws

from mlplat.errors import UsageError
from mlplat.spec.aws import AwsSpec
from mlplat.spec.aws.cluster import NightsSpec, SystemNodesSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document, trusted
from mlplat.targets.aws.site import Site

DRAIN_MINUTES = 30
"""Between the pools' end and the system nodes'; a node of a pool waits a shorter time (`pools.EVENING_GRACE`)."""
DAY_MINUTES = 24 * 60
LIMIT = 64

Step = Literal["pools_close", "nodes_leave", "nodes_return", "pools_open"]


@dataclass(frozen=True)
class Moment:
    """A time of day that comes back."""

    hour: int
    minute: int
    weekdays_only: bool

    def scheduler(self) -> str:
        """Return it as EventBridge Scheduler writes it."""
        days = "? * MON-FRI *" if self.weekdays_only else "* * ? *"
        return f"cron({self.minute} {self.hour} {days})"

    def cron(self) -> str:
        """Return it as Kubernetes writes it."""
        return f"{self.minute} {self.hour} * * {'1-5' if self.weekdays_only else '*'}"


def moments(nights: NightsSpec) -> dict[Step, Moment]:
    """Return when each step comes.

    The evening comes every day, also at weekends: somebody may have woken it on a Saturday. With `weekends`, the
    morning comes from Monday to Friday only.
    """
    down, up = _minutes(nights.down), _minutes(nights.up)
    return {
        "pools_close": _moment(down, weekdays_only=False),
        "nodes_leave": _moment(down + DRAIN_MINUTES, weekdays_only=False),
        "nodes_return": _moment(up, weekdays_only=nights.weekends),
        "pools_open": _moment(up, weekdays_only=nights.weekends),
    }


def check(spec: AwsSpec) -> None:
    """Raise `UsageError` for nights of what must answer at night, and for times that leave no night."""
    nights = spec.cluster.nights
    if nights is None:
        return
    if spec.environment == "prod":
        raise UsageError(
            "`aws.cluster.nights` would end production every evening", hint="leave it out, or change `environment`"
        )
    if (_minutes(nights.up) - _minutes(nights.down)) % DAY_MINUTES <= DRAIN_MINUTES:
        raise UsageError(
            f"`aws.cluster.nights` leaves no night between {nights.down} and {nights.up}",
            hint=f"the nodes take {DRAIN_MINUTES} minutes to leave",
        )
    _check_zone(nights.time_zone)


def scaling(nodes: SystemNodesSpec, *, asleep: bool) -> dict[str, int]:
    """Return the sizes of the system nodes' group, as EKS takes them in the morning and in the evening."""
    return {"MinSize": 0, "MaxSize": nodes.max_size, "DesiredSize": 0 if asleep else nodes.size}


class Nights(Component):
    """Four schedules, and the role that may do just what they say."""

    def __init__(
        self,
        name: str,
        spec: AwsSpec,
        *,
        site: Site,
        cluster_name: str,
        group_name: str,
        database: pulumi.Input[str],
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`database` is its identifier. Raises `UsageError` where there must be no nights."""
        super().__init__("Nights", name, site, opts)
        check(spec)
        nights = spec.cluster.nights
        if nights is None:
            raise UsageError("there are no `aws.cluster.nights` to make")
        self.nights, self.key_arn = nights, key_arn
        self.group = aws.scheduler.ScheduleGroup(
            "nights", name=site.name("nights", limit=LIMIT), tags=self.tags, opts=self.child()
        )
        self.role, ready = self._role(cluster_name, group_name, database)
        when = moments(nights)
        nodes = {"ClusterName": cluster_name, "NodegroupName": group_name}
        for label, moment, action, values in (
            ("nodes-leave", when["nodes_leave"], "eks:updateNodegroupConfig", _sized(nodes, spec, asleep=True)),
            ("nodes-return", when["nodes_return"], "eks:updateNodegroupConfig", _sized(nodes, spec, asleep=False)),
            ("database-stops", when["nodes_leave"], "rds:stopDBInstance", {"DbInstanceIdentifier": database}),
            ("database-starts", when["nodes_return"], "rds:startDBInstance", {"DbInstanceIdentifier": database}),
        ):
            self._schedule(label, moment, action, values, ready)
        self.register_outputs({"group": self.group.name})

    def _schedule(
        self, label: str, moment: Moment, action: str, values: Mapping[str, Any], after: list[pulumi.Resource]
    ) -> None:
        aws.scheduler.Schedule(
            label,
            name=self.site.name(label, limit=LIMIT),
            group_name=self.group.name,
            schedule_expression=moment.scheduler(),
            schedule_expression_timezone=self.nights.time_zone,
            flexible_time_window={"mode": "OFF"},
            kms_key_arn=self.key_arn,
            target={
                "arn": f"arn:{self.site.aws.partition}:scheduler:::aws-sdk:{action}",
                "role_arn": self.role.arn,
                # Spelled as the SDK spells it: `ClusterName`, and `Db` where RDS itself writes `DB`.
                "input": pulumi.Output.json_dumps(values, sort_keys=True),
                "retry_policy": {"maximum_event_age_in_seconds": 3600, "maximum_retry_attempts": 5},
            },
            opts=self.child(depends_on=after),
        )

    def _role(
        self, cluster: str, group: str, database: pulumi.Input[str]
    ) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        site = self.site
        role = aws.iam.Role(
            "nights",
            name=site.name("nights", limit=LIMIT),
            description="Ends and starts system nodes and the database by the clock.",
            assume_role_policy=trusted(
                "scheduler.amazonaws.com",
                account=site.account,
                source=site.arn("scheduler", f"schedule-group/{site.name('nights', limit=LIMIT)}"),
            ),
            permissions_boundary=site.aws.identities.boundary,
            tags=self.tags,
            opts=self.child(),
        )
        instance = pulumi.Output.concat(site.arn("rds", "db:"), database)
        groups = site.arn("eks", f"nodegroup/{cluster}/{group}/*")
        via = {"StringEquals": {"kms:ViaService": f"scheduler.{site.region}.amazonaws.com"}}
        policy = aws.iam.RolePolicy(
            "nights",
            role=role.name,
            policy=document(
                Statement("Nodes", ["eks:UpdateNodegroupConfig"], [groups]),
                Statement("Database", ["rds:StopDBInstance", "rds:StartDBInstance"], [instance]),
                Statement("OwnText", ["kms:Decrypt"], [pulumi.Output.from_input(self.key_arn)], via),
            ),
            opts=self.child(),
        )
        return role, [policy]


def _sized(names: Mapping[str, str], spec: AwsSpec, *, asleep: bool) -> dict[str, Any]:
    return {**names, "ScalingConfig": scaling(spec.cluster.system_nodes, asleep=asleep)}


def _minutes(time: str) -> int:
    hour, _, minute = time.partition(":")
    return int(hour) * 60 + int(minute)


def _moment(minutes: int, *, weekdays_only: bool) -> Moment:
    hour, minute = divmod(minutes % DAY_MINUTES, 60)
    return Moment(hour, minute, weekdays_only)


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except ZoneInfoNotFoundError as error:
        raise UsageError(
            f"`aws.cluster.nights.time_zone` is no time zone: {name}", hint="write one such as `Europe/Berlin`"
        ) from error
