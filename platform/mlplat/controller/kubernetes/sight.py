"""Seeing that somebody wrote: watches on threads, each of which ends by itself and begins anew."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlplat.cluster import Cluster
from mlplat.errors import MlplatError
from mlplat.manifests import crd, names

WATCH_SECONDS = 60.0
"""A connection that died without a word is noticed so late at most."""
PAUSE_SECONDS = 2.0
"""Before another try where the API server does not answer."""

log = logging.getLogger("mlplat.controller")


class Sight:
    """A number that changes whenever an endpoint's resource did, by what of it matters."""

    def __init__(
        self, cluster: Cluster, namespaces: Iterable[str], matters: Callable[[Mapping[str, Any]], object]
    ) -> None:
        self._cluster = cluster
        self._namespaces = sorted(set(namespaces))
        self._matters = matters
        self._count = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def number(self) -> int:
        """Return the number; the first time, begin to look."""
        if not self._threads:
            self._threads = [
                threading.Thread(target=self._follow, args=(each,), name=f"watch {each}", daemon=True)
                for each in self._namespaces
            ]
            for thread in self._threads:
                thread.start()
        return self._count

    def close(self) -> None:
        """Look no more; a watch that is under way ends by itself."""
        self._end.set()

    def _follow(self, namespace: str) -> None:
        seen: dict[str, object] = {}
        while not self._end.is_set():
            try:
                self._look(namespace, seen)
            except MlplatError as error:
                log.debug("%s: endpoints cannot be watched: %s", namespace, error.message)
                self._end.wait(PAUSE_SECONDS)

    def _look(self, namespace: str, seen: dict[str, object]) -> None:
        # What happened between two watches is told by nobody: the number changes once with each.
        self._changed()
        for kind, document in self._cluster.watch(
            names.API_VERSION, crd.KIND, namespace=namespace, seconds=WATCH_SECONDS
        ):
            if self._end.is_set():
                return
            uid, now = document["metadata"]["uid"], self._matters(document)
            if kind == "DELETED":
                seen.pop(uid, None)
            elif seen.get(uid) == now:
                continue
            else:
                seen[uid] = now
            self._changed()

    def _changed(self) -> None:
        with self._lock:
            self._count += 1
