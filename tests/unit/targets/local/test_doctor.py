"""What the local target's doctor looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlplat import services
from mlplat.spec.alerts import AlertsSpec
from mlplat.spec.platform import FeatureServerSpec, PlatformSpec
from mlplat.supervision import Process
from mlplat.targets.local import doctor

SUPERVISOR = "platform"
"""Environment of what keeps services alive, and of the controller."""


@pytest.mark.parametrize("enabled", [False, True])
def test_it_looks_for_the_environments_of_this_platforms_services_and_no_others(enabled: bool) -> None:
    spec = PlatformSpec(features=FeatureServerSpec(enabled=enabled))
    found = {each.what.removeprefix("environment ") for each in doctor._environments(spec)}
    assert found == {SUPERVISOR, *(name for each in services.of(spec) for name in each.images)}
    assert ("features" in found) == enabled


def test_model_servers_that_do_not_run_are_named_and_no_others() -> None:
    states = {"r1": ("FATAL", 0), "r2": ("RUNNING", 7), "r3": ("STARTING", 8), "r4": ("BACKOFF", 0)}
    names = {f"endpoint.homes.rent.{label}": each for label, each in states.items()}
    processes = {name: Process(name, state, pid, 0.0, "Exited too quickly") for name, (state, pid) in names.items()}
    processes["tracking"] = Process("tracking", "FATAL", 0, 0.0, "is a service")
    found = list(doctor._revisions(processes))
    assert [each.what for each in found] == ["model server homes.rent.r1", "model server homes.rent.r4"]
    assert not any(each.ok for each in found)
    assert found[0].said == "fatal: Exited too quickly"
    assert "`mlplat logs endpoint.homes.rent.r1`" in str(found[0].mend)


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
