"""Alerts on objectives come when a promise is being broken, and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

import promtool
from mlplat.labels import Name
from mlplat.manifests import route
from mlplat.services.gateway import BUCKETS_MS
from mlplat.spec.kubernetes import ObjectivesSpec
from mlplat.watching import gateway, objectives
from mlplat.watching.rule import Alert

OBJECTIVES = ObjectivesSpec()
LATE = Name("flights", "late")
CLUSTER = route.cluster("flights", LATE, 0)
OTHER = route.cluster("flights", LATE, 1)
MIRROR = CLUSTER.replace("/backend/0", "-mirror-0")
EXPLAINING = CLUSTER.replace("/rule/0/", "/rule/1/")
NAMED = {f'mlplat_endpoint_route{{name="flights/late", route="{route.name(LATE)}"}}': "1x60"}
LABELS = '{endpoint="flights/late", in_namespace="flights"}'


def xx(cluster: str, digit: int, values: str) -> dict[str, str]:
    name = f'envoy_cluster_name="{cluster}", envoy_response_code_class="{digit}", pod="envoy-0"'
    return {f"envoy_cluster_upstream_rq_xx{{{name}}}": values}


def bucket(bound: str, values: str) -> dict[str, str]:
    return {f'envoy_cluster_upstream_rq_time_bucket{{envoy_cluster_name="{CLUSTER}", le="{bound}"}}': values}


def sample(record: str, value: float, at: str = "30m") -> dict[str, object]:
    return {"expr": record, "eval_time": at, "exp_samples": [{"labels": f"{record}{LABELS}", "value": value}]}


def none(expr: str, at: str = "1h") -> dict[str, object]:
    return {"expr": expr, "eval_time": at, "exp_samples": []}


def test_what_both_revisions_answer_is_the_endpoint_s_and_copies_and_explanations_are_nobody_s(tmp_path: Path) -> None:
    series = {
        **NAMED,
        **xx(CLUSTER, 2, "0+60x60"),
        **xx(OTHER, 2, "0+60x60"),
        **xx(OTHER, 5, "0+30x60"),
        **xx(MIRROR, 5, "0+600x60"),
        **xx(EXPLAINING, 5, "0+600x60"),
    }
    wanted = [sample(gateway.REQUESTS, 2.5), sample(gateway.FAILURES, 0.5)]
    promtool.evaluate(tmp_path, [gateway.records(500)], series, wanted)


def test_an_endpoint_that_never_failed_has_no_failures_rather_than_nothing(tmp_path: Path) -> None:
    wanted = [sample(gateway.FAILURES, 0)]
    promtool.evaluate(tmp_path, [gateway.records(500)], {**NAMED, **xx(CLUSTER, 2, "0+60x60")}, wanted)


def test_names_outlast_the_controller_that_told_them(tmp_path: Path) -> None:
    series = dict.fromkeys(NAMED, "1x5") | xx(CLUSTER, 2, "0+60x200")
    promtool.evaluate(tmp_path, [gateway.records(500)], series, [sample(gateway.REQUESTS, 1, "3h")])


@pytest.mark.parametrize("bound", ["500", "500.0"], ids=["prometheus-2", "prometheus-3"])
def test_slow_is_what_took_longer_than_the_bound(bound: str, tmp_path: Path) -> None:
    counted = {f'envoy_cluster_upstream_rq_time_count{{envoy_cluster_name="{CLUSTER}"}}': "0+60x60"}
    series = {**NAMED, **counted, **bucket("250", "0+30x60"), **bucket(bound, "0+45x60")}
    promtool.evaluate(tmp_path, [gateway.records(500)], series, [sample(gateway.SLOW, 0.25)])


def test_a_bound_of_latency_is_one_that_the_gateway_counts_by() -> None:
    annotation = ObjectivesSpec.model_fields["latency_ms"].annotation
    assert set(get_args(annotation)) <= set(BUCKETS_MS)


def test_a_few_failures_in_a_quiet_night_wake_nobody(tmp_path: Path) -> None:
    # Three requests in an hour, and all of them fail.
    series = {f"{record}{LABELS}": "0x10 0.05x1 0x60" for record in (gateway.FAILURES, gateway.REQUESTS)}
    alerts = 'ALERTS{alertname="EndpointErrorBudgetBurn"}'
    promtool.evaluate(tmp_path, objectives.groups(OBJECTIVES), series, [none(alerts, "12m")])


def test_a_quiet_hour_weighs_as_much_as_it_has_requests(tmp_path: Path) -> None:
    # Half an hour of 100 requests a second without a failure, then half of 1 a second that all fail: not a half fails.
    series = {f"{gateway.REQUESTS}{LABELS}": "100x29 1x30", f"{gateway.FAILURES}{LABELS}": "0x29 1x30"}
    share = "round(1000 * endpoint:failures:ratio_1h)"
    wanted = {
        "expr": share,
        "eval_time": "59m",
        "exp_samples": [{"labels": '{endpoint="flights/late", in_namespace="flights"}', "value": 10}],
    }
    promtool.evaluate(tmp_path, objectives.groups(OBJECTIVES), series, [wanted])


@pytest.mark.parametrize("availability", [0.95, 0.99, 0.999, 0.9999])
def test_an_outage_is_told_of_whatever_is_promised(availability: float) -> None:
    groups = objectives.groups(ObjectivesSpec(availability=availability, latency_share=availability))
    limits = [float(alert.expr.split(" > ")[1].split(" ")[0]) for group in groups for alert in group.alerts]
    assert max(limits) < 1, "a share above one is reached by nothing"
    assert min(limits) > 0


@pytest.mark.parametrize("burn", objectives.BURNS, ids=lambda each: each.long)
def test_a_rate_uses_up_what_its_alert_says(burn: objectives.Burn) -> None:
    spent = burn.rate * objectives.WINDOWS[burn.long] / (30 * 24 * 60)
    assert burn.spent.startswith(f"{round(100 * spent)} %")
    assert objectives.WINDOWS[burn.short] * 12 == objectives.WINDOWS[burn.long]


def test_whoever_is_woken_hears_sooner_than_whoever_reads_mail() -> None:
    for group in objectives.groups(OBJECTIVES):
        by_window = [alert.severity for alert in group.rules if isinstance(alert, Alert)]
        assert by_window == ["critical", "critical", "warning", "warning"]
