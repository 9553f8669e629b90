"""The model server's routes: what each request is answered with, what is counted, and what the log keeps of it.

A prediction is a `Call`: admitted on the event loop, computed where and with whom the lane says (`lane.py`), answered,
counted and logged on the loop again. All other routes are answered at once.
"""

from __future__ import annotations

import math
import re
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import orjson
from numpy.typing import NDArray

from mlplat.serving import coding
from mlplat.serving.columns import Columns, InputError, joined
from mlplat.serving.completion import Completion
from mlplat.serving.connection import CLIENT_GONE, JSON, Hub, Limits, Request
from mlplat.serving.explainer import MOST_ROWS, WAITING, Explainer
from mlplat.serving.features import Features, LookUpError
from mlplat.serving.gaps import Count, Opened, Opener, open_rows, open_tensors
from mlplat.serving.lane import KINDS, Busy, Lane
from mlplat.serving.metrics import CONTENT_TYPE, LookUpMetrics, Metrics
from mlplat.serving.model import ModelError
from mlplat.serving.openapi import openapi
from mlplat.serving.predictionlog import PredictionLog
from mlplat.serving.protocol import (
    Asked,
    FormatError,
    Protocol,
    Served,
    TooManyRowsError,
    model_metadata,
    read_rows,
    read_tensors,
    server_metadata,
)

DEADLINES = (b"x-request-timeout-ms", b"x-envoy-expected-rq-timeout-ms")
"""Milliseconds from a request's first byte after which nobody waits for its answer: a caller's own, and what Envoy
tells of its route's. The shorter one counts."""
SMOKE_TEST = b"x-mlplat-smoke-test"
"""Header of the controller's own requests, whose rows are no traffic; the gateway takes it off everybody else's."""
OPENERS: dict[Protocol, Opener] = {read_rows: open_rows, read_tensors: open_tensors}
"""How a request is read that may leave things to look-ups."""
BINARY = b"inference-header-content-length"
TENSORS_KIND, GZIP_KIND = KINDS // 4, KINDS // 2
_TEXT = f"content-type: {CONTENT_TYPE}\r\n".encode()
_GZIP = b"content-encoding: gzip\r\nvary: accept-encoding\r\n"
_JSON_GZIP = JSON + _GZIP
_MODEL_PATH = re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<tail>infer|ready))?")


class Problem(Exception):  # noqa: N818 - an answer, not a failure
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, headers: bytes = b"") -> None:
        self.status, self.message, self.headers = status, message, headers
        super().__init__(message)


View = Callable[["Route", Request], None]


@dataclass(frozen=True)
class Route:
    """One path: its name in the metrics, and what answers each method."""

    name: str
    views: dict[bytes, View] = field(default_factory=dict)

    @property
    def allowed(self) -> bytes:
        """The methods, for the header `allow`."""
        return b", ".join(self.views)


