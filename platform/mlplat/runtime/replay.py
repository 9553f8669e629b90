"""Sending past rows to an endpoint at a steady rate, and counting what comes back.

It is bounded by its rows, its rate and its time, and ends cleanly when it is asked to. Connections are kept open, one a
thread, as a service that asks many times would.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from mlplat.bundle import Row
from mlplat.errors import UsageError

TIMEOUT = 30.0
"""Seconds until a request without an answer counts as failed."""


@dataclass
class Tally:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    """Answers by HTTP status, and what failed without one by the error's name."""
    versions: Counter[str] = field(default_factory=Counter)
    """Answers by the model version that gave them."""
    latencies: list[float] = field(default_factory=list)
    """Seconds from sending a request to having its whole answer."""

    def add(self, other: Tally) -> None:
        """Take another tally in."""
        self.statuses += other.statuses
        self.versions += other.versions
        self.latencies += other.latencies

    def described(self, seconds: float) -> dict[str, Any]:
        """Return it as JSON, for a replay of so many seconds."""
        quantiles = np.quantile(self.latencies, [0.5, 0.95, 0.99]) * 1000 if self.latencies else [0.0] * 3
        sent = self.statuses.total()
        return {
            "sent": sent,
            "failed": sent - self.statuses["200"],
            "statuses": dict(self.statuses),
            "versions": dict(self.versions),
            "seconds": round(seconds, 1),
            "per_second": round(sent / seconds, 1) if seconds else 0.0,
            "milliseconds": {
                name: round(float(q), 2) for name, q in zip(("p50", "p95", "p99"), quantiles, strict=True)
            },
        }


def replay(
    url: str, rows: Sequence[Row], *, rate: float, threads: int, seconds: float | None, stop: threading.Event
) -> dict[str, Any]:
    """Send rows to a `/predict` URL, one a request, `rate` a second on `threads` connections.

    Without `seconds` it ends after the last row; with it, it begins again and ends after that time. `stop` ends it at
    once. Returns counts and latencies. Raises `UsageError` for a URL that is none.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"`{url}` is no http address")
    numbers, lock, total = itertools.count(), threading.Lock(), Tally()
    bodies = [json.dumps({"rows": [row]}).encode() for row in rows]
    begun = time.monotonic()

    def work() -> None:
        tally = Tally()
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
        while not stop.is_set():
            with lock:
                number = next(numbers)
            due = begun + number / rate
            if (seconds is None and number >= len(bodies)) or (seconds is not None and due > begun + seconds):
                break
            if stop.wait(max(0.0, due - time.monotonic())):
                break
            _ask(connection, parts.path, bodies[number % len(bodies)], tally)
        connection.close()
        with lock:
            total.add(tally)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return total.described(time.monotonic() - begun)


def _ask(connection: http.client.HTTPConnection, path: str, body: bytes, tally: Tally) -> None:
    started = time.perf_counter()
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # the next request opens it again
        tally.statuses[type(error).__name__] += 1
        return
    tally.latencies.append(time.perf_counter() - started)
    tally.statuses[str(answer.status)] += 1
    if answer.status == http.client.OK:
        tally.versions[str(json.loads(content)["version"])] += 1
