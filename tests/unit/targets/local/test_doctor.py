"""What the local target's doctor looks for."""

from __future__ import annotations

from mlplat import services
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.local import doctor

SUPERVISOR = "platform"
"""Environment of what keeps services alive, and of the controller."""


def test_it_looks_for_the_environments_of_this_computers_services_and_no_others() -> None:
    found = {each.what.removeprefix("environment ") for each in doctor._environments()}
    assert found == {SUPERVISOR, *(name for each in services.of(PlatformSpec()) for name in each.images)}
