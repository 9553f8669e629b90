"""One computer's Prometheus is given rules that hold there, on metrics that exist there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import promql
import promtool
from mlplat.labels import Name
from mlplat.spec.platform import PlatformSpec
from mlplat.watching import catalogue, exported, gateway, local
from mlplat.watching.rule import Alert, Recording

SPEC = PlatformSpec()
RULES = [rule for group in local.groups(SPEC) for rule in group.rules]
ENDPOINT = 'job="mlplat/envoy", envoy_cluster_name="flights/late/r%d"'
EXPLAINING = (ENDPOINT % 2).replace("/r2", "/r2-explaining")
ABSENT = ("kube_", "envoy_server_days", "mlplat_endpoint_route")
"""What begins the names of metrics that only a cluster has."""


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    for name, content in local.files(SPEC, tmp_path).items():
        path = tmp_path / local.FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    # With the rules and the targets that it names.
    said = promtool.run("check", "config", str(tmp_path / local.FOLDER / local.CONFIG))
    assert f"SUCCESS: {len(RULES)} rules found" in said


def test_no_rule_reads_what_only_a_cluster_has() -> None:
    records = {rule.record for rule in RULES if isinstance(rule, Recording)}
    read = {name for rule in RULES for name in promql.read(rule.expr).metrics} - records
    assert [name for name in sorted(read) if name.startswith(ABSENT)] == []
    others = {*exported.ENVOY.metrics, *exported.PROMETHEUS.metrics}
    assert {name for name in read if not name.startswith("mlplat_")} <= others


def test_every_rule_is_one_of_a_cluster_s() -> None:
    there = {alert.key: alert for alert in catalogue.alerts(PlatformSpec(target="local"))}
    for alert in (rule for rule in RULES if isinstance(rule, Alert)):
        assert (alert.expr, alert.severity, alert.hold) == (
            there[alert.key].expr,
            there[alert.key].severity,
            there[alert.key].hold,
        )
    assert {*local.OF_SERVICES, *local.HERE} <= {rule.name for rule in RULES if isinstance(rule, Alert)}


def test_no_text_sends_anybody_to_a_cluster() -> None:
    for alert in (rule for rule in RULES if isinstance(rule, Alert)):
        told = f"{alert.summary} {alert.description} {alert.command}"
        assert not re.search(r"kubectl|namespace|cluster|\bnode\b|\bpod|Kubernetes|scale\.", told), alert.name


def test_an_endpoint_s_revisions_are_counted_together(tmp_path: Path) -> None:
    series = {
        f'envoy_cluster_upstream_rq_xx{{{ENDPOINT % 1}, envoy_response_code_class="2"}}': "0+60x30",
        f'envoy_cluster_upstream_rq_xx{{{ENDPOINT % 2}, envoy_response_code_class="2"}}': "0+30x30",
        f'envoy_cluster_upstream_rq_xx{{{ENDPOINT % 2}, envoy_response_code_class="5"}}': "0+30x30",
        f'envoy_cluster_upstream_rq_xx{{{EXPLAINING}, envoy_response_code_class="5"}}': "0+600x30",
        f"envoy_cluster_upstream_rq_time_count{{{ENDPOINT % 1}}}": "0+60x30",
        f'envoy_cluster_upstream_rq_time_bucket{{{ENDPOINT % 1}, le="500"}}': "0+45x30",
        # Not an endpoint's: the gateway's own.
        'envoy_cluster_upstream_rq_xx{envoy_cluster_name="admin", envoy_response_code_class="2"}': "0+600x30",
    }
    labels = '{endpoint="flights/late"}'
    wanted = [
        {"expr": record, "eval_time": "20m", "exp_samples": [{"labels": f"{record}{labels}", "value": value}]}
        for record, value in ((gateway.REQUESTS, 2.0), (gateway.FAILURES, 0.5), (gateway.SLOW, 0.25))
    ]
    promtool.evaluate(tmp_path, local.groups(SPEC)[:1], series, wanted)


@pytest.mark.parametrize("changed", [{"controller": {"port": 9555}}, {"gateway": {"admin_port": 9556}}])
def test_what_is_fetched_follows_the_spec(changed: dict[str, dict[str, int]], tmp_path: Path) -> None:
    (port,) = [port for group in changed.values() for port in group.values()]
    spec = PlatformSpec.model_validate(changed)
    targets = [each for group in local.files(spec, tmp_path)[local.PLATFORM] for each in group["targets"]]
    assert f"127.0.0.1:{port}" in targets


def test_a_model_server_s_series_say_whose_they_are() -> None:
    (found,) = local.servers([(Name("flights", "late"), "r3", 9600)])
    assert found["targets"] == ["127.0.0.1:9600"]
    assert found["labels"].items() >= {"endpoint": "flights/late", "project": "flights", "revision": "r3"}.items()