class Server:
    """What the routes share: one model, its lane, its counters and its log."""

    def __init__(
        self,
        served: Served,
        metrics: Metrics,
        log: PredictionLog | None = None,
        *,
        limits: Limits | None = None,
        waiting: int = 1024,
        wait_seconds: float = 1.0,
        features: Features | None = None,
    ) -> None:
        self.served, self.metrics, self.log = served, metrics, log
        self.limits = limits or Limits()
        self.lane: Lane[Call] = Lane(self._compute, self._finish, waiting=waiting, seconds=wait_seconds)
        self._completion = self._completing(features, waiting, wait_seconds) if served.model.contract.lookups else None
        metrics.count_waiting(lambda: self.lane.admitted + (self._completion.admitted if self._completion else 0))
        explaining = served.model.contract.explaining
        self._few = replace(served, rows=min(served.rows, MOST_ROWS))
        self._explainer = Explainer(served.model, explaining) if explaining else None
        # A lane of their own, with so few places that they bound the wait: no prediction stands behind an explanation.
        self._explained: Lane[Call] = Lane(self._explain, self._finish_explained, waiting=WAITING, seconds=math.inf)
        self.ready = True
        self._metadata = orjson.dumps(model_metadata(served))
        self._openapi = orjson.dumps(openapi(served, self.limits))
        self._routes = dict(self._paths())

    def hub(self) -> Hub:
        """Return the connections through which this server is asked."""
        hub = Hub(self.handle, self.limits, lambda status: self.metrics.request("refused", status, 0.0))
        self.metrics.count_connections(lambda: len(hub.connections), lambda: hub.buffered)
        return hub

    def handle(self, request: Request) -> None:
        """Answer a request now, or admit it and answer it later."""
        route = self._routes.get(request.path) or self._find(request.path)
        try:
            view = route.views.get(request.method)
            if view is None:
                self._check_path(route, request)
            else:
                view(route, request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self.fail(route, request, error)

    def warm_up(self, bodies: Sequence[bytes]) -> None:
        """Answer rows as requests would bring them, so that the first one pays for no import and its size is known."""
        for body in bodies:
            request = Request(None, b"POST", "/predict", {}, body)
            self.lane.measured([Call(self._routes["/predict"], request, read_rows, 0)])

    def close(self) -> None:
        """End the threads once they have done what they were given; they are not waited for."""
        self.lane.close()
        self._explained.close()
        if self._completion is not None:
            self._completion.close()

    def reply(self, route: Route, request: Request, status: int, body: bytes, headers: bytes = JSON) -> None:
        """Answer and count."""
        self.metrics.request(route.name, status, time.monotonic() - request.began)
        request.answer(status, body, headers)

    def fail(self, route: Route, request: Request, error: Exception) -> None:
        """Answer with an error."""
        status, document, headers = _described(error)
        self.reply(route, request, status, orjson.dumps(document), JSON + headers)

    def _paths(self) -> list[tuple[str, Route]]:
        contract = self.served.model.contract
        bases = [f"/v2/models/{contract.model}", f"/v2/models/{contract.model}/versions/{self.served.version}"]
        rows = self._predict(read_rows, 0)
        tensors = self._predict(read_tensors, TENSORS_KIND)
        explain = [("/explain", Route("explain", {b"POST": self._ask_why}))] if self._explainer else []
        return [
            ("/predict", Route("predict", {b"POST": rows})),
            *explain,
            *((f"{base}/infer", Route("model-infer", {b"POST": tensors})) for base in bases),
            *((f"{base}/ready", Route("model-ready", _get(self._model_ready))) for base in bases),
            *((base, Route("model", _get(self._model))) for base in bases),
            ("/v2", Route("server", _get(self._server))),
            ("/v2/health/live", Route("live", _get(self._live))),
            ("/v2/health/ready", Route("ready", _get(self._ready))),
            ("/metrics", Route("metrics", _get(self._metrics))),
            ("/openapi.json", Route("openapi", _get(self._document))),
        ]

    def _find(self, path: str) -> Route:
        """Return the route of a path that is written in another way, or none's."""
        if not path.startswith("/"):
            path = urlsplit(path).path  # a proxy's form, with scheme and host
        return self._routes.get(unquote(path), _NOWHERE)

    def _check_path(self, route: Route, request: Request) -> None:
        """Say why nothing answers: another method, another model, another version, no such path."""
        if route.views:
            raise Problem(405, f"the method must be {route.allowed.decode()}", b"allow: %s\r\n" % route.allowed)
        found, contract = _MODEL_PATH.fullmatch(unquote(request.path)), self.served.model.contract
        if found and found["model"] != contract.model:
            raise Problem(404, f"no model `{found['model'][:64]}` is served here; it is `{contract.model}`")
        if found and found["version"] not in {None, self.served.version}:
            raise Problem(404, f"version {self.served.version} of `{contract.model}` is served here")
        raise Problem(404, "there is nothing at this path; `/openapi.json` lists what there is")

    def _completing(self, features: Features | None, waiting: int, seconds: float) -> Completion:
        """Return what stands before the lanes of a model with look-ups."""
        body_bytes = self.limits.body_bytes
        groups = [each.group for each in self.served.model.contract.lookups]
        count = features.metrics.count if features else LookUpMetrics(self.metrics, groups).count
        return Completion(
            features,
            lambda call, served: call.open(served, body_bytes, count),
            self._fail_call,
            waiting=waiting,
            seconds=seconds,
        )

    def _admit(self, call: Call, served: Served, forward: Callable[[Call], None]) -> None:
        """Have a call computed, once it is complete. Raises `Problem`."""
        if self._completion is None:
            forward(call)
            return
        try:
            self._completion.submit(call, served, forward)
        except Busy as busy:
            raise _busy(busy) from None

    def _predict(self, protocol: Protocol, kind: int) -> View:
        def predict(route: Route, request: Request) -> None:
            self._admit(Call(route, request, protocol, kind), self.served, self._submit)

        return predict

    def _submit(self, call: Call) -> None:
        try:
            self.lane.submit(call)
        except Busy as busy:
            raise _busy(busy) from None

    def _ask_why(self, route: Route, request: Request) -> None:
        """Admit a request for explanations."""
        self._admit(Call(route, request, read_rows, 0), self._few, self._submit_why)

    def _submit_why(self, call: Call) -> None:
        """Admit it, or say that others are before it.

        That is no 5xx: a gateway would count it as a failure of the version, and a rollout would end for it.
        """
        try:
            self._explained.submit(call)
        except Busy as busy:
            again = b"retry-after: %d\r\n" % busy.seconds
            raise Problem(429, "other explanations are being made; predictions are answered meanwhile", again) from None

    def _explain(self, calls: Sequence[Call]) -> None:
        """Explain the rows of each call; in any thread."""
        assert self._explainer is not None  # noqa: S101 - without one there is no route
        for call in calls:
            if (columns := call.read(self._few, self.limits.body_bytes)) is not None:
                try:
                    found = self._explainer.explain(columns)
                    call.put(found.scores, self._explainer.written(self.served, found))
                except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
                    call.error = error

    def _finish_explained(self, calls: Sequence[Call]) -> None:
        """Answer and count; on the loop's thread. Nobody was told a prediction that a log should hold."""
        for call in calls:
            if self._reply_call(call) and call.scores is not None:
                self.metrics.explained.inc(len(call.scores))

    def _compute(self, calls: Sequence[Call]) -> None:
        """Answer calls together, and each on its own when one of them cannot be; in any thread."""
        served, limit = self.served, self.limits.body_bytes
        ready = [(call, columns) for call in calls if (columns := call.read(served, limit)) is not None]
        if len(ready) > 1 and _scored_together(served, ready):
            return
        for call, columns in ready:
            try:
                call.write(served.model.score_columns(columns))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
                call.error = error

    def _finish(self, calls: Sequence[Call]) -> None:
        """Answer, count and log; on the loop's thread."""
        for call in calls:
            if not self._reply_call(call) or call.scores is None or call.asked is None:
                continue
            if SMOKE_TEST not in call.request.headers:
                self.metrics.answered(call.scores)
                if self.served.model.contract.abstain:
                    self.metrics.abstained.inc(int(self.served.model.abstained(call.scores).sum()))
                if self.log is not None:
                    self.log.add(call.request.name, call.asked.columns, call.scores)

    def _reply_call(self, call: Call) -> bool:
        """Answer; tell whether with what was asked for."""
        if call.body is None:
            self._fail_call(call)
            return False
        status = CLIENT_GONE if call.request.gone else 200
        self.reply(call.route, call.request, status, call.body, _JSON_GZIP if call.coded else JSON)
        return True

    def _fail_call(self, call: Call) -> None:
        if call.begun:
            self.fail(call.route, call.request, call.error or RuntimeError("there is no answer"))
        elif call.request.gone:
            self.metrics.gone.inc()
            self.reply(call.route, call.request, CLIENT_GONE, b"")
        else:
            self.metrics.too_late.inc()
            late = Problem(504, "the request's time was over before it could be computed")
            self.fail(call.route, call.request, late)

    def _server(self, route: Route, request: Request) -> None:
        self.reply(route, request, 200, orjson.dumps(server_metadata()))

    def _model(self, route: Route, request: Request) -> None:
        self.reply(route, request, 200, self._metadata)

    def _model_ready(self, route: Route, request: Request) -> None:
        answer = {"name": self.served.model.contract.model, "ready": self.ready}
        self.reply(route, request, 200 if self.ready else 503, orjson.dumps(answer))

    def _live(self, route: Route, request: Request) -> None:
        self.reply(route, request, 200, b'{"live":true}')

    def _ready(self, route: Route, request: Request) -> None:
        self.reply(route, request, 200 if self.ready else 503, orjson.dumps({"ready": self.ready}))

    def _metrics(self, route: Route, request: Request) -> None:
        self._reply_coded(route, request, self.metrics.text(), _TEXT)

    def _document(self, route: Route, request: Request) -> None:
        self._reply_coded(route, request, self._openapi, JSON)

    def _reply_coded(self, route: Route, request: Request, body: bytes, headers: bytes) -> None:
        if coding.wanted(request.headers.get(b"accept-encoding"), len(body)):
            body, headers = coding.compress(body), headers + _GZIP
        self.reply(route, request, 200, body, headers)


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


def _busy(busy: Busy) -> Problem:
    again = b"retry-after: %d\r\n" % busy.seconds
    return Problem(503, "the server is busy: what waits already fills the time it may wait", again)


def _scored_together(served: Served, ready: Sequence[tuple[Call, Columns]]) -> bool:
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


def _get(view: View) -> dict[bytes, View]:
    return {b"GET": view, b"HEAD": view}


def _described(error: Exception) -> tuple[int, dict[str, Any], bytes]:
    """Return status, body and headers of an error."""
    if isinstance(error, Problem):
        return error.status, {"error": error.message}, error.headers
    if isinstance(error, coding.CodingError | LookUpError):
        return error.status, {"error": error.message}, error.headers
    if isinstance(error, InputError):
        status = 400 if isinstance(error, FormatError) else 413 if isinstance(error, TooManyRowsError) else 422
        return status, {"error": error.message, "details": list(error.details)}, b""
    if isinstance(error, ModelError):
        return 500, {"error": error.message}, b""
    traceback.print_exception(error, file=sys.stderr)
    return 500, {"error": f"the server failed: {type(error).__name__}"}, b""


_NOWHERE = Route("other")
