from __future__ import annotations

import pytest

from mlplat.controller.settings import Settings
from mlplat.services.controller import settings
from mlplat.services.service import Ref
from mlplat.spec.platform import parse_platform


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


@pytest.mark.parametrize("changes", [{}, {"features": {"enabled": True}}])
def test_the_controller_knows_every_setting_that_it_is_given(changes: dict[str, object]) -> None:
    made = settings(parse_platform({"version": 2, **changes}, "x"))
    assert set(made) <= set(Settings.model_fields)
    # Without a feature server there is no address of one.
    assert made.get("features") == (Ref("url:features") if changes else None)
