"""No IAM document grants more than it says, and each is one that IAM takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

import documents
from capture import Graph, Made
from documents import Document


def test_no_document_has_a_fault(graph: Graph) -> None:
    assert documents.findings(graph) == []


def test_every_role_and_every_bucket_has_its_documents(graph: Graph) -> None:
    """A field that the search does not know would pass unseen."""
    found = {each.made.key for each in documents.documents(graph)}
    kinds = (
        "aws:iam/role:Role",
        "aws:iam/policy:Policy",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:kms/key:Key",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:sqs/queuePolicy:QueuePolicy",
        "aws:sns/topicPolicy:TopicPolicy",
    )
    assert {each.key for kind in kinds for each in graph.of(kind)} - found == set()


ROLE = "arn:aws:iam::111122223333:role/r"
ALLOW = {"Sid": "Some", "Effect": "Allow"}
FAULTY: dict[str, tuple[str, dict[str, Any], str]] = {
    "all but some actions": ("policy", {"NotAction": "iam:*", "Resource": "*"}, "NotAction"),
    "all but some resources": ("policy", {"Action": "s3:GetObject", "NotResource": ROLE}, "NotResource"),
    "a role for any service": ("policy", {"Action": "iam:PassRole", "Resource": ROLE}, "any service"),
    "everything": ("policy", {"Action": "*", "Resource": "*"}, "UNSCOPED"),
    "every action of a service": ("policy", {"Action": "s3:*", "Resource": "arn:aws:s3:::b"}, "every action"),
    "every resource": ("policy", {"Action": ["s3:GetObject"], "Resource": ["*"]}, "UNSCOPED"),
    "an unknown action": ("policy", {"Action": "s3:GetObjectz", "Resource": "arn:aws:s3:::b/*"}, "UNKNOWN_ACTION"),
    "an ARN of another kind": ("policy", {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b"}, "RESOURCE_MISMATCH"),
    "an unknown condition": (
        "policy",
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Condition": {"StringEquals": {"s3:prefx": "a"}}},
        "UNKNOWN_CONDITION",
    ),
    "an unknown operator": (
        "policy",
        {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b", "Condition": {"StringEqual": {"s3:prefix": "a"}}},
        "OPERATOR",
    ),
    "a service on anybody's behalf": (
        "assumeRolePolicy",
        {"Action": "sts:AssumeRole", "Principal": {"Service": "backup.amazonaws.com"}},
        "SourceAccount",
    ),
    "anybody": ("assumeRolePolicy", {"Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}, "everybody"),
    "pods without their session's tags": (
        "assumeRolePolicy",
        {"Action": "sts:AssumeRole", "Principal": {"Service": documents.PODS}},
        "sts:TagSession",
    ),
    "everybody's messages": (
        "policy",
        {"Action": "sqs:SendMessage", "Principal": "*", "Resource": "arn:aws:sqs:eu-west-1:111122223333:q"},
        "everybody",
    ),
    "too long": (
        "policy",
        {"Action": "s3:GetObject", "Resource": [f"arn:aws:s3:::bucket-of-some-length/{n}/*" for n in range(200)]},
        "of 6144",
    ),
}
"""Statements, the input they stand in, and a word of what must be said of them."""


@pytest.mark.parametrize("fault", FAULTY)
def test_a_fault_is_found(fault: str) -> None:
    field, statement, word = FAULTY[fault]
    kind = "aws:iam/role:Role" if field == "assumeRolePolicy" else "aws:iam/policy:Policy"
    value = {"Version": "2012-10-17", "Statement": [{**ALLOW, **statement}]}
    document = Document(Made(kind, "faulty", {field: json.dumps(value)}), field, value)
    assert any(word in problem for problem in documents.problems(document)), documents.problems(document)


def test_inline_policies_count_together() -> None:
    """Each is short enough, and IAM refuses the last of them."""
    resources = [f"arn:aws:s3:::bucket-of-some-length/{number}/*" for number in range(150)]
    value = {"Version": "2012-10-17", "Statement": [{**ALLOW, "Action": "s3:GetObject", "Resource": resources}]}
    policies = [
        Made("aws:iam/rolePolicy:RolePolicy", name, {"role": "r", "policy": json.dumps(value)}) for name in ("a", "b")
    ]
    assert any("inline policies" in each for each in documents.findings(Graph(policies)))
