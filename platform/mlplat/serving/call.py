"""One prediction, from its admission to its answer: what the lane computes, alone or with others."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlplat.serving import coding
from mlplat.serving.columns import Columns, joined
from mlplat.serving.connection import Request
from mlplat.serving.gaps import Count, Opened, Opener, open_rows, open_tensors
from mlplat.serving.lane import KINDS
from mlplat.serving.problem import Problem
from mlplat.serving.protocol import Asked, Protocol, Served, Unknown, read_rows, read_tensors
from mlplat.serving.route import Route

DEADLINES = (b"x-request-timeout-ms", b"x-envoy-expected-rq-timeout-ms")
"""Milliseconds from a request's first byte after which nobody waits for its answer: a caller's own, and what Envoy
tells of its route's. The shorter one counts."""
OPENERS: dict[Protocol, Opener] = {read_rows: open_rows, read_tensors: open_tensors}
"""How a request is read that may leave things to look-ups."""
BINARY = b"inference-header-content-length"
TENSORS_KIND, GZIP_KIND = KINDS // 4, KINDS // 2


class Call:
    """One prediction, from its admission to its answer; a task of the lane."""

    __slots__ = (
        "asked",
        "begun",
        "body",
        "coded",
        "deadline",
        "error",
        "kind",
        "opened",
        "protocol",
        "request",
        "route",
        "scores",
    )

    def __init__(self, route: Route, request: Request, protocol: Protocol, kind: int) -> None:
        self.route, self.request, self.protocol = route, request, protocol
        headers = request.headers
        if BINARY in headers:
            raise Problem(415, "binary tensors are not taken here: send them as JSON (tritonclient: binary_data=False)")
        self.coded = coding.is_coded(headers)
        self.kind = kind + min(len(request.body).bit_length(), TENSORS_KIND - 1) + (GZIP_KIND if self.coded else 0)
        self.deadline = deadline(headers, request.began)
        self.begun = False
        self.opened: Opened | None = None
        """What the request leaves out, once that is known; only of a model with look-ups."""
        self.asked: Asked | None = None
        self.scores: NDArray[np.float64] | None = None
        self.body: bytes | None = None
        """The answer, once there is one."""
        self.error: Exception | None = None

    def is_wanted(self) -> bool:
        """Tell whether somebody still waits for the answer."""
        return not self.request.gone and (self.deadline is None or time.monotonic() < self.deadline)

    @property
    def unknown(self) -> Unknown:
        """Groups of features of which nothing is known, by row."""
        return self.asked.unknown if self.asked else {}

    def succeeded(self) -> bool:
        """Tell whether there is an answer."""
        return self.body is not None

    def open(self, served: Served, limit: int, count: Count) -> None:
        """Read the request as far as needed to know what it leaves out; `filled` does the rest when it is computed."""
        try:
            body = coding.decompress(self.request.body, limit) if self.coded else self.request.body
            opened = self.opened = OPENERS[self.protocol](served, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self.refuse(error)
        else:
            self.coded = False
            self.protocol = lambda *_: opened.filled(count)

    def refuse(self, error: Exception) -> None:
        """Have the call answered with an error."""
        self.begun, self.error = True, error

    def read(self, served: Served, limit: int) -> Columns | None:
        """Read the request and return its rows; None when they are not what they should be."""
        self.begun = True
        try:
            body = coding.decompress(self.request.body, limit) if self.coded else self.request.body
            self.asked = self.protocol(served, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self.error = error
            return None
        return self.asked.columns

    def write(self, scores: NDArray[np.float64]) -> None:
        """Write the answer."""
        assert self.asked is not None  # noqa: S101 - only what was read has scores
        self.put(scores, self.asked.reply(scores))

    def put(self, scores: NDArray[np.float64], body: bytes) -> None:
        """Keep an answer's scores, and its body as the caller wants it coded."""
        self.scores, self.body = scores, body
        if coding.wanted(self.request.headers.get(b"accept-encoding"), len(self.body)):
            self.body, self.coded = coding.compress(self.body), True
        else:
            self.coded = False


def scored_together(served: Served, ready: Sequence[tuple[Call, Columns]]) -> bool:
    """Score the rows of several calls at once; tell whether all of them have answers."""
    first = served.model.schema.names[0]
    try:
        scores = served.model.score_columns(joined([columns for _, columns in ready]))
        start = 0
        for call, columns in ready:
            end = start + len(columns[first])
            call.write(scores[start:end])
            start = end
    except Exception:  # noqa: BLE001 - whose rows are at fault shows when each is scored alone
        return False
    return True


def deadline(headers: dict[bytes, bytes], began: float) -> float | None:
    """Return the `time.monotonic()` until which an answer is waited for. Raises `Problem` for a time that is none."""
    times: list[float] = []
    for name in DEADLINES:
        if (stated := headers.get(name)) is None:
            continue
        if not stated.isdigit() or len(stated) > 12:  # noqa: PLR2004 - thirty years
            raise Problem(400, f"{name.decode()}: must be a whole number of milliseconds")
        times.append(began + int(stated) / 1000)
    return min(times, default=None)
