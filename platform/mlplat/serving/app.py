"""The model server's routes, and what stands around each of them: a request's name, its count, its limits.

Predictions run on the event loop while they are short, and in a thread beside it when a health check would have to wait
for them (`lane.py`).
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlplat.serving.columns import InputError
from mlplat.serving.lane import Busy, Lane
from mlplat.serving.metrics import CONTENT_TYPE, Metrics
from mlplat.serving.model import ModelError
from mlplat.serving.predictionlog import PredictionLog
from mlplat.serving.protocol import (
    FormatError,
    Protocol,
    Served,
    TooManyRowsError,
    answer_rows,
    answer_tensors,
    model_metadata,
    server_metadata,
)

BODY_SECONDS = 10.0
"""Time a client has to send its body: it holds one of the admitted places meanwhile."""
_REQUEST_ID = re.compile(r"[!-~]{1,128}")


class Server:
    """What the routes share: one model, its lane, its counters and its log."""

    def __init__(
        self, served: Served, lane: Lane, metrics: Metrics, log: PredictionLog | None, *, body_bytes: int
    ) -> None:
        self.served, self.lane, self.metrics, self.log = served, lane, metrics, log
        self.body_bytes = body_bytes
        self.ready = True

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        model = "/v2/models/{model}"
        version = f"{model}/versions/{{version}}"
        routes = [
            Route("/predict", self._predict(answer_rows), methods=["POST"]),
            *(Route(f"{path}/infer", self._predict(answer_tensors), methods=["POST"]) for path in (model, version)),
            *(Route(f"{path}/ready", self._model_ready) for path in (model, version)),
            *(Route(path, self._model_metadata) for path in (model, version)),
            Route("/v2", self._server_metadata),
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._ready),
            Route("/metrics", self._metrics),
        ]
        handlers: dict[Any, Any] = {
            HTTPException: _http_error,
            InputError: _input_error,
            ModelError: _model_error,
            ClientDisconnect: _gone,
            Exception: _bug,
        }
        return Around(Starlette(routes=routes, exception_handlers=handlers), self.metrics)

    def _predict(self, protocol: Protocol) -> Callable[[Request], Awaitable[Response]]:
        async def predict(request: Request) -> Response:
            self._check_model(request)
            try:
                with self.lane.admit():
                    body = await read_body(request, self.body_bytes)
                    answer = await self.lane.run(len(body), protocol, self.served, body)
            except Busy:
                raise HTTPException(503, "the server is busy", headers={"retry-after": "1"}) from None
            self.metrics.answered(answer.scores)
            if self.log is not None:
                self.log.add(request.scope["state"]["request_id"], answer.columns, answer.scores)
            return _json_bytes(answer.body)

        return predict

    def _check_model(self, request: Request) -> None:
        """Refuse another model's name or version (404); the row route names neither."""
        wanted, contract = request.path_params, self.served.model.contract
        if wanted.get("model", contract.model) != contract.model:
            raise HTTPException(404, f"no model `{wanted['model'][:64]}` is served here; it is `{contract.model}`")
        if wanted.get("version", self.served.version) != self.served.version:
            raise HTTPException(404, f"version {self.served.version} of `{contract.model}` is served here")

    async def _server_metadata(self, _: Request) -> Response:
        return _json(server_metadata())

    async def _model_metadata(self, request: Request) -> Response:
        self._check_model(request)
        return _json(model_metadata(self.served))

    async def _model_ready(self, request: Request) -> Response:
        self._check_model(request)
        return _json({"name": self.served.model.contract.model, "ready": self.ready}, 200 if self.ready else 503)

    async def _live(self, _: Request) -> Response:
        return _json({"live": True})

    async def _ready(self, _: Request) -> Response:
        return _json({"ready": self.ready}, 200 if self.ready else 503)

    async def _metrics(self, _: Request) -> Response:
        return Response(self.metrics.text(), headers={"content-type": CONTENT_TYPE})


class Around:
    """Names each request, answers with that name, and counts it by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        name = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = name

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name.encode())]
            await send(message)

        try:
            await self._app(scope, receive, named)
        finally:
            self._metrics.request(_route(scope), status, time.perf_counter() - started)


async def read_body(request: Request, limit: int) -> bytes:
    """Read a request's body: 413 above `limit` bytes, 408 when it does not come."""
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _parts(request, limit)
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {BODY_SECONDS:g} s") from None


async def _parts(request: Request, limit: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > limit:
            raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {limit} bytes")


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = str(value.decode("latin-1"))
            return text if _REQUEST_ID.fullmatch(text) else uuid.uuid4().hex
    return uuid.uuid4().hex


def _route(scope: Scope) -> str:
    """Return a route's name for the metrics: a bounded set, whatever paths are asked for."""
    path: str = scope["path"]
    if path == "/predict":
        return "predict"
    if path.startswith("/v2/models/"):
        tail = path.rsplit("/", 1)[1]
        return f"model-{tail}" if tail in {"infer", "ready"} else "model"
    return {"/metrics": "metrics", "/v2/health/live": "live", "/v2/health/ready": "ready", "/v2": "server"}.get(
        path, "other"
    )


def _json(document: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return _json_bytes(orjson.dumps(document), status, headers)


def _json_bytes(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")


async def _http_error(_: Request, error: HTTPException) -> Response:
    return _json({"error": error.detail}, error.status_code, dict(error.headers or {}))


async def _input_error(_: Request, error: InputError) -> Response:
    status = 400 if isinstance(error, FormatError) else 413 if isinstance(error, TooManyRowsError) else 422
    return _json({"error": error.message, "details": list(error.details)}, status)


async def _model_error(_: Request, error: ModelError) -> Response:
    return _json({"error": error.message}, 500)


async def _gone(_: Request, _error: ClientDisconnect) -> Response:
    return _json({"error": "the client went away"}, 400)  # nobody reads it; it is counted


async def _bug(_: Request, error: Exception) -> Response:
    return _json({"error": f"the server failed: {type(error).__name__}"}, 500)
