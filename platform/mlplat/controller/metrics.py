"""What the controller tells of itself: `GET /health` and `GET /metrics`."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

from mlplat.controller.document import Endpoint
from mlplat.labels import Name
from mlplat.manifests import route

ALIVE_INTERVALS = 5
"""Passes that may be missed before the controller counts as hung."""
ALIVE_LEAST_SECONDS = 30.0
"""A pass may wait for the platform's lock or fetch a bundle."""

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Metrics:
    """The controller's own figures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Counter("mlplat_controller_passes", "Passes made.", registry=self.registry)
        self.seconds = Histogram("mlplat_controller_pass_seconds", "Duration of a pass.", registry=self.registry)
        self.failures = Gauge(
            "mlplat_controller_failures", "Passes that failed for an endpoint since the start.",
            ["endpoint"], registry=self.registry,
        )  # fmt: skip
        self.phase = Gauge(
            "mlplat_endpoint_phase", "1 for the phase an endpoint is in.", ["endpoint", "phase"], registry=self.registry
        )
        self.weight = Gauge(
            "mlplat_endpoint_challenger_weight_percent", "Share of the traffic that the challenger gets.",
            ["endpoint"], registry=self.registry,
        )  # fmt: skip
        self.route = Gauge(
            "mlplat_endpoint_route", "1 for the route that a cluster's gateway counts an endpoint's requests by.",
            ["name", "route"], registry=self.registry,
        )  # fmt: skip
        self.alarm = Gauge(
            "mlplat_endpoint_alarm", "1 while the newest verdict on what an endpoint serves raises this alarm.",
            ["endpoint", "kind"], registry=self.registry,
        )  # fmt: skip
        self.retraining_failed = Gauge(
            "mlplat_endpoint_retraining_failed", "1 while an endpoint's newest retraining is one that failed.",
            ["endpoint"], registry=self.registry,
        )  # fmt: skip
        self.schedule_failed = Gauge(
            "mlplat_schedule_failed", "1 while the newest scheduled run of a flow is one that failed.",
            ["project", "flow"], registry=self.registry,
        )  # fmt: skip
        self._troubled = Gauge("mlplat_controller_trouble", "1 while no pass can be made.", registry=self.registry)
        self.last_pass = time.monotonic()
        self.trouble = ""
        """Why no pass can be made at the moment."""

    def failed(self, trouble: str) -> None:
        """Take note that no pass can be made."""
        self.trouble = trouble
        self._troubled.set(1)

    def waits(self) -> None:
        """Take note that another controller is at work, and all is well."""
        self.last_pass, self.trouble = time.monotonic(), ""

    def passed(self, endpoints: Iterable[Endpoint], failures: dict[str, int], seconds: float) -> None:
        """Take note of a pass."""
        self.last_pass, self.trouble = time.monotonic(), ""
        self._troubled.set(0)
        self.passes.inc()
        self.seconds.observe(seconds)
        for gauge in (self.phase, self.weight, self.failures, self.route):
            gauge.clear()
        for endpoint in endpoints:
            self.phase.labels(endpoint.spec.name, endpoint.status.phase).set(1)
            self.weight.labels(endpoint.spec.name).set(endpoint.status.weight)
            self.failures.labels(endpoint.spec.name).set(failures.get(endpoint.spec.name, 0))
            self.route.labels(endpoint.spec.name, route.name(endpoint.name)).set(1)

    def monitored(self, alarms: Mapping[Name, Iterable[str]], failed: Iterable[Name] = ()) -> None:
        """Take note of the alarms of endpoints' monitors, by kind, and of the endpoints whose retraining failed."""
        self.alarm.clear()
        for name, kinds in alarms.items():
            for kind in kinds:
                self.alarm.labels(str(name), kind).set(1)
        self.retraining_failed.clear()
        for name in failed:
            self.retraining_failed.labels(str(name)).set(1)

    def scheduled(self, flows: Iterable[tuple[str, str]], failing: Collection[tuple[str, str]]) -> None:
        """Take note of the flows, by project, that have a schedule, and of those whose newest run failed."""
        self.schedule_failed.clear()
        for each in flows:
            self.schedule_failed.labels(*each).set(each in failing)

    def is_alive(self, interval: float) -> bool:
        """Tell whether the last pass was made not long ago."""
        return time.monotonic() - self.last_pass < max(ALIVE_INTERVALS * interval, ALIVE_LEAST_SECONDS)


def application(metrics: Metrics, interval: Callable[[], float]) -> Wsgi:
    """Return the WSGI application of both pages."""
    page: Wsgi = make_wsgi_app(metrics.registry)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/health":
            return page(environ, start)
        wrong = metrics.trouble or ("" if metrics.is_alive(interval()) else "no pass was made lately")
        start("503 Service Unavailable" if wrong else "200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{wrong or 'ok'}\n".encode()]

    return answer


def serve(port: int, app: Wsgi, host: str = "127.0.0.1") -> WSGIServer:
    """Answer on one address from a thread. Raises `OSError` when the port is taken."""
    kind = _Version6 if ":" in host else WSGIServer
    server = make_server(host, port, app, server_class=kind, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Version6(WSGIServer):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the log for events."""
