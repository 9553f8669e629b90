"""One model server from its options to its end: load, try, bind, answer, stop."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from types import FrameType

import orjson
import uvicorn

from mlplat.clock import Clock
from mlplat.errors import MlplatError
from mlplat.serving.app import Server
from mlplat.serving.lane import Lane
from mlplat.serving.metrics import Metrics, bounds
from mlplat.serving.model import Model, load
from mlplat.serving.options import Options
from mlplat.serving.predictionlog import Limits, PredictionLog
from mlplat.serving.protocol import Served, answer_rows

KEEP_ALIVE_SECONDS = 2 * 3600
"""Longer than a gateway keeps an idle connection (Envoy: 1 hour): this side never closes one that is used again."""
BACKLOG = 1024
WARM_UPS = 10


def build(options: Options, *, clock: Clock | None = None) -> Server:
    """Load the bundle and put a server around it. Raises `MlplatError` for one that is not served."""
    model = load(options.bundle, digest=options.digest)
    lane = Lane(options.waiting)
    origin = _origin(options, model)
    metrics = Metrics(info=origin, bounds=bounds(model.contract), waiting=lambda: lane.admitted)
    log = _log(options, model, origin, metrics, clock or Clock.from_environment())
    served = Served(model, options.model_version, options.revision, options.rows)
    _warm_up(served, lane)
    return Server(served, lane, metrics, log, body_bytes=options.body_bytes)


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Raises `MlplatError` when the bundle or the port cannot be had."""
    server = build(options)
    # What is loaded now lives as long as the process: the collector need not walk through it during a request.
    gc.collect()
    gc.freeze()
    bound = _bind(options.port)
    host, port = bound.getsockname()
    print(_start_line(server, options, f"http://{host}:{port}"), file=sys.stderr, flush=True)  # noqa: T201 - its log
    try:
        Uvicorn(server, options).run(sockets=[bound])
    finally:
        server.lane.close()
        if server.log is not None:
            server.log.close()


class Uvicorn(uvicorn.Server):
    """uvicorn, which says that it is not ready from the moment it is told to stop."""

    def __init__(self, server: Server, options: Options) -> None:
        self._mlplat = server
        super().__init__(
            uvicorn.Config(
                server.application(),
                http="httptools",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=options.stop_seconds,
            )
        )
        # uvicorn raises the signal again once it has stopped; the default handler would end the process before the
        # log is written, and with a status that reads as a failure.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop: running requests end, no new ones are taken."""
        self._mlplat.ready = False
        super().handle_exit(sig, frame)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Leave a signal that was already acted on."""


def _warm_up(served: Served, lane: Lane) -> None:
    """Answer the examples as requests would, so that the first one pays for no import and its size is known."""
    rows = [example.row for example in served.model.contract.examples][: served.rows]
    for sent in [rows[:1]] * WARM_UPS + [rows]:
        if sent:
            body = orjson.dumps({"rows": sent})
            lane.measured(len(body), answer_rows, served, body)


def _origin(options: Options, model: Model) -> dict[str, str]:
    return {
        "endpoint": str(options.endpoint),
        "revision": options.revision,
        "model": f"{model.contract.project}/{model.contract.model}",
        "version": options.model_version,
        "digest": model.digest,
    }


def _log(
    options: Options, model: Model, origin: dict[str, str], metrics: Metrics, clock: Clock
) -> PredictionLog | None:
    if options.log_dir is None:
        return None
    limits = Limits(options.log_rows, options.log_seconds, options.log_keep_bytes)
    written, dropped = metrics.written.inc, metrics.dropped.inc
    try:
        return PredictionLog(
            options.log_dir, model, origin=origin, limits=limits, written=written, dropped=dropped, clock=clock
        )
    except OSError as error:
        raise MlplatError(f"{options.log_dir}: the prediction log cannot be kept there: {error.strerror}") from error


def _bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        hint = f"`ss -ltnp 'sport = :{port}'` names the program that has it"
        raise MlplatError(f"port {port} on 127.0.0.1 cannot be had: {error.strerror}", hint=hint) from error
    bound.listen(BACKLOG)
    bound.set_inheritable(False)
    return bound


def _start_line(server: Server, options: Options, address: str) -> str:
    contract = server.served.model.contract
    return (
        f"mlplat.serving: {contract.project}/{contract.model} version {options.model_version} for {options.endpoint} "
        f"revision {options.revision} at {address}, rows as {server.served.model.engine.form}"
    )
