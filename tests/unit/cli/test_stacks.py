from __future__ import annotations

import pytest

from mlplat.cli import stacks
from mlplat.spec.platform import PlatformSpec, parse_platform

AWS = {"target": "aws", "engine": {}, "aws": {"account": "111122223333", "region": "eu-west-1", "environment": "dev"}}


def test_what_a_stack_costs_is_told_before_anybody_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    stacks._tell_cost(parse_platform(AWS, "test"))
    told = capsys.readouterr().err
    assert "USD a month idle" in told
    assert "`mlplat cost`" in told


def test_this_computer_costs_nothing_and_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    stacks._tell_cost(PlatformSpec())
    assert capsys.readouterr().err == ""
