"""What the local target's doctor looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlplat import services
from mlplat.spec.alerts import AlertsSpec
from mlplat.spec.platform import FeatureServerSpec, PlatformSpec
from mlplat.targets.local import doctor

SUPERVISOR = "platform"
"""Environment of what keeps services alive, and of the controller."""


@pytest.mark.parametrize("enabled", [False, True])
def test_it_looks_for_the_environments_of_this_platforms_services_and_no_others(enabled: bool) -> None:
    spec = PlatformSpec(features=FeatureServerSpec(enabled=enabled))
    found = {each.what.removeprefix("environment ") for each in doctor._environments(spec)}
    assert found == {SUPERVISOR, *(name for each in services.of(spec) for name in each.images)}
    assert ("features" in found) == enabled


def test_a_webhook_s_address_is_looked_for_and_not_told(tmp_path: Path) -> None:
    path = tmp_path / "webhook"
    spec = PlatformSpec(alerts=AlertsSpec(webhook_file=str(path)))
    assert list(doctor._alerts(PlatformSpec())) == []
    path.write_text("https://hooks.example.com/T0PSECRET")
    (found,) = doctor._alerts(spec)
    assert not found.ok
    assert found.mend == f"chmod 600 {path}"
    path.chmod(0o600)
    (found,) = doctor._alerts(spec)
    assert found.ok
    assert "T0PSECRET" not in found.said
