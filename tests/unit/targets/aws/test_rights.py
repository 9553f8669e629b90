"""Whether whoever runs `up` may do what it does."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

import awsasked
from mlplat.targets.aws import deployer, rights
from mlplat.targets.aws.rights import Question, judge, wanted
from mlplat.targets.aws.site import Site
from mlplat.targets.findings import Finding

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ACCOUNT = f"arn:aws:iam::{awsasked.ACCOUNT}"
USER = f"{ACCOUNT}:user/ada"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have moto's account, and its credentials."""
    awsasked.enter(monkeypatch)
    with mock_aws():
        yield


def answer(action: str, decision: str = "allowed", missing: list[str] | None = None) -> dict[str, Any]:
    """Return what the simulator says of one action."""
    return {"EvalActionName": action, "EvalDecision": decision, "MissingContextValues": missing or []}


@pytest.mark.parametrize(
    ("decision", "missing", "good"),
    [
        ("allowed", [], True),
        ("implicitDeny", [], False),
        ("explicitDeny", [], False),
        # Hangs on a condition that the simulator was not told.
        ("implicitDeny", ["aws:RequestTag/mlplat:deployment"], True),
    ],
)
def test_a_no_is_a_fault_and_a_no_without_the_conditions_is_none(decision: str, missing: list[str], good: bool) -> None:
    found = judge([answer("s3:CreateBucket"), answer("eks:CreateCluster", decision, missing)], "prod")
    assert found.ok is good
    assert good or found.said == "not allowed: eks:CreateCluster"
    assert good or "`mlplat aws policy -s prod`" in str(found.mend)
    assert ("boundary" in str(found.mend)) is (decision == "explicitDeny")


def test_many_noes_are_counted() -> None:
    found = judge([answer(f"s3:Action{n}", "implicitDeny") for n in range(10)], "prod")
    assert found.said.endswith("s3:Action7 and 2 more")


def check(identity: str, *answers: awsasked.Answer) -> Finding:
    """Ask for an identity's rights, as IAM answers."""
    session: Any = awsasked.Session({"iam": answers} if answers else None)
    spec = awsasked.spec()
    (found,) = rights.check(session, identity, spec, "prod", Site.of(spec, "prod", "0123456789abcdef"))
    return found


def every(decision: str = "allowed") -> list[awsasked.Answer]:
    """Return an answer to every question."""
    spec = awsasked.spec()
    said = {"EvaluationResults": [answer("s3:CreateBucket", decision)], "IsTruncated": False}
    questions = wanted(spec, Site.of(spec, "prod", "0123456789abcdef"))
    return [("simulate_principal_policy", said)] * len(questions)


def test_a_user_is_asked_about() -> None:
    assert check(USER, *every()).ok
    assert not check(USER, *every("implicitDeny")).ok


def test_a_session_is_asked_about_as_its_role_with_its_path() -> None:
    role = {
        "Path": "/teams/",
        "RoleName": "deployer",
        "RoleId": "AROA0123456789ABCDEF",
        "Arn": f"{ACCOUNT}:role/teams/deployer",
        "CreateDate": "2026-01-01T00:00:00Z",
    }
    assumed = f"arn:aws:sts::{awsasked.ACCOUNT}:assumed-role/deployer/ada"
    assert check(assumed, ("get_role", {"Role": role}), *every()).ok


def test_a_role_of_the_account_is_found_with_its_path() -> None:
    iam = boto3.client("iam", region_name="eu-west-1")
    iam.create_role(Path="/teams/", RoleName="deployer", AssumeRolePolicyDocument=TRUST)
    assumed = f"arn:aws:sts::{awsasked.ACCOUNT}:assumed-role/deployer/ada"
    assert rights._principal(iam, assumed) == f"{ACCOUNT}:role/teams/deployer"


@pytest.mark.parametrize("identity", [f"{ACCOUNT}:root", f"arn:aws:sts::{awsasked.ACCOUNT}:federated-user/ada"])
def test_whoever_the_simulator_does_not_know_is_told_as_such(identity: str) -> None:
    assert check(identity).ok


def questions(**changes: Any) -> list[Question]:
    """Return what is asked for a stack."""
    spec = awsasked.spec(**changes)
    return wanted(spec, Site.of(spec, "prod", "0123456789abcdef"))


def test_a_question_that_the_simulator_does_not_take_leaves_the_others() -> None:
    first, *others = every("implicitDeny")
    assert not check(USER, (first[0], "InvalidInput"), *others).ok
    assert check(USER, *[(first[0], "InvalidInput")] * (1 + len(others))).said.endswith("known only on trying")


def test_what_is_asked_is_the_policy_that_is_printed() -> None:
    everything = {
        "stream": {"enabled": True},
        "audit": {"guardduty": True},
        "domain": {"name": "ml.example.com"},
        "runner": {"enabled": True, "repository": "https://github.com/example/platform"},
        "cluster": {"nights": {}},
    }
    cost = {"budget_usd": 1.0, "emails": ["a@example.com"]}
    asked = {action for question in questions(aws=everything, cost=cost) for action in question.actions}
    spec = awsasked.spec(everything, cost=cost)
    site = Site.of(spec, "prod", "0123456789abcdef")
    kinds = [each for each in deployer.kinds() if "elasticache" not in each]
    assert asked == {action for each in deployer.statements(site, sorted(kinds)) for action in each.actions}


def test_every_sample_is_one_thing_that_its_statement_is_of() -> None:
    spec = awsasked.spec()
    site = Site.of(spec, "prod", "0123456789abcdef")
    patterns = [str(r) for each in deployer.statements(site, sorted(deployer.kinds())) for r in each.resources]
    for question in questions():
        assert question.resource == "*" or not set("*?") & set(question.resource)
        assert any(fnmatch.fnmatchcase(question.resource, pattern) for pattern in patterns)


def test_conditions_are_told_as_a_request_of_up_would_meet_them() -> None:
    told = {(each["ContextKeyName"], *each["ContextKeyValues"]) for one in questions() for each in one.context}
    assert ("aws:RequestTag/mlplat:deployment", "0123456789abcdef") in told
    assert ("aws:RequestedRegion", "eu-west-1") in told
    assert ("ec2:CreateAction", "some") in told
    assert all(each["ContextKeyType"] in {"string", "stringList"} for one in questions() for each in one.context)


@pytest.mark.parametrize(
    ("changes", "service"),
    [
        ({"aws": {"stream": {"enabled": True}}}, "kinesis"),
        ({"aws": {"online_store": {"kind": "valkey"}}}, "elasticache"),
        ({"aws": {"cluster": {"nights": {}}}}, "scheduler"),
    ],
)
def test_what_the_spec_does_not_make_is_not_asked_for(changes: dict[str, Any], service: str) -> None:
    def of(found: list[Question]) -> set[str]:
        return {action.partition(":")[0] for question in found for action in question.actions}

    assert service not in of(questions())
    assert service in of(questions(**changes))


def test_a_platform_on_anothers_foundation_makes_nothing_of_its_own() -> None:
    made = {a for q in questions(foundation={"stack": "below"}) for a in q.actions if ":Create" in a or ":Run" in a}
    assert made <= {"iam:CreateServiceLinkedRole"}
