"""What the gateway counts, by endpoint: the series that alerts and dashboards of endpoints rest on."""

from __future__ import annotations

from dataclasses import dataclass

from mlplat.watching.rule import Group, Recording, copied

REQUESTS = "endpoint:requests:rate5m"
FAILURES = "endpoint:failures:rate5m"
TIMED = "endpoint:timed:rate5m"
SLOW = "endpoint:slow:rate5m"
BUCKETS = "endpoint:latency_ms_bucket:rate5m"
NAMES = "endpoint:route:info"
"""Which endpoint a route is of: 1 for each pair."""
BY = "endpoint, in_namespace"
"""Labels of every record of an endpoint."""
CLUSTERS = "httproute/([^/]+)/([^/]+)/rule/[0-9]*[02468](/backend/[0-9]+)?"
"""What Envoy Gateway calls the backends of a rule, with namespace and route in it. Those that get copies are called
`…/rule/0-mirror-0`: what they answer, no caller sees. Odd rules are those of explanations, of which nothing is promised
(`manifests.route`)."""
REMEMBERED = "1d"
"""For how long routes keep their endpoints' names while there is no controller to tell them."""


@dataclass(frozen=True)
class Counted:
    """How an endpoint is read from what Envoy calls its backends."""

    clusters: str
    """Expression that their names match."""
    labels: tuple[tuple[str, str], ...]
    """Labels and the parts of the name that they are, as `$1`."""
    named: bool
    """Whether only the controller knows which endpoint it is."""


ROUTED = Counted(CLUSTERS, (("in_namespace", "$1"), ("route", "$2")), named=True)
"""On a cluster, by Envoy Gateway."""
HERE = Counted("([^/]+/[^/]+)/r[0-9]+", (("endpoint", "$1"),), named=False)
"""On one computer, by our own controller, whose clusters for explanations have a name that goes on."""


def records(latency_ms: int, counted: Counted = ROUTED) -> Group:
    """Return what is recorded of every endpoint; an answer that took longer than `latency_ms` is slow."""
    # Prometheus 3 writes a bound `500` as `500.0`, and Prometheus 2 as it was.
    bound = f'le=~"{latency_ms}([.]0)?"'
    failed = _rate(counted, "envoy_cluster_upstream_rq_xx", 'envoy_response_code_class="5"')
    quick = _rate(counted, "envoy_cluster_upstream_rq_time_bucket", bound)
    return Group(
        "gateway",
        (
            *([Recording(NAMES, _names())] if counted.named else []),
            # Not of `upstream_rq_total`, which leaves out requests that found nobody to answer them.
            Recording(REQUESTS, _rate(counted, "envoy_cluster_upstream_rq_xx")),
            # Envoy makes the counter of a class at its first answer: until then there is no failure, and no series.
            Recording(FAILURES, f"{failed} or 0 * {REQUESTS}"),
            Recording(TIMED, _rate(counted, "envoy_cluster_upstream_rq_time_count")),
            Recording(SLOW, f"clamp_min({TIMED} - {quick}, 0)"),
            Recording(BUCKETS, _rate(counted, "envoy_cluster_upstream_rq_time_bucket", more="le, ")),
        ),
    )


def _names() -> str:
    # A route's name is cut and has a hash, since Envoy's names of clusters end at a dot: only the controller knows
    # whose it is.
    told = copied(f"last_over_time(mlplat_endpoint_route[{REMEMBERED}])", "name", "endpoint")
    return f"max by (route, endpoint) ({told})"


def _rate(counted: Counted, metric: str, selector: str = "", more: str = "") -> str:
    """Return how fast counters of clusters grow, by endpoint and, on a cluster, namespace."""
    every = ", ".join(filter(None, [f'envoy_cluster_name=~"{counted.clusters}"', selector]))
    rates = f"sum by ({more}envoy_cluster_name) (rate({metric}{{{every}}}[5m]))"
    for label, value in counted.labels:
        rates = f'label_replace({rates}, "{label}", "{value}", "envoy_cluster_name", "{counted.clusters}")'
    if not counted.named:
        return f"sum by ({more}endpoint) ({rates})"
    return f"sum by ({more}{BY}) ({rates} * on (route) group_left (endpoint) {NAMES})"
