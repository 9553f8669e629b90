from __future__ import annotations

from typing import Any

import pytest

import capture
from awsparts import KEY, site, untagged
from capture import Graph
from mlplat.targets.aws.secrets import CONTAINERS, Secrets

SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a type


def build(**settings: Any) -> Graph:
    def program() -> None:
        place = site(**settings)
        made = Secrets("secrets", place.aws.secrets, site=place, key_arn=KEY, opts=capture.provider())
        assert made.prefix == "mlplat/mlplat-dev-012345/"

    return capture.run(program)


def test_the_platform_s_own_are_below_its_path_under_its_key_and_hold_nothing() -> None:
    graph = build()
    made = graph.of(SECRET)
    assert {each.name for each in made} == set(CONTAINERS)
    for each in made:
        assert each.inputs["name"] == f"mlplat/mlplat-dev-012345/{each.name}"
        assert each.inputs["kmsKeyId"] == KEY
    assert not graph.of("aws:secretsmanager/secretVersion:SecretVersion")
    assert untagged(graph) == []


@pytest.mark.parametrize("days", [0, 7, 30])
def test_a_deleted_one_can_be_brought_back_for_the_days_that_are_written(days: int) -> None:
    for each in build(secrets={"recovery_days": days}).of(SECRET):
        assert each.inputs["recoveryWindowInDays"] == days


def test_every_secret_refuses_other_accounts() -> None:
    graph = build()
    guarded = {each.inputs["secretArn"] for each in graph.of("aws:secretsmanager/secretPolicy:SecretPolicy")}
    assert guarded == {f"${{{each.key}.arn}}" for each in graph.of(SECRET)}
