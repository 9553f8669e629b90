"""What the controller tells of itself is true at the moment."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlplat.controller.document import Endpoint, EndpointSpec, Status
from mlplat.controller.metrics import Metrics, application
from mlplat.labels import Name
from mlplat.manifests import route

Sample = tuple[str, tuple[tuple[str, str], ...]]


def endpoint(name: str) -> Endpoint:
    return Endpoint(spec=EndpointSpec(name=name, model=name, version="3"), status=Status(phase="serving"))


def page(metrics: Metrics) -> dict[Sample, float]:
    """Return what is fetched."""
    answer = application(metrics, lambda: 1.0)
    text = b"".join(answer({"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET"}, lambda *_: None)).decode()
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}


def test_trouble_lasts_until_a_pass_is_made() -> None:
    metrics = Metrics()
    assert page(metrics)["mlplat_controller_trouble", ()] == 0
    metrics.failed("no API")
    assert page(metrics)["mlplat_controller_trouble", ()] == 1
    metrics.passed([], {}, 0.1)
    assert page(metrics)["mlplat_controller_trouble", ()] == 0


@pytest.mark.parametrize("name", ["flights/late", "flights/late-2", "flights-late/2"])
def test_an_endpoint_is_known_by_the_route_that_its_requests_are_counted_by(name: str) -> None:
    metrics = Metrics()
    metrics.passed([endpoint(name)], {}, 0.1)
    own = route.name(Name.parse(name))
    assert page(metrics)["mlplat_endpoint_route", (("name", name), ("route", own))] == 1
    assert "." not in own


def test_an_endpoint_that_is_gone_leaves_nothing() -> None:
    metrics = Metrics()
    metrics.passed([endpoint("flights/late")], {"flights/late": 3}, 0.1)
    assert any("flights/late" in dict(labels).values() for _, labels in page(metrics))
    metrics.passed([], {}, 0.1)
    assert not any("flights/late" in dict(labels).values() for _, labels in page(metrics))


def test_what_runs_unattended_is_told_until_it_goes_well() -> None:
    metrics = Metrics()
    metrics.monitored({}, [Name("flights", "late")])
    metrics.scheduled([("flights", "monitor"), ("flights", "train")], [("flights", "train")])
    found = page(metrics)
    assert found["mlplat_endpoint_retraining_failed", (("endpoint", "flights/late"),)] == 1
    assert [
        found["mlplat_schedule_failed", (("flow", flow), ("project", "flights"))] for flow in ("monitor", "train")
    ] == [0, 1]
    metrics.monitored({})
    metrics.scheduled([], [])
    assert not any("flights" in value for _, labels in page(metrics) for _, value in labels)
