"""The model server's routes: what each request is answered with, what is counted, and what the log keeps of it.

A prediction is a `Call`: admitted on the event loop, computed where and with whom the lane says (`lane.py`), answered,
counted and logged on the loop again. All other routes are answered at once.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import orjson

from mlplat.serving import coding
from mlplat.serving.call import TENSORS_KIND, Call, scored_together
from mlplat.serving.completion import Completion
from mlplat.serving.connection import CLIENT_GONE, JSON, Hub, Limits, Request
from mlplat.serving.explainer import MOST_ROWS, WAITING, Explainer
from mlplat.serving.features import Features
from mlplat.serving.lane import Busy, Lane
from mlplat.serving.metrics import CONTENT_TYPE, LookUpMetrics, Metrics
from mlplat.serving.openapi import openapi
from mlplat.serving.predictionlog import PredictionLog
from mlplat.serving.problem import Problem, described
from mlplat.serving.protocol import (
    Protocol,
    Served,
    model_metadata,
    read_rows,
    read_tensors,
    server_metadata,
)
from mlplat.serving.route import Route, View, get

SMOKE_TEST = b"x-mlplat-smoke-test"
"""Header of the controller's own requests, whose rows are no traffic; the gateway takes it off everybody else's."""
EXPLAIN = "/explain"
"""Path of explanations; written in another way, with percent signs, it is none."""
_TEXT = f"content-type: {CONTENT_TYPE}\r\n".encode()
_GZIP = b"content-encoding: gzip\r\nvary: accept-encoding\r\n"
_JSON_GZIP = JSON + _GZIP
_MODEL_PATH = re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<tail>infer|ready))?")


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
        status, document, headers = described(error)
        self.reply(route, request, status, orjson.dumps(document), JSON + headers)

    def _paths(self) -> list[tuple[str, Route]]:
        contract = self.served.model.contract
        bases = [f"/v2/models/{contract.model}", f"/v2/models/{contract.model}/versions/{self.served.version}"]
        rows = self._predict(read_rows, 0)
        tensors = self._predict(read_tensors, TENSORS_KIND)
        explain = [(EXPLAIN, Route("explain", {b"POST": self._ask_why}))] if self._explainer else []
        return [
            ("/predict", Route("predict", {b"POST": rows})),
            *explain,
            *((f"{base}/infer", Route("model-infer", {b"POST": tensors})) for base in bases),
            *((f"{base}/ready", Route("model-ready", get(self._model_ready))) for base in bases),
            *((base, Route("model", get(self._model))) for base in bases),
            ("/v2", Route("server", get(self._server))),
            ("/v2/health/live", Route("live", get(self._live))),
            ("/v2/health/ready", Route("ready", get(self._ready))),
            ("/metrics", Route("metrics", get(self._metrics))),
            ("/openapi.json", Route("openapi", get(self._document))),
        ]

    def _find(self, path: str) -> Route:
        """Return the route of a path that is written in another way, or none's."""
        if not path.startswith("/"):
            path = urlsplit(path).path  # a proxy's form, with scheme and host
        found = self._routes.get(unquote(path), _NOWHERE)
        # The gateway tells explanations from predictions, which alone count, by the path as it is written.
        return _NOWHERE if found.name == "explain" and path != EXPLAIN else found

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
                    call.put(found.scores, self._explainer.written(self.served, found, call.unknown))
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
        if len(ready) > 1 and scored_together(served, ready):
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


def _busy(busy: Busy) -> Problem:
    again = b"retry-after: %d\r\n" % busy.seconds
    return Problem(503, "the server is busy: what waits already fills the time it may wait", again)


_NOWHERE = Route("other")
