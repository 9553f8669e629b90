from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from mlplat.spec.aws import AwsSpec
from mlplat.spec.aws.governance import CLOSED

CREDENTIALS = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ecr-pullthroughcache/ghcr-AbCdEf"
ZONE, PARENT = "Z0123456789ABCDEFGHIJ", "Z9876543210ABCDEFGHIJ"
EXISTING = {
    "vpc_id": "vpc-0123456789abcdef0",
    "cidr": "10.1.2.0/24",
    "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
}


def aws(**groups: Any) -> AwsSpec:
    return AwsSpec.model_validate_json(json.dumps({"account": "111122223333", "region": "eu-west-1", **groups}))


@pytest.mark.parametrize("upstream", CLOSED)
def test_a_registry_that_asks_who_one_is_needs_a_secret_that_is_there_already(upstream: str) -> None:
    """ECR refuses a rule whose secret has no value, so the platform cannot make an empty one and wait."""
    with pytest.raises(ValidationError, match="asks for its secret in `credentials`"):
        aws(images={"pull_through": [upstream]})
    assert aws(images={"pull_through": [upstream], "credentials": {upstream: CREDENTIALS}}).images.pull_through == [
        upstream
    ]


@pytest.mark.parametrize(
    ("groups", "what"),
    [
        ({"images": {"credentials": {"ghcr.io": CREDENTIALS}}}, "`credentials` names `ghcr.io`"),
        ({"images": {"pull_through": ["nvcr.io"]}}, "nvcr.io"),
        ({"images": {"pull_through": ["quay.io", "quay.io"]}}, "`pull_through` names one twice"),
        ({"images": {"projects": ["flights", "flights"]}}, "`projects` names one twice"),
        (
            {
                "images": {
                    "pull_through": ["ghcr.io"],
                    "credentials": {"ghcr.io": CREDENTIALS.replace("ecr-pullthroughcache/", "")},
                }
            },
            "string_pattern_mismatch",
        ),
        ({"domain": {"name": "ml.example.com", "zone_id": ZONE, "parent_zone_id": PARENT}}, "exclude each other"),
        ({"audit": {"log_days": 4000}}, "less than or equal to 3653"),
        ({"network": {"zones": ["a", "b"], "existing": EXISTING, "pod_cidr": "100.64.0.0/16"}}, "`pod_cidr` is an"),
        ({"network": {"zones": ["a", "b"], "existing": EXISTING, "nat": "single"}}, "`nat` is an existing network's"),
        ({"network": {"zones": ["a", "b", "c"], "existing": EXISTING}}, "one subnet for each of `zones`"),
        ({"network": {"zones": ["a", "b"], "existing": {**EXISTING, "cidr": "8.8.8.0/24"}}}, "no private network"),
    ],
)
def test_what_cannot_be_made_is_refused(groups: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        aws(**groups)


def test_an_existing_network_may_be_smaller_than_one_that_is_made() -> None:
    existing = aws(network={"zones": ["a", "b"], "existing": EXISTING}).network.existing
    assert existing is not None
    assert existing.cidr == "10.1.2.0/24"
    assert existing.route_table_ids == []
