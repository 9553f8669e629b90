from __future__ import annotations

import pytest

from mlplat.controller.settings import Settings
from mlplat.services.controller import settings
from mlplat.spec.platform import PlatformSpec, parse_platform


@pytest.mark.parametrize(
    ("retention", "size", "seconds"),
    [
        ({}, 512_000_000, None),
        ({"megabytes": 7}, 7_000_000, None),
        ({"megabytes": 7, "days": 30}, 7_000_000, 2_592_000),
    ],
)
def test_the_retention_that_is_written_reaches_the_controller(
    retention: dict[str, int], size: int, seconds: int | None
) -> None:
    spec = parse_platform({"version": 2, "serving": {"prediction_log": {"retention": retention}}}, "x")
    made = settings(spec)
    assert (made["log_keep_bytes"], made["log_keep_seconds"]) == (size, seconds)


def test_the_controller_knows_every_setting_that_it_is_given() -> None:
    assert set(settings(PlatformSpec())) <= set(Settings.model_fields)
