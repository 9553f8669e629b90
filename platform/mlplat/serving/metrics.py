"""What a model server counts, in a registry of its own.

`mlplat_predictions` is the distribution of what the model answers. Its sum over its count is the mean probability, to
compare with the rate of what really happened once labels are known.

What is counted at every request is a number in a list here and becomes a metric when it is asked for: the client
library's own counters take a lock and a loop over their buckets each time, a tenth of the time of an answer. Only the
event loop's thread counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from mlplat.bundle import Contract

LATENCY = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; narrow where a table model answers."""
PROBABILITY = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Upper bounds of the buckets of a binary model's answers."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counters of one server."""

    def __init__(self, *, info: dict[str, str], bounds: tuple[float, ...]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nothing reads
        self.registry = CollectorRegistry(auto_describe=False)
        self.requests = Requests()
        self.request = self.requests.count
        self.predictions = Distribution("mlplat_predictions", "What the model answers.", bounds)
        self.rows = 0
        """Rows answered."""
        self.registry.register(self.requests)
        self.registry.register(self.predictions)
        self.registry.register(_Rows(self))
        logged = Counter(
            "mlplat_prediction_log_rows", "Rows of the prediction log.", ["outcome"], registry=self.registry
        )
        self.written, self.dropped = logged.labels("written"), logged.labels("dropped")
        skipped = Counter(
            "mlplat_not_begun", "Admitted requests that were not computed.", ["reason"], registry=self.registry
        )
        self.abstained = Counter("mlplat_abstained", "Rows left to a person.", registry=self.registry)
        self.explained = Counter("mlplat_explained", "Rows explained.", registry=self.registry)
        self.too_late, self.gone = skipped.labels("deadline"), skipped.labels("gone")
        self._waiting = Gauge("mlplat_waiting", "Requests admitted and not answered.", registry=self.registry)
        self._buffered = Gauge("mlplat_buffered_bytes", "Bodies received and not answered.", registry=self.registry)
        self._connections = Gauge("mlplat_connections", "Open connections.", registry=self.registry)
        Gauge("mlplat_model_info", "What is served.", list(info), registry=self.registry).labels(**info).set(1)
        ProcessCollector(registry=self.registry)

    def answered(self, scores: NDArray[np.float64]) -> None:
        """Count the answers of one request."""
        self.rows += len(scores)
        self.predictions.observe(scores)

    def count_waiting(self, count: Callable[[], int]) -> None:
        """Let `mlplat_waiting` say how many requests are admitted."""
        self._waiting.set_function(count)

    def count_connections(self, count: Callable[[], int], buffered: Callable[[], int]) -> None:
        """Let `mlplat_connections` say how many are open, and `mlplat_buffered_bytes` what is held of their bodies."""
        self._connections.set_function(count)
        self._buffered.set_function(buffered)

    def text(self) -> bytes:
        """Write everything in Prometheus's text format."""
        return generate_latest(self.registry)


class LookUpMetrics:
    """What a model counts whose features are looked up; others have none of these series."""

    def __init__(self, metrics: Metrics, groups: Sequence[str]) -> None:
        registry = metrics.registry
        rows = Counter(
            "mlplat_lookups", "Rows for which a group was looked up.", ["group", "outcome"], registry=registry
        )
        self.seconds = Histogram(
            "mlplat_lookup_seconds", "Time to look up a request's features.", buckets=LATENCY, registry=registry
        )
        self.failures = Counter(
            "mlplat_lookup_failures", "Requests without their features.", ["reason"], registry=registry
        )
        outcomes = ("found", "absent", "stale")
        self._rows = {(group, outcome): rows.labels(group, outcome) for group in groups for outcome in outcomes}

    def count(self, group: str, outcome: str, rows: int) -> None:
        """Count rows for which a group was looked up; in any thread."""
        self._rows[group, outcome].inc(rows)


class Requests(Collector):
    """Requests by route and status, and the time to answer by route."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}
        self._times: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = route, status
        self._counts[key] = self._counts.get(key, 0) + 1
        if (times := self._times.get(route)) is None:
            times = self._times[route] = [0] * (len(LATENCY) + 1)
            self._sums[route] = 0.0
        times[bisect_left(LATENCY, seconds)] += 1
        self._sums[route] += seconds

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """Give the counts in the form of a counter and a histogram."""
        requests = CounterMetricFamily("mlplat_requests", "Requests by status.", labels=["route", "status"])
        for (route, status), count in self._counts.items():
            requests.add_metric([route, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily("mlplat_request_seconds", "Time to answer.", labels=["route"])
        for route, times in self._times.items():
            seconds.add_metric([route], _buckets(LATENCY, times), sum_value=self._sums[route])
        yield seconds


class Distribution(Collector):
    """A histogram that takes a whole request's answers at once."""

    def __init__(self, name: str, documentation: str, bounds: tuple[float, ...]) -> None:
        self._name, self._documentation = name, documentation
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, values: NDArray[np.float64]) -> None:
        """Count values."""
        if len(values) == 1:
            value = float(values[0])
            self._sum += value
            self._counts[bisect_left(self._bounds, value)] += 1
            return
        self._sum += float(values.sum())
        places = np.searchsorted(np.array(self._bounds), values, side="left")
        for place, count in enumerate(np.bincount(places, minlength=len(self._counts)).tolist()):
            self._counts[place] += count

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give the distribution in the form of a histogram."""
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], _buckets(self._bounds, self._counts), sum_value=self._sum)
        yield family


class _Rows(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily("mlplat_rows", "Rows answered.", value=self._metrics.rows)


def _buckets(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    names = [*map(str, bounds), "+Inf"]
    return [(name, sum(counts[: place + 1])) for place, name in enumerate(names)]


def bounds(contract: Contract) -> tuple[float, ...]:
    """Return buckets for a model's answers: fixed for probabilities, between the deciles of its examples for values."""
    if contract.task == "binary":
        return PROBABILITY
    judged = {float(example.prediction) for example in contract.examples}
    if len(judged) < 2:  # noqa: PLR2004 - no spread to divide
        return ()
    return tuple(sorted({float(f"{q:.4g}") for q in np.quantile(list(judged), np.linspace(0.05, 0.95, 10)).tolist()}))
