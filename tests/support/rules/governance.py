"""Rules on the trail, on schedules, and on who acts for whom."""

from __future__ import annotations

import json
import re
import zoneinfo

from capture import Graph
from rules.base import (
    Found,
    ancestors,
    at,
    aws,
    kind,
    named,
    place,
    rule,
    services,
    statements,
)


@rule
def confused_deputies_are_refused(graph: Graph) -> Found:
    """A service that acts for anybody is admitted to a topic, queue or bucket only on behalf of this account."""
    for each in aws(graph, "sns.TopicPolicy", "sqs.QueuePolicy", "s3.BucketPolicy"):
        for found in statements(each):
            condition = json.dumps(found.get("Condition", {}))
            if services(found) and not re.search(
                r"aws:Source(Account|Arn)|aws:PrincipalOrgID", condition, re.IGNORECASE
            ):
                yield each.key, f"admits `{services(found)[0]}` on anybody's behalf"


FIELD = r"(\*|\?|[\dA-Z,*/#LW-]+)"
CRON = re.compile(rf"cron\({FIELD} {FIELD} {FIELD} {FIELD} {FIELD} {FIELD}\)")
RATE = re.compile(r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)")


@rule
def schedules_are_legal(graph: Graph) -> Found:
    """AWS's cron has six fields, and one of day of month and day of week is `?`; Kubernetes' has five."""
    for each in graph:
        for path in ("scheduleExpression", "schedule"):
            text = each.inputs.get(path)
            if each.type.startswith("aws:") and isinstance(text, str) and not _is_schedule(text):
                yield each.key, f"{text!r} is no schedule"
        for written in each.inputs.get("rules", []) if each.type == kind("backup.Plan") else []:
            if not _is_schedule(str(written.get("schedule"))):
                yield each.key, f"{written.get('schedule')!r} is no schedule"
        if each.type.startswith("kubernetes:") and each.type.endswith(":CronJob"):
            text = str(at(each.inputs, "spec.schedule"))
            if len(text.split()) != 5:
                yield each.key, f"{text!r} is no schedule of Kubernetes"


def _is_schedule(text: str) -> bool:
    if RATE.fullmatch(text) or re.fullmatch(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)", text):
        return True
    if not CRON.fullmatch(text):
        return False
    minute, hour, day, month, weekday, _ = text.removeprefix("cron(").removesuffix(")").split()
    numbers = {minute: 59, hour: 23, day: 31, month: 12}
    if any(int(number) > most for field, most in numbers.items() for number in re.findall(r"\d+", field)):
        return False
    return (day == "?") != (weekday == "?")


@rule
def time_zones_exist(graph: Graph) -> Found:
    """A schedule in a zone that nobody knows is refused, or runs at another hour."""
    for each in graph:
        for path in ("scheduleExpressionTimezone", "spec.timeZone"):
            zone = at(each.inputs, path)
            if zone is not None and zone not in zoneinfo.available_timezones():
                yield each.key, f"{zone!r} is no time zone"


@rule
def production_never_sleeps(graph: Graph) -> Found:
    """Nothing outside `dev` and `staging` is switched off at night."""
    if place(graph).tags["mlplat:environment"] == "prod":
        for each in aws(graph, "scheduler.Schedule"):
            yield each.key, "switches production off"


@rule
def trail_is_whole(graph: Graph) -> Found:
    """The trail sees every region, proves that it is whole, and finds its bucket open to it when it is made."""
    before = ancestors(graph)
    for each in aws(graph, "cloudtrail.Trail"):
        for switch in ("isMultiRegionTrail", "enableLogFileValidation", "includeGlobalServiceEvents"):
            if each.inputs.get(switch, switch.startswith("include")) is not True:
                yield each.key, f"`{switch}` is off"
        bucket = named(graph, each.inputs.get("s3BucketName"), "s3.Bucket")
        policies = [made for made in aws(graph, "s3.BucketPolicy") if bucket & named(graph, made.inputs, "s3.Bucket")]
        admitted = {service for made in policies for found in statements(made) for service in services(found)}
        if "cloudtrail.amazonaws.com" not in admitted:
            yield each.key, "may not write to its bucket"
        for policy in policies:
            if policy.key not in before(each.key):
                yield each.key, f"does not wait for {policy.key}"


@rule
def runner_is_unprivileged(graph: Graph) -> Found:
    """The runner works inside the network, as nobody special, and ends."""
    for each in aws(graph, "codebuild.Project"):
        if at(each.inputs, "environment.privilegedMode"):
            yield each.key, "is privileged"
        if not each.inputs.get("vpcConfig"):
            yield each.key, "stands outside the network"
        if not 5 <= (each.inputs.get("buildTimeout") or 0) <= 2160:
            yield each.key, "may run for ever"
