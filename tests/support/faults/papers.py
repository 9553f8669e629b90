"""Faults in policies: who reads every document finds them."""

from __future__ import annotations

from faults.base import GONE, Fault, more, paper

S = "policy.Statement"
T = "assumeRolePolicy.Statement"
TRACKING = "iam.RolePolicy/tracking"
EVERYTHING = {"Sid": "Rest", "Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}
PASS = {"Sid": "Pass", "Effect": "Allow", "Action": ["iam:PassRole"], "Resource": ["arn:aws:iam::444455556666:role/x"]}
OPEN = {
    "Sid": "Open",
    "Effect": "Allow",
    "Principal": "*",
    "Action": ["s3:GetObject"],
    "Resource": ["arn:aws:s3:::b/*"],
}
LONG = {
    "Sid": "Long",
    "Effect": "Allow",
    "Action": ["s3:GetObject"],
    "Resource": [f"arn:aws:s3:::{n:0>50}/*" for n in range(200)],
}

PAPERS: list[Fault] = [
    paper("everything of S3 on everything", TRACKING, {S: more(EVERYTHING)}, "*"),
    paper("any role passed to anybody", "iam.RolePolicy/features", {S: more(PASS)}),
    paper("all but some actions", "iam.RolePolicy/pipelines", {f"{S}.0.NotAction": ["iam:*"]}, "NotAction"),
    paper("action that there is not", "iam.RolePolicy/controller", {f"{S}.0.Action": ["s3:ReadObject"]}, "ReadObject"),
    paper("role that everybody takes", "iam.Role/tracking", {f"{T}.0.Principal": {"AWS": "*"}}),
    paper("role on anybody's behalf", "iam.Role/database-monitoring", {f"{T}.0.Condition": GONE}),
    paper("bucket for everybody", "s3.BucketPolicy/data", {S: more(OPEN)}),
    paper("policy too long", "iam.RolePolicy/external-secrets", {S: more(LONG)}),
]
"""What is granted, and to whom."""
