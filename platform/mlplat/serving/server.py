"""One model server from its options to its end: load, try, bind, answer, stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from typing import Any

import orjson

from mlplat.clock import Clock
from mlplat.errors import MlplatError
from mlplat.serving.app import Server
from mlplat.serving.connection import Limits as ConnectionLimits
from mlplat.serving.features import Features
from mlplat.serving.metrics import LookUpMetrics, Metrics, bounds
from mlplat.serving.model import Model, load
from mlplat.serving.options import Options
from mlplat.serving.parts import Privacy, read_key
from mlplat.serving.predictionlog import Limits, PredictionLog
from mlplat.serving.protocol import Served

BACKLOG = 1024
WARM_UPS = 10
LOG_SECONDS = 2.0
"""Of the time to stop, what is kept for writing the log."""
SWITCH_SECONDS = 0.0005
"""Longest that a thread holds the interpreter while another waits; Python's own 5 ms would be a health check's too."""


def build(options: Options, *, clock: Clock | None = None) -> Server:
    """Load the bundle and put a server around it. Raises `MlplatError` for one that is not served."""
    model = load(options.bundle, digest=options.digest)
    origin = _origin(options, model)
    metrics = Metrics(info=origin, bounds=bounds(model.contract))
    clock = clock or Clock.from_environment()
    log = _log(options, model, origin, metrics, clock)
    served = Served(model, options.model_version, options.revision, options.rows)
    limits = ConnectionLimits(
        connections=options.connections,
        head_seconds=options.head_seconds,
        body_seconds=options.body_seconds,
        idle_seconds=options.idle_seconds,
        body_bytes=options.body_bytes,
        buffered_bytes=max(ConnectionLimits.buffered_bytes, 2 * options.body_bytes),
    )
    server = Server(
        served,
        metrics,
        log,
        limits=limits,
        waiting=options.waiting,
        wait_seconds=options.wait_seconds,
        features=_features(options, model, metrics, clock),
    )
    rows = [example.row for example in model.contract.examples][: options.rows]
    if rows:
        server.warm_up([orjson.dumps({"rows": sent}) for sent in [rows[:1]] * WARM_UPS + [rows]])
    return server


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Raises `MlplatError` when the bundle or the port cannot be had."""
    server = build(options)
    # What is loaded now lives as long as the process: the collector need not walk through it during a request.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    bound = _bind(options.host, options.port)
    host = f"[{options.host}]" if bound.family == socket.AF_INET6 else options.host
    print(_start_line(server, options, f"http://{host}:{bound.getsockname()[1]}"), file=sys.stderr, flush=True)  # noqa: T201 - its log
    _run(_serve(server, bound, options))


async def _serve(server: Server, bound: socket.socket, options: Options) -> None:
    """Answer until a signal comes, then end within `stop_seconds`."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    hub = server.hub()
    await hub.listen(bound, BACKLOG)
    await told.wait()
    server.ready = False
    end = time.monotonic() + options.stop_seconds
    if not await hub.stop(max(options.stop_seconds - LOG_SECONDS, options.stop_seconds / 2)):
        print("warning: some requests were not answered in time", file=sys.stderr)  # noqa: T201 - its log
    server.close()
    if server.log is not None:
        server.log.close(max(0.0, end - time.monotonic()))


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # it has no build for some systems
        asyncio.run(work)
    else:
        uvloop.run(work)


def _origin(options: Options, model: Model) -> dict[str, str]:
    return {
        "endpoint": str(options.endpoint),
        "revision": options.revision,
        "model": f"{model.contract.project}/{model.contract.model}",
        "version": options.model_version,
        "digest": model.digest,
    }


def _features(options: Options, model: Model, metrics: Metrics, clock: Clock) -> Features | None:
    if not options.features or not model.contract.lookups:
        return None
    counted = LookUpMetrics(metrics, [each.group for each in model.contract.lookups])
    timeout = options.features_timeout_ms / 1000
    contract = model.contract
    return Features(
        options.features, contract, counted, clock=clock, timeout=timeout, wait_seconds=options.wait_seconds
    )


def _log(
    options: Options, model: Model, origin: dict[str, str], metrics: Metrics, clock: Clock
) -> PredictionLog | None:
    if options.log_dir is None:
        return None
    limits = Limits(
        options.log_rows,
        options.log_seconds,
        options.log_keep_bytes,
        options.log_keep_seconds,
        is_shipped=options.log_shipped,
    )
    key = read_key(options.log_key) if options.log_hash and options.log_key else b""
    privacy = Privacy(frozenset(options.log_exclude), frozenset(options.log_hash), key)
    privacy.check(model.contract.columns, f"prediction log of {options.endpoint}")
    written, dropped = metrics.written.inc, metrics.dropped.inc
    try:
        return PredictionLog(
            options.log_dir,
            model,
            origin=origin,
            limits=limits,
            written=written,
            dropped=dropped,
            clock=clock,
            privacy=privacy,
        )
    except OSError as error:
        raise MlplatError(f"{options.log_dir}: the prediction log cannot be kept there: {error.strerror}") from error


def _bind(host: str, port: int) -> socket.socket:
    # Pods of some clusters have addresses of version 6 alone.
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        hint = f"`ss -ltnp 'sport = :{port}'` names the program that has it"
        raise MlplatError(f"port {port} on {host} cannot be had: {error.strerror}", hint=hint) from error
    bound.listen(BACKLOG)
    bound.set_inheritable(False)
    return bound


def _start_line(server: Server, options: Options, address: str) -> str:
    contract = server.served.model.contract
    return (
        f"mlplat.serving: {contract.project}/{contract.model} version {options.model_version} for {options.endpoint} "
        f"revision {options.revision} at {address}, rows as {server.served.model.engine.form}"
    )
