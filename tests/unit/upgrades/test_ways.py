"""The table of what other versions do."""

from __future__ import annotations

import pytest

from mlplat import services, versions
from mlplat.spec.platform import parse_platform
from mlplat.upgrades.parts import numbers
from mlplat.upgrades.ways import WAYS, Way, way

PINS = {each.name: each.version for each in (*versions.CHARTS, versions.GATEWAY_API)}


@pytest.mark.parametrize("pin", PINS)
def test_what_a_pin_does_was_read_for_the_minor_version_that_it_is_of(pin: str) -> None:
    assert numbers(way(pin).read) == numbers(PINS[pin])[:2], "read what its makers say of upgrades to it, then say so"


@pytest.mark.parametrize("pin", PINS)
def test_no_pin_is_older_than_what_it_follows(pin: str) -> None:
    oldest = way(pin).oldest
    assert oldest is None or numbers(oldest.version) <= numbers(PINS[pin])


@pytest.mark.parametrize("addon", [each.name for each in versions.ADDONS])
def test_every_addon_of_a_cloud_has_a_way(addon: str) -> None:
    assert way(addon)


def test_every_service_of_a_cluster_tells_its_version_and_has_a_way() -> None:
    on = {"context": "tests", "production": False, "metadata_service": "r.example.com/metadata:2.5.1"}
    written = {"target": "kubernetes", "engine": {}, "kubernetes": on, "teams": {"flights": {"projects": ["flights"]}}}
    for each in services.on_cluster(parse_platform(written, "test")):
        assert each.version, each.name
        assert way(each.name)


@pytest.mark.parametrize(("part", "told"), WAYS.items())
def test_reasons_are_one_line_that_follows_on(part: str, told: Way) -> None:
    texts = [told.why, *(text for limit in (told.oldest, told.stride, told.back) if limit for text in limit[-2:])]
    for text in texts:
        assert "\n" not in text, part
        assert not text.endswith("."), part
