"""Every metric and label that a rule or a panel reads is one that something here gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import promql
import watchspecs
from mlplat.controller.document import Endpoint, EndpointSpec, Status
from mlplat.controller.metrics import Metrics as ControllerMetrics
from mlplat.controller.metrics import application
from mlplat.labels import Name
from mlplat.manifests import names, revision
from mlplat.serving.metrics import PROBABILITY, LookUpMetrics
from mlplat.serving.metrics import Metrics as ServingMetrics
from mlplat.spec.platform import PlatformSpec
from mlplat.spec.scale import ScaleSpec
from mlplat.watching import catalogue, dashboards, exported, monitors
from mlplat.watching.rule import Recording

SPECS = {**watchspecs.both(), "here": PlatformSpec()}


def pages() -> Iterator[str]:
    """Print the pages of our own programs, as they are fetched."""
    info = {"endpoint": "flights/late", "revision": "r3", "model": "flights/late", "version": "3", "digest": "0"}
    serving = ServingMetrics(info=info, bounds=PROBABILITY)
    serving.request("rows", 200, 0.01)
    serving.answered(np.array([0.3]))
    looked_up = LookUpMetrics(serving, ["airport"])
    looked_up.count("airport", "stale", 1)
    looked_up.failures.labels("slow").inc()
    yield serving.text().decode()
    controller = ControllerMetrics()
    spec = EndpointSpec(name="flights/late", model="flights/late", version="3")
    controller.passed([Endpoint(spec=spec, status=Status(phase="serving"))], {}, 0.01)
    controller.monitored({Name("flights", "late"): ["drift"]}, [Name("flights", "late")])
    controller.scheduled([("flights", "monitor")], [("flights", "monitor")])
    page = application(controller, lambda: 1.0)({"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET"}, lambda *_: None)
    yield b"".join(page).decode()


def ours() -> dict[str, set[str]]:
    """Return labels by metric of our own programs."""
    found: dict[str, set[str]] = {}
    for page in pages():
        for family in text_string_to_metric_families(page):
            for each in family.samples:
                found.setdefault(each.name, set()).update(each.labels)
    return found


def known(spec: PlatformSpec) -> dict[str, set[str]]:
    """Return labels by metric of everything that a stack's rules may read."""
    others = {
        name: set(labels)
        for exporter in exported.EXPORTERS
        if not exporter.addon or getattr(spec.kubernetes.addons, exporter.addon) != "off"
        for name, labels in exporter.metrics.items()
    }
    found = {**others, **ours()}
    for name, labels in found.items():
        found[name] = labels.union(exported.TARGET, (f"exported_{each}" for each in labels & set(exported.TARGET)))
    # A model server's monitor writes them from labels of its pod.
    for name in found:
        if name.startswith(("mlplat_", "process_")):
            found[name] |= {"project", "revision", "endpoint"}
    return found | {each.record: {"endpoint", "in_namespace", "route", "le"} for each in records(spec)}


def records(spec: PlatformSpec) -> list[Recording]:
    return [rule for group in catalogue.groups(spec) for rule in group.rules if isinstance(rule, Recording)]


def expressions(spec: PlatformSpec) -> Iterator[tuple[str, str]]:
    for group in catalogue.groups(spec):
        for rule in group.rules:
            yield f"{group.name}: {rule.record if isinstance(rule, Recording) else rule.key}", rule.expr
    for board in dashboards.boards(spec):
        for variable in board.variables:
            yield f"{board.uid}: {variable.name}", f"{variable.metric}{{{variable.within}}}"
        for row in board.rows:
            for panel in row.panels:
                for query in panel.queries:
                    yield f"{board.uid}: {panel.title}", query.expr


def problems(spec: PlatformSpec, read: Iterator[tuple[str, str]] | None = None) -> Iterator[str]:
    found = known(spec)
    for where, expr in read or expressions(spec):
        reading = promql.read(expr)
        for name, labels in reading.metrics.items():
            if name not in found:
                yield f"{where}: nobody gives `{name}`"
            yield from (f"{where}: `{name}` has no label `{each}`" for each in sorted(labels - found.get(name, labels)))
        every = reading.made.union(*(found.get(name, set()) for name in reading.metrics))
        yield from (f"{where}: nothing has the label `{each}`" for each in sorted(reading.grouped - every))


@pytest.mark.parametrize("stack", SPECS)
def test_every_metric_and_label_is_somebody_s(stack: str) -> None:
    assert list(problems(SPECS[stack])) == []


@pytest.mark.parametrize("addon", ["gateway", "secrets", "autoscaling", "pipelines", "queues", "cost"])
def test_an_add_on_that_is_off_leaves_no_rule_behind_that_reads_it(addon: str) -> None:
    assert list(problems(watchspecs.cluster(addons={addon: "off"}))) == []


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("sum(rate(mlplat_request_total[5m]))", "nobody gives `mlplat_request_total`"),
        ('mlplat_waiting{shard="1"}', "`mlplat_waiting` has no label `shard`"),
        ("sum by (shard) (mlplat_waiting)", "nothing has the label `shard`"),
    ],
)
def test_a_slip_is_found(expr: str, said: str) -> None:
    found = problems(SPECS["cluster"], iter([("a rule", expr)]))
    assert list(found) == [f"a rule: {said}"]


def test_the_table_names_nothing_that_nobody_reads() -> None:
    # What nobody reads is not looked after either.
    read = {name for spec in SPECS.values() for _, expr in expressions(spec) for name in promql.read(expr).metrics}
    table = {name for exporter in exported.EXPORTERS for name in exporter.metrics}
    assert table - read == set()


def served(kind: str) -> dict[str, Any]:
    """Return one of the objects of a revision that is scaled by Prometheus's figures."""
    server = revision.Server(
        endpoint=Name("flights", "late"),
        label="r3",
        version="3",
        digest="0",
        key="flights/bundles/0.tar",
        scale=ScaleSpec(max_replicas=4),
        namespace="flights",
        image="registry.example.com/serving@sha256:0",
        bucket=revision.Bucket("artifacts", "eu-west-1"),
        prometheus="http://prometheus.example.com",
    )
    (found,) = [each for each in revision.documents(server) if each["kind"] == kind]
    return found


def test_model_servers_are_scaled_by_what_they_give() -> None:
    scaler = served("ScaledObject")
    queries = [(scaler["kind"], each["metadata"]["query"]) for each in scaler["spec"]["triggers"]]
    assert list(problems(SPECS["cluster"], iter(queries))) == []


def test_the_gateway_s_monitor_keeps_what_is_read_and_little_else() -> None:
    (endpoint,) = monitors.proxies()["spec"]["podMetricsEndpoints"]
    (relabel,) = endpoint["metricRelabelings"]
    assert relabel["action"] == "keep"
    kept = re.compile(relabel["regex"])
    read = {name for _, expr in expressions(SPECS["cluster"]) for name in promql.read(expr).metrics}
    assert {name for name in read if name.startswith("envoy_") and not kept.fullmatch(name)} == set()
    assert not kept.fullmatch("envoy_cluster_upstream_cx_rx_bytes_total")


def test_a_model_server_s_port_is_the_one_that_its_monitor_asks() -> None:
    (endpoint,) = monitors.model_servers(["flights"])["spec"]["podMetricsEndpoints"]
    deployment = served("Deployment")
    template = deployment["spec"]["template"]
    ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
    assert endpoint["port"] in ports
    labels = template["metadata"]["labels"]
    assert f"{labels[names.PROJECT]}/{labels[names.ENDPOINT]}" == "flights/late"
    assert labels[names.REVISION] == "r3"
