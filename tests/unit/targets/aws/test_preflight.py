"""Everything that is looked at before an `up`, as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

import awsasked
from mlplat.errors import UnreachableError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import preflight, session
from mlplat.targets.aws.preflight import Asked, Check, clock, examine
from mlplat.targets.findings import Finding

SPOT = {"cpu": {"instance_types": ["m5.large", "m6i.large"], "capacity": ["spot"], "max_size": 1}}
ELSEWHERE = {"rights", "kubernetes version", "quotas", "capacity", "offering database", "cluster API"}
"""Checks that ask what moto does not answer; each is tried on its own."""


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have moto's account, and its credentials; ask what moto answers."""
    awsasked.enter(monkeypatch)
    monkeypatch.setattr(preflight, "CHECKS", {k: v for k, v in preflight.CHECKS.items() if k not in ELSEWHERE})
    monkeypatch.setattr(session, "session", lambda _: awsasked.shared())
    with mock_aws():
        yield


def looked(spec: PlatformSpec | None = None, deployment: str | None = None, **more: Any) -> dict[str, Finding]:
    """Look at a stack."""
    known = more.get("known", frozenset())
    return {each.what: each for each in examine(spec or awsasked.spec(), "prod", deployment, known)}


def test_a_good_account_is_good() -> None:
    found = looked(awsasked.spec(pools={"cpu": {"instance_types": ["m5.large"], "max_size": 1}}))
    assert [name for name, each in found.items() if not each.ok] == []
    assert found["account"].said.startswith(f"{awsasked.ACCOUNT}, as arn:aws:sts")
    assert found["names"].said == "new: `mlplat up -s prod` chooses an id for them"


def test_lines_come_in_the_order_in_which_up_needs_things() -> None:
    found = list(looked())
    assert found[:3] == ["cost", "account", "region"]
    assert found == list(looked())


def test_another_account_ends_the_asking_and_says_what_was_not_asked() -> None:
    found = looked(awsasked.spec({"account": "999988887777"}))
    assert list(found) == ["cost", "account", "everything else"]
    assert not found["account"].ok
    assert "999988887777" in found["account"].said
    assert all(name in found["everything else"].said for name in preflight.CHECKS)


def test_a_check_that_cannot_be_asked_is_its_own_line_and_the_others_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: Asked) -> Iterable[Finding]:
        raise UnreachableError("nobody answers", hint="wait")

    checks: dict[str, Check] = {**preflight.CHECKS, "zones": fail}
    monkeypatch.setattr(preflight, "CHECKS", checks)
    found = looked()
    assert (found["zones"].ok, found["zones"].said) == (False, "could not be asked: nobody answers")
    assert found["zones"].mend == "wait"
    assert found["region"].ok


def test_a_cost_over_the_cap_is_a_line_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise UnreachableError("there are none", hint="log in")

    monkeypatch.setattr(session, "session", fail)
    found = looked(awsasked.spec(cost={"max_monthly_usd": 1.0}))
    assert not found["cost"].ok
    assert "cost.max_monthly_usd" in found["cost"].said
    assert (found["account"].ok, found["account"].mend) == (False, "log in")


def test_a_cost_within_the_cap_tells_idle_and_full() -> None:
    found = looked(awsasked.spec(cost={"max_monthly_usd": 1e6}))["cost"]
    assert (found.ok, found.said.endswith(", at most 1,000,000 USD allowed")) == (True, True)
    assert looked()["cost"].said.endswith(", no cap")


def test_budgets_that_count_nothing_yet_say_what_they_wait_for() -> None:
    budget: dict[str, Any] = {"budget_usd": 100.0, "emails": ["people@example.com"]}
    assert "budgets" not in looked()
    waiting = looked(awsasked.spec(cost=budget))["budgets"]
    assert (waiting.ok, "`cost.activate_tags: true`" in waiting.said) == (True, True)
    assert "nothing" not in looked(awsasked.spec(cost={**budget, "activate_tags": True}))["budgets"].said


def test_spot_machines_need_the_accounts_role_for_them() -> None:
    assert "spot role" not in looked()
    missing = looked(awsasked.spec(pools=SPOT))["spot role"]
    assert (missing.ok, "spot.amazonaws.com" in str(missing.mend)) == (False, True)
    boto3.client("iam", region_name="eu-west-1").create_role(
        RoleName=preflight.SPOT_ROLE, AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}'
    )
    assert looked(awsasked.spec(pools=SPOT))["spot role"].ok


def test_names_of_a_lost_state_are_looked_for_once_there_is_a_deployment() -> None:
    found = looked(deployment="0123456789abcdef")
    assert "names" not in found
    assert found["names of roles"].ok


def test_a_state_that_cannot_be_read_leaves_the_names_open() -> None:
    found = looked(deployment="0123456789abcdef", known=None)
    assert not found["names"].ok
    assert found["names"].said.startswith("could not be asked")


def region(status: str, wanted: str = "eu-west-1") -> Finding:
    """Look for the region, as EC2 answers."""
    told: dict[str, list[awsasked.Answer]] = {
        "ec2": [("describe_regions", {"Regions": [{"RegionName": "eu-west-1", "OptInStatus": status}]})]
    }
    spec = awsasked.spec({"region": wanted})
    asked: Any = awsasked.Session(told)
    (found,) = preflight._region(Asked(asked, "", spec, awsasked.of(spec), "prod", None, frozenset()))
    return found


@pytest.mark.parametrize(
    ("status", "good"), [("opt-in-not-required", True), ("opted-in", True), ("not-opted-in", False)]
)
def test_a_region_must_be_turned_on(status: str, good: bool) -> None:
    assert region(status).ok is good


def test_a_region_that_aws_does_not_have_is_told() -> None:
    assert region("opted-in", "eu-nowhere-9").said == "AWS has no region `eu-nowhere-9`"


@pytest.mark.parametrize(
    ("seconds", "good", "said"),
    [
        (0, True, "0 s behind"),
        (60, True, "60 s ahead of"),
        (-61, False, "61 s behind"),
        (400, False, "ahead"),
    ],
)
def test_a_clock_that_is_off_is_told_before_signatures_fail(seconds: int, good: bool, said: str) -> None:
    theirs = datetime(2026, 1, 1, tzinfo=UTC)
    found = clock(theirs, theirs + timedelta(seconds=seconds))
    assert found.ok is good
    assert said in found.said


def test_a_clock_that_nobody_tells_is_no_fault() -> None:
    assert clock(None, datetime(2026, 1, 1, tzinfo=UTC)).ok


def test_a_local_platform_has_no_account() -> None:
    assert examine(PlatformSpec(), "local", None, frozenset()) == []
