"""The controller's life: pass after pass, sooner when somebody wrote a wish or something is under way."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import httpx

from mlplat.controller import settings as settings_file
from mlplat.controller.alarms import Seen
from mlplat.controller.errands import Errands
from mlplat.controller.live import Live
from mlplat.controller.local import OWNER, LocalActuator
from mlplat.controller.metrics import Metrics, application, serve
from mlplat.controller.post import Post
from mlplat.controller.reconcile import Reconciler
from mlplat.controller.registry import MlflowRegistry
from mlplat.controller.retraining import Attendant
from mlplat.controller.settings import Settings
from mlplat.controller.store import SqliteStore
from mlplat.controller.timetable import Timetable
from mlplat.controller.transitions import Moment
from mlplat.controller.unattended import SCHEDULE, LocalRunner, Unattended
from mlplat.errors import MlplatError
from mlplat.supervision import Supervisor

LOOK_SECONDS = 0.2
"""How soon a wish is seen, and how often a rollout is looked at."""

log = logging.getLogger("mlplat.controller")


class LiveSettings(Live[Settings]):
    """The local controller's settings file, read again when it has changed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, settings_file.read)


def run(path: Path, stop: threading.Event) -> None:
    """Reconcile until `stop` is set. Raises `MlplatError` when it cannot begin.

    A store that cannot be read is no reason to end: what runs goes on, `/health` says it, and it is opened again.
    """
    live = LiveSettings(path)
    metrics = Metrics()
    server = serve(live.now.port, application(metrics, lambda: live.now.interval))
    try:
        with httpx.Client(trust_env=False) as http:
            while not stop.is_set():
                try:
                    with _open(live.now) as store:
                        log.info("the controller follows %s", store.path)
                        _follow(live, store, http, metrics, stop)
                except MlplatError as error:
                    if metrics.trouble != error.message:
                        log.warning("%s", error.message)
                    metrics.failed(error.message)
                    stop.wait(live.now.interval)
                    live.refresh()
    finally:
        server.shutdown()
        server.server_close()
    log.info("the controller ends; what runs goes on")


def _open(settings: Settings) -> SqliteStore:
    # An empty store is only the truth where nothing serves.
    serves = any(owner.startswith(OWNER) for owner in Supervisor(settings.state).owners())
    return SqliteStore.open(settings.store, create=not serves)


def _follow(
    live: LiveSettings, store: SqliteStore, http: httpx.Client, metrics: Metrics, stop: threading.Event
) -> None:
    """Make pass after pass. Raises `StateError` when the store fails."""
    actuator = LocalActuator(lambda: live.now, http)
    reconciler = Reconciler(
        store, actuator, lambda: _registry(live.now, http), lambda: _moment(store, live.now), Errands()
    )
    attendant = Attendant(store, LocalRunner(lambda: live.now), lambda: _registry(live.now, http), Errands())
    timetable = Timetable(store, Unattended(lambda: live.now, SCHEDULE), live.now.state)
    post = Post(store, Errands())
    while not stop.is_set():
        live.refresh()
        began = time.monotonic()
        store.check()
        seen = store.version()
        pace = reconciler.run()
        now = live.now.now_by().now()
        attendant.attend(now)
        timetable.attend(now)
        endpoints = store.endpoints()
        post.tell(Seen(endpoints, attendant.alarms, attendant.failed, timetable.failing), now, live.now.webhook)
        post.deliver(live.now.webhook)
        metrics.monitored(attendant.kinds, attendant.failed)
        metrics.scheduled(((each.project, each.flow) for each in timetable.entries), timetable.failing)
        metrics.passed(endpoints, reconciler.failures, time.monotonic() - began)
        _wait(store, seen, {"now": 0.0, "soon": LOOK_SECONDS, "later": live.now.interval}[pace], stop)


def _wait(store: SqliteStore, seen: int, seconds: float, stop: threading.Event) -> None:
    """Wait until it is time again, or somebody wrote."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stop.wait(min(LOOK_SECONDS, left)):
        if store.version() != seen:
            return


def _registry(settings: Settings, http: httpx.Client) -> MlflowRegistry:
    return MlflowRegistry(settings.tracking, settings.state / "models", http)


def _moment(store: SqliteStore, settings: Settings) -> Moment:
    return Moment(store.seconds(), settings.now_by().now())
