"""Rollouts: both versions side by side, and what the controller makes of them."""

from __future__ import annotations

from mlplat.watching.dashboards.panel import Board, Panel, Query, Row, Variable
from mlplat.watching.rule import copied

SERVERS = 'endpoint=~"$endpoint", revision!=""'
ROUTES = ("predict", "model-infer")
"""Of predictions: probes and explanations take other times, and a rollout is not judged by them."""
BOTH = "{{endpoint}} {{revision}}"
ENDPOINT = Variable("endpoint", "mlplat_model_info", "endpoint")


def board() -> Board:
    """Return the page of rollouts."""
    return Board(
        "mlplat-rollout",
        "Rollouts",
        "A new version beside the one that serves. The controller judges by what the gateway counts; here is what the"
        " model servers say of themselves, by revision.",
        (_state(), _revisions()),
        (ENDPOINT,),
        alerts='alertname=~"Rollout.+|Deploy.+", endpoint=~"$endpoint|"',
    )


def of_controller(metric: str, matchers: str = "") -> str:
    """Return a controller's series of the chosen endpoints, however it was scraped."""
    # Chosen after the label has its name: a matcher inside would look at the port's name.
    return f"{copied(f'{metric}{matchers}', 'exported_endpoint', 'endpoint')} and on (endpoint) {_chosen()}"


def _chosen() -> str:
    return 'group by (endpoint) (mlplat_model_info{endpoint=~"$endpoint"})'


def _state() -> Row:
    return Row(
        "State",
        (
            Panel(
                "Phase",
                (Query(f"({of_controller('mlplat_endpoint_phase')}) == 1", "{{endpoint}} {{phase}}"),),
                kind="state-timeline",
                width=12,
                texts={"1": "yes"},
            ),
            Panel(
                "Share of the new version",
                (Query(f"({of_controller('mlplat_endpoint_challenger_weight_percent')})", "{{endpoint}}"),),
                "percent",
                width=12,
                most=100,
            ),
        ),
    )


def _revisions() -> Row:
    predictions = f'{SERVERS}, route=~"{"|".join(ROUTES)}"'
    rate = f"rate(mlplat_requests_total{{{predictions}}}[$__rate_interval])"
    failed = f'rate(mlplat_requests_total{{{predictions}, status=~"5.."}}[$__rate_interval])'
    buckets = f"rate(mlplat_request_seconds_bucket{{{predictions}}}[$__rate_interval])"
    by = "sum by (endpoint, revision)"
    mean = (
        f"{by} (rate(mlplat_predictions_sum{{{SERVERS}}}[$__rate_interval]))"
        f" / ({by} (rate(mlplat_predictions_count{{{SERVERS}}}[$__rate_interval])) > 0)"
    )
    return Row(
        "By revision",
        (
            Panel("Requests", (Query(f"{by} ({rate})", BOTH),), "reqps", width=12),
            Panel(
                "Failing share",
                (Query(f"({by} ({failed}) or 0 * {by} ({rate})) / ({by} ({rate}) > 0)", BOTH),),
                "percentunit",
                width=12,
            ),
            Panel(
                "Time to answer, 95th percentile",
                (Query(f"histogram_quantile(0.95, sum by (le, endpoint, revision) ({buckets}))", BOTH),),
                "s",
                width=12,
            ),
            Panel(
                "Mean answer",
                (Query(mean, BOTH),),
                description="Two versions may well differ here: that alone is no reason to go back.",
                width=12,
            ),
            Panel(
                "Versions",
                (
                    Query(
                        f"max by (endpoint, revision, model, version) (mlplat_model_info{{{SERVERS}}})",
                    ),
                ),
                kind="table",
                width=24,
            ),
        ),
    )
