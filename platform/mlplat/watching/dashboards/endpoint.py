"""Endpoints: what their callers get, and what they were promised."""

from __future__ import annotations

from mlplat.spec.kubernetes import ObjectivesSpec
from mlplat.watching import gateway
from mlplat.watching.dashboards.panel import Board, Panel, Query, Row, Variable

CHOSEN = 'in_namespace=~"$team", endpoint=~"$endpoint"'
SERVERS = 'namespace=~"$team", endpoint=~"$endpoint", revision!=""'
TEAM = Variable("team", gateway.REQUESTS, "in_namespace")
ENDPOINT = Variable("endpoint", gateway.REQUESTS, "endpoint", 'in_namespace=~"$team"')
MONTH = "30d"


def board(objectives: ObjectivesSpec) -> Board:
    """Return the page of endpoints; lines and colours are those of the objectives."""
    return Board(
        "mlplat-endpoint",
        "Endpoints",
        "What callers of endpoints get, as the gateway counts it.",
        (_promises(objectives), _traffic(), _servers(), _look_ups(), _model()),
        (TEAM, ENDPOINT),
        alerts='alertname=~"Endpoint.+|Rollout.+|Deploy.+", endpoint=~"$endpoint|"',
    )


def _promises(objectives: ObjectivesSpec) -> Row:
    failures = _left(gateway.FAILURES, gateway.REQUESTS, 1 - objectives.availability)
    slow = _left(gateway.SLOW, gateway.TIMED, 1 - objectives.latency_share)
    steps = ((0.0, "red"), (0.25, "orange"), (0.5, "green"))
    return Row(
        "Objectives",
        (
            Panel(
                "Failures left of 30 days",
                (Query(failures, "{{endpoint}}"),),
                "percentunit",
                "stat",
                steps=steps,
                description=f"{objectives.availability:.4%} of the requests are promised an answer below 500. Counted"
                " over 30 days, or over as many as metrics are kept.",
            ),
            Panel(
                "Slow answers left of 30 days",
                (Query(slow, "{{endpoint}}"),),
                "percentunit",
                "stat",
                steps=steps,
                description=f"{objectives.latency_share:.4%} of the answers are promised within"
                f" {objectives.latency_ms} ms.",
            ),
            Panel(
                "Burn rate",
                (
                    Query(_burn("endpoint:failures:ratio_1h", 1 - objectives.availability), "{{endpoint}} failures"),
                    Query(_burn("endpoint:slow:ratio_1h", 1 - objectives.latency_share), "{{endpoint}} slow"),
                ),
                description="1 uses exactly up what 30 days allow; at 14.4 somebody is woken.",
                steps=((1, "orange"), (14.4, "red")),
            ),
        ),
    )


def _left(bad: str, every: str, allowed: float) -> str:
    spent = f"sum_over_time({bad}{{{CHOSEN}}}[{MONTH}]) / sum_over_time({every}{{{CHOSEN}}}[{MONTH}])"
    return f"1 - ({spent}) / {allowed:.6g}"


def _burn(record: str, allowed: float) -> str:
    return f"{record}{{{CHOSEN}}} / {allowed:.6g}"


