from __future__ import annotations

import pytest

from mlplat.targets.aws.logs import RETENTIONS, retention


@pytest.mark.parametrize(("days", "kept"), [(1, 1), (2, 3), (90, 90), (91, 120), (366, 400), (3653, 3653), (3654, 0)])
def test_a_log_is_never_kept_for_less_than_asked(days: int, kept: int) -> None:
    assert retention(days) == kept


def test_times_are_those_that_cloudwatch_takes() -> None:
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", "AWS::Logs::LogGroup").schema
    assert list(RETENTIONS) == schema["properties"]["RetentionInDays"]["enum"]
