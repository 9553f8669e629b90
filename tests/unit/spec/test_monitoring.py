"""What a project says of its monitoring holds together."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mlplat.spec.monitoring import MonitoringSpec


def test_more_violations_than_windows_can_never_be_an_alarm() -> None:
    assert MonitoringSpec(violations=4, windows=4).violations == 4
    with pytest.raises(ValidationError, match="can never be"):
        MonitoringSpec(violations=5, windows=4)
