"""The controller's life on a cluster: wait for the lease, then pass after pass, until it is to end or has lost it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from mlplat.cluster import Cluster
from mlplat.controller.errands import Errands
from mlplat.controller.kubernetes import lease as leases
from mlplat.controller.kubernetes import settings as settings_file
from mlplat.controller.kubernetes.actuator import ClusterActuator
from mlplat.controller.kubernetes.bundles import Bundles, ClusterRegistry
from mlplat.controller.kubernetes.lease import Lease
from mlplat.controller.kubernetes.logs import Logs
from mlplat.controller.kubernetes.retraining import ArgoRunner
from mlplat.controller.kubernetes.settings import Settings
from mlplat.controller.kubernetes.store import KubernetesStore
from mlplat.controller.live import Live
from mlplat.controller.metrics import Metrics, application, serve
from mlplat.controller.reconcile import Reconciler
from mlplat.controller.retraining import Attendant
from mlplat.controller.transitions import Moment
from mlplat.errors import MlplatError
from mlplat.serving import fetch

SOON_SECONDS = 1.0
"""How often a rollout is looked at: each look asks all proxies, and writes what it saw."""
LEAST_SECONDS = 0.2
"""Between two passes, however much is written: the API server is everybody's."""
LOOK_SECONDS = 0.2

log = logging.getLogger("mlplat.controller")


def run(
    cluster: Cluster,
    path: Path,
    *,
    host: str,
    holder: str,
    models: Path,
    stop: threading.Event,
    leave: Callable[[], None],
) -> bool:
    """Reconcile until `stop` is set; tell whether the lease was kept until then. Raises `MlplatError` at the start.

    `models` is a folder for fetched bundles, which may be empty whenever this begins. `leave` ends the process: it is
    called when the lease is lost and a pass does not end by itself before another controller may begin.
    """
    live = Live(path, settings_file.read)
    metrics = Metrics()
    lease = Lease(cluster, holder)
    server = serve(live.now.port, application(metrics, lambda: live.now.interval), host)
    lost = threading.Event()

    def end() -> None:
        lost.set()
        stop.set()
        last = threading.Timer((leases.DURATION - leases.GIVING_UP) / 2, leave)
        last.daemon = True
        last.start()

    try:
        if _wait_for(lease, metrics, stop):
            log.info("%s holds the lease", holder)
            leases.keep(lease, stop, end)
            with httpx.Client(trust_env=False) as http:
                _follow(cluster, live, http, metrics, models, stop)
    finally:
        server.shutdown()
        server.server_close()
        if not lost.is_set():
            stop.set()
            lease.release()
    log.info("the controller ends; what runs goes on")
    return not lost.is_set()


def _wait_for(lease: Lease, metrics: Metrics, stop: threading.Event) -> bool:
    """Wait until the lease is ours; a controller that waits is in good health."""
    while not stop.is_set():
        try:
            if lease.take():
                return True
            metrics.waits()
        except MlplatError as error:
            metrics.failed(error.message)
        stop.wait(leases.LOOK)
    return False


def _follow(
    cluster: Cluster, live: Live[Settings], http: httpx.Client, metrics: Metrics, models: Path, stop: threading.Event
) -> None:
    """Open the store anew whenever the teams have changed, or it could not be read."""
    objects = fetch.client()
    logs = Logs(objects, lambda: live.now, Errands())
    while not stop.is_set():
        namespaces = live.now.namespaces
        store = KubernetesStore(cluster, namespaces, wishes_only=True)
        try:
            with store:
                archives = partial(_archives, objects, live, models)
                _reconcile(store, live, http, metrics, archives, logs, stop)
        except MlplatError as error:
            if metrics.trouble != error.message:
                log.warning("%s", error.message)
            metrics.failed(error.message)
            stop.wait(live.now.interval)
            live.refresh()


def _archives(objects: Any, live: Live[Settings], models: Path) -> Bundles:
    return Bundles(objects, live.now.objects.bucket, models)


def _reconcile(
    store: KubernetesStore,
    live: Live[Settings],
    http: httpx.Client,
    metrics: Metrics,
    archives: Callable[[], Bundles],
    logs: Logs,
    stop: threading.Event,
) -> None:
    """Make pass after pass while the teams stay the same. Raises `MlplatError` when the store fails."""
    actuator = ClusterActuator(store.cluster, store, lambda: live.now, archives, http)
    registry = _Registry(live, http, archives)
    reconciler = Reconciler(
        store, actuator, registry, lambda: Moment(store.seconds(), live.now.now_by().now()), Errands(), actuator.limits
    )
    runner = ArgoRunner(store, registry)
    attendant = Attendant(store, runner, registry, Errands())
    strangers: list[tuple[str, str]] = []
    while not stop.is_set() and live.now.namespaces == store.namespaces:
        live.refresh()
        began = time.monotonic()
        seen = store.version()
        store.adopt()
        strangers = _tell(strangers, store.strangers())
        pace = reconciler.run()
        attendant.attend(live.now.now_by().now())
        logs.attend(live.now.now_by().now())
        metrics.monitored(attendant.kinds, attendant.failed)
        metrics.passed(store.endpoints(), reconciler.failures, time.monotonic() - began)
        _wait(store, seen, {"now": LEAST_SECONDS, "soon": SOON_SECONDS, "later": live.now.interval}[pace], stop)


class _Registry:
    """The registry by the present settings: one for as long as they are the same."""

    def __init__(self, live: Live[Settings], http: httpx.Client, archives: Callable[[], Bundles]) -> None:
        self._live, self._http, self._archives = live, http, archives
        self._made: tuple[Settings, ClusterRegistry] | None = None

    def __call__(self) -> ClusterRegistry:
        settings = self._live.now
        if self._made is None or self._made[0] != settings:
            bundles = self._archives()
            teams = set(settings.namespaces.values())
            made = ClusterRegistry(settings.tracking, bundles.folder, self._http, bundles, lambda: teams)
            self._made = (settings, made)
        return self._made[1]


def _tell(told: list[tuple[str, str]], found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    for namespace, name in found:
        if (namespace, name) not in told:
            log.warning("%s/%s: its project does not belong to this team: it is not looked at", namespace, name)
    return found


def _wait(store: KubernetesStore, seen: int, seconds: float, stop: threading.Event) -> None:
    """Wait until it is time again, or somebody wished something."""
    until = time.monotonic() + seconds
    stop.wait(min(LEAST_SECONDS, seconds))
    while (left := until - time.monotonic()) > 0 and not stop.wait(min(LOOK_SECONDS, left)):
        if store.version() != seen:
            return
