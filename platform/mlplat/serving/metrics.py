"""What a model server counts, in a registry of its own.

`mlplat_predictions` is the distribution of what the model answers. Its sum over its count is the mean probability, to
compare with the rate of what really happened once labels are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from mlplat.bundle import Contract

LATENCY = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; narrow where a table model answers."""
PROBABILITY = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Upper bounds of the buckets of a binary model's answers."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counters of one server."""

    def __init__(self, *, info: dict[str, str], bounds: tuple[float, ...], waiting: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nothing reads
        self.registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter("mlplat_requests", "Requests by status.", ["route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "mlplat_request_seconds", "Time to answer.", ["route"], buckets=LATENCY, registry=self.registry
        )
        self.rows = Counter("mlplat_rows", "Rows answered.", registry=self.registry)
        self.predictions = Distribution("mlplat_predictions", "What the model answers.", bounds)
        self.registry.register(self.predictions)
        logged = Counter(
            "mlplat_prediction_log_rows", "Rows of the prediction log.", ["outcome"], registry=self.registry
        )
        self.written, self.dropped = logged.labels("written"), logged.labels("dropped")
        Gauge("mlplat_waiting", "Requests admitted and not answered.", registry=self.registry).set_function(waiting)
        Gauge("mlplat_model_info", "What is served.", list(info), registry=self.registry).labels(**info).set(1)
        ProcessCollector(registry=self.registry)
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = route, status
        if (children := self._children.get(key)) is None:
            children = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def answered(self, scores: NDArray[np.float64]) -> None:
        """Count the answers of one request."""
        self.rows.inc(len(scores))
        self.predictions.observe(scores)

    def text(self) -> bytes:
        """Write everything in Prometheus's text format."""
        return generate_latest(self.registry)


class Distribution(Collector):
    """A histogram that takes a whole request's answers at once; prometheus-client's own takes one value a call."""

    def __init__(self, name: str, documentation: str, bounds: tuple[float, ...]) -> None:
        self._name, self._documentation = name, documentation
        self._bounds = np.array(bounds, dtype=np.float64)
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._sum = 0.0

    def observe(self, values: NDArray[np.float64]) -> None:
        """Count values; only ever called from the event loop."""
        self._sum += float(values.sum())
        places = np.searchsorted(self._bounds, values, side="left")
        if len(values) == 1:
            self._counts[places[0]] += 1
        else:
            self._counts += np.bincount(places, minlength=len(self._counts))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give the distribution in the form of a histogram."""
        family = HistogramMetricFamily(self._name, self._documentation)
        names = [*(str(bound) for bound in self._bounds.tolist()), "+Inf"]
        totals = np.cumsum(self._counts).tolist()
        family.add_metric([], list(zip(names, totals, strict=True)), sum_value=self._sum)
        yield family


def bounds(contract: Contract) -> tuple[float, ...]:
    """Return buckets for a model's answers: fixed for probabilities, between the deciles of its examples for values."""
    if contract.task == "binary":
        return PROBABILITY
    judged = {float(example.prediction) for example in contract.examples}
    if len(judged) < 2:  # noqa: PLR2004 - no spread to divide
        return ()
    return tuple(sorted({float(f"{q:.4g}") for q in np.quantile(list(judged), np.linspace(0.05, 0.95, 10)).tolist()}))