def _traffic() -> Row:
    requests, failures = f"{gateway.REQUESTS}{{{CHOSEN}}}", f"{gateway.FAILURES}{{{CHOSEN}}}"
    buckets = f"sum by (le, endpoint) ({gateway.BUCKETS}{{{CHOSEN}}})"
    return Row(
        "At the gateway",
        (
            Panel("Requests", (Query(f"sum by (endpoint) ({requests})", "{{endpoint}}"),), "reqps"),
            Panel(
                "Failing share",
                (
                    Query(
                        f"sum by (endpoint) ({failures}) / (sum by (endpoint) ({requests}) > 0)",
                        "{{endpoint}}",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "Time to answer",
                tuple(
                    Query(f"histogram_quantile({quantile}, {buckets})", f"{{{{endpoint}}}} p{round(quantile * 100)}")
                    for quantile in (0.5, 0.95, 0.99)
                ),
                "ms",
            ),
        ),
    )


def _servers() -> Row:
    return Row(
        "Model servers",
        (
            Panel(
                "Requests waiting",
                (Query(f"sum by (endpoint, revision) (mlplat_waiting{{{SERVERS}}})", "{{endpoint}} {{revision}}"),),
            ),
            Panel(
                "Not computed in time",
                (
                    Query(
                        "sum by (endpoint, revision, reason)"
                        f" (rate(mlplat_not_begun_total{{{SERVERS}}}[$__rate_interval]))",
                        "{{endpoint}} {{revision}} {{reason}}",
                    ),
                ),
                "reqps",
            ),
            Panel(
                "Processors",
                (
                    Query(
                        f"sum by (endpoint, revision) (rate(process_cpu_seconds_total{{{SERVERS}}}[$__rate_interval]))",
                        "{{endpoint}} {{revision}}",
                    ),
                ),
            ),
            Panel(
                "Memory",
                (
                    Query(
                        f"max by (endpoint, revision) (process_resident_memory_bytes{{{SERVERS}}})",
                        "{{endpoint}} {{revision}}",
                    ),
                ),
                "bytes",
            ),
            Panel(
                "Pods that answer",
                (
                    Query(
                        f"count by (endpoint, revision) (mlplat_model_info{{{SERVERS}}})", "{{endpoint}} {{revision}}"
                    ),
                ),
            ),
            Panel(
                "Rows of the prediction log",
                (
                    Query(
                        "sum by (endpoint, outcome)"
                        f" (rate(mlplat_prediction_log_rows_total{{{SERVERS}}}[$__rate_interval]))",
                        "{{endpoint}} {{outcome}}",
                    ),
                ),
                "rowsps",
            ),
        ),
    )


def _look_ups() -> Row:
    labels = "endpoint, revision, group"
    every = f"sum by ({labels}) (rate(mlplat_lookups_total{{{SERVERS}}}[$__rate_interval]))"
    unknown = f'sum by ({labels}) (rate(mlplat_lookups_total{{{SERVERS}, outcome=~"stale|absent"}}[$__rate_interval]))'
    buckets = f"sum by (le, endpoint) (rate(mlplat_lookup_seconds_bucket{{{SERVERS}}}[$__rate_interval]))"
    return Row(
        "Look-ups",
        (
            Panel(
                "Features unknown",
                (Query(f"{unknown} / ({every} > 0)", "{{endpoint}} {{revision}} {{group}}"),),
                "percentunit",
                description="Rows for which a group was not found, or is older than its `ttl_minutes`: the model was"
                " asked with nulls in its place. From a half on, FeaturesUnknown fires.",
                steps=((0.5, "red"),),
                most=1,
            ),
            Panel(
                "Time to look up",
                tuple(
                    Query(f"histogram_quantile({quantile}, {buckets})", f"{{{{endpoint}}}} p{round(quantile * 100)}")
                    for quantile in (0.5, 0.95, 0.99)
                ),
                "s",
                description="Of all groups of a request together, before the model is asked.",
            ),
            Panel(
                "Requests without their features",
                (
                    Query(
                        "sum by (endpoint, revision, reason)"
                        f" (rate(mlplat_lookup_failures_total{{{SERVERS}}}[$__rate_interval]))",
                        "{{endpoint}} {{revision}} {{reason}}",
                    ),
                ),
                "reqps",
                description="Answered with 503, since a model asked with nulls alone would answer as if nothing were"
                " wrong.",
            ),
        ),
    )


def _model() -> Row:
    summed = f"sum by (endpoint, revision) (rate(mlplat_predictions_sum{{{SERVERS}}}[$__rate_interval]))"
    counted = f"sum by (endpoint, revision) (rate(mlplat_predictions_count{{{SERVERS}}}[$__rate_interval]))"
    return Row(
        "Answers",
        (
            Panel(
                "Mean answer",
                (Query(f"{summed} / ({counted} > 0)", "{{endpoint}} {{revision}}"),),
                description="Of a classifier, the mean probability: to be held against the share that really happened.",
                width=12,
            ),
            Panel(
                "Distribution of answers",
                (Query(f"sum by (le) (increase(mlplat_predictions_bucket{{{SERVERS}}}[$__rate_interval]))", "{{le}}"),),
                kind="heatmap",
                width=12,
            ),
        ),
    )
