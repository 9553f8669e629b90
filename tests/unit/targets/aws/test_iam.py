from __future__ import annotations

import json

import pytest

from mlplat.targets.aws.iam import UNSCOPED, Statement, document, pods, reason, tls_only, trusted


def test_every_resource_is_refused_without_a_reason() -> None:
    with pytest.raises(ValueError, match=r"s3:GetObject on every resource"):
        Statement("Read", ["s3:GetObject"])


@pytest.mark.parametrize("action", ["ec2:DescribeSubnets", "ecr:GetAuthorizationToken"])
def test_an_action_that_takes_no_resource_has_its_reason(action: str) -> None:
    assert Statement("Read", [action]).value()["Resource"] == ["*"]
    assert reason(action) in UNSCOPED.values()


def test_what_is_denied_may_be_everything() -> None:
    assert Statement("No", ["s3:*"], effect="Deny").value()["Effect"] == "Deny"


def test_a_document_is_what_iam_reads() -> None:
    made = json.loads(document(Statement("Read", ["s3:GetObject"], ["arn:aws:s3:::b/*"])))
    assert made == {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/*"]}],
    }


def test_a_trust_policy_names_no_resource_and_whose_behalf_it_is_on() -> None:
    made = json.loads(trusted("events.amazonaws.com", account="111122223333"))["Statement"][0]
    assert "Resource" not in made
    assert made["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    assert json.loads(pods())["Statement"][0]["Action"] == ["sts:AssumeRole", "sts:TagSession"]


def test_the_way_to_a_bucket_is_encrypted_for_everybody() -> None:
    made = tls_only("arn:aws:s3:::b").value()
    assert (made["Effect"], made["Principal"], made["Action"]) == ("Deny", {"AWS": "*"}, ["*"])
