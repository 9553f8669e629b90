"""What can keep an `up` on AWS from ending well, looked at before it begins. Changes nothing.

Each check is its own line. One that could not be asked says so and is a fault: silence would look like a yes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from mlplat.errors import MlplatError
from mlplat.spec.aws import AwsSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import cost, leftbehind, offerings, quotas, reachability, rights, session
from mlplat.targets.aws.site import Site
from mlplat.targets.findings import Finding

if TYPE_CHECKING:
    import boto3

SKEW_SECONDS = 60
"""AWS refuses a signature that is five minutes off; a minute says that nobody sets this clock."""
SIDE_BY_SIDE = 8
SPOT_ROLE = "AWSServiceRoleForEC2Spot"
HOME = "us-east-1"
"""Region that every account has, of AWS's standard partition."""


@dataclass(frozen=True)
class Asked:
    """What the checks look at."""

    session: boto3.Session
    identity: str
    """ARN of whoever asks."""
    spec: PlatformSpec
    aws: AwsSpec
    stack: str
    site: Site | None
    """None for a stack that has no deployment yet."""
    known: frozenset[str] | None
    """Ids and names in the stack's state; None where it could not be read."""


Check = Callable[[Asked], Iterable[Finding]]


def examine(spec: PlatformSpec, stack: str, deployment: str | None, known: frozenset[str] | None) -> list[Finding]:
    """Look at everything that `up` needs of an account, in the order in which it needs it."""
    if spec.aws is None:
        return []
    found = [*_cost(spec), *_budgets(spec)]
    try:
        opened = session.session(spec.aws)
        identity = session.verify_account(opened, spec.aws)
    except MlplatError as error:
        asked_for = Finding("account", False, error.message, error.hint)
        nothing = f"could not be asked without credentials of account {spec.aws.account}: {', '.join(CHECKS)}"
        return [*found, asked_for, Finding("everything else", False, nothing, "mend `account` first")]
    found.append(Finding("account", True, f"{spec.aws.account}, as {identity}"))
    site = Site.of(spec, stack, deployment) if deployment else None
    asked = Asked(opened, identity, spec, spec.aws, stack, site, known)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        answers = pool.map(lambda name: _asked(name, asked), CHECKS)
        return [*found, *(finding for answer in answers for finding in answer)]


def _asked(name: str, asked: Asked) -> list[Finding]:
    try:
        return list(CHECKS[name](asked))
    except MlplatError as error:
        return [Finding(name, False, f"could not be asked: {error.message}", error.hint)]


def _cost(spec: PlatformSpec) -> Iterator[Finding]:
    try:
        cost.refuse_over_cap(spec)
        found = cost.estimate(spec)
    except MlplatError as error:
        yield Finding("cost", False, error.message, error.hint)
        return
    cap = f", at most {cost.money(found.cap_usd)} allowed" if found.cap_usd else ", no cap"
    yield Finding("cost", True, f"{cost.money(found.idle_usd)} a month idle, {cost.money(found.full_usd)} full{cap}")


def _budgets(spec: PlatformSpec) -> Iterator[Finding]:
    if not (spec.cost.budget_usd or any(team.monthly_usd for team in spec.teams.values())):
        return
    # No fault: AWS knows a tag a day after something carried it, and another account may have to switch it on.
    counted = "count by the deployment's tags"
    silent = "count nothing until their tags are on: write `cost.activate_tags: true` a day after the first `up`"
    yield Finding("budgets", True, counted if spec.cost.activate_tags else silent)


def _region(asked: Asked) -> Iterator[Finding]:
    home = HOME if asked.aws.partition == "aws" else asked.aws.region
    with session.telling("which regions the account has"):
        ec2 = session.client(asked.session, "ec2", region=home)
        found = ec2.describe_regions(AllRegions=True)["Regions"]
    status = {each["RegionName"]: each["OptInStatus"] for each in found}.get(asked.aws.region)
    if status is None:
        yield Finding("region", False, f"AWS has no region `{asked.aws.region}`", "correct `aws.region`")
    elif status == "not-opted-in":
        mend = "turn it on in AWS under Account, AWS Regions; it takes some minutes"
        yield Finding("region", False, f"{asked.aws.region} is not turned on in the account", mend)
    else:
        yield Finding("region", True, asked.aws.region)


def _clock(asked: Asked) -> Iterator[Finding]:
    with session.telling("for AWS's time"):
        answer = session.client(asked.session, "sts").get_caller_identity()
    told = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    yield clock(parsedate_to_datetime(told) if told else None, datetime.now(UTC))


def clock(theirs: datetime | None, ours: datetime) -> Finding:
    """Judge this computer's clock by AWS's."""
    if theirs is None:
        return Finding("clock", True, "AWS does not say its time")
    skew = (ours - theirs).total_seconds()
    said = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS"
    if abs(skew) <= SKEW_SECONDS:
        return Finding("clock", True, said)
    return Finding("clock", False, said, "let this computer's clock be set (NTP): AWS refuses whoever is 5 minutes off")


def _spot_role(asked: Asked) -> Iterator[Finding]:
    if not any("spot" in pool.capacity for pool in asked.spec.pools.values()):
        return
    iam = session.client(asked.session, "iam")
    with session.telling("for the role of spot machines"):
        try:
            iam.get_role(RoleName=SPOT_ROLE)
        except iam.exceptions.NoSuchEntityException:
            mend = (
                'make it once for the account: `python -c "import boto3;'
                " boto3.client('iam').create_service_linked_role(AWSServiceName='spot.amazonaws.com')\"`"
            )
            yield Finding("spot role", False, f"the account has no {SPOT_ROLE}: no spot machine would start", mend)
            return
    yield Finding("spot role", True, SPOT_ROLE)


def _names(asked: Asked) -> Iterator[Finding]:
    if asked.site is None:
        yield Finding("names", True, f"new: `mlplat up -s {asked.stack}` chooses an id for them")
    elif asked.known is None:
        mend = f"mend `state`; `mlplat aws leftovers -s {asked.stack}` lists what there is"
        yield Finding("names", False, "could not be asked: the state does not say which of them it knows", mend)
    else:
        yield from leftbehind.check(asked.session, asked.site, asked.stack, asked.known)


CHECKS: dict[str, Check] = {
    "region": _region,
    "clock": _clock,
    "rights": lambda asked: rights.check(asked.session, asked.identity, asked.spec, asked.stack, asked.site),
    "state": lambda asked: reachability.state(asked.session, asked.spec, asked.stack),
    "zones": lambda asked: offerings.zones(asked.session, asked.aws),
    "kubernetes version": lambda asked: offerings.kubernetes(asked.session, asked.aws),
    "quotas": lambda asked: quotas.check(asked.session, asked.spec, asked.site.deployment if asked.site else None),
    "offerings": lambda asked: offerings.machines(asked.session, asked.spec),
    "capacity": lambda asked: offerings.spot(asked.session, asked.spec),
    "offering database": lambda asked: offerings.database(asked.session, asked.aws),
    "spot role": _spot_role,
    "names": _names,
    "cluster API": lambda asked: reachability.api(asked.session, asked.site, asked.spec),
}
"""What is looked at in the account, by the name of its line where it cannot be asked."""
