"""One controller at a time: a Lease, held for as long as it is renewed.

A Deployment that replaces its pod ends the old one first, but a node that is cut off goes on by itself. So whoever
writes holds the lease, and who could not renew it in time ends at once, before another may begin. Clocks of two nodes
differ: a lease has run out when it was not seen to change for its whole duration, by the clock of whoever looks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mlplat.cluster import Cluster, ConflictError
from mlplat.errors import MlplatError
from mlplat.manifests import names
from mlplat.manifests.rbac import LEASE

API_VERSION, KIND = "coordination.k8s.io/v1", "Lease"
DURATION = 15.0
"""Seconds after which another may take it."""
RENEWAL = 3.0
GIVING_UP = 10.0
"""Seconds without a renewal after which its holder ends: well before anybody else begins."""
LOOK = 1.0

Document = dict[str, Any]

log = logging.getLogger("mlplat.controller")


class Lease:
    """The lease as one controller sees it."""

    def __init__(self, cluster: Cluster, holder: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self.holder = holder
        self._monotonic = monotonic
        self._seen: tuple[object, float] | None = None
        self._renewed: float | None = None

    def take(self) -> bool:
        """Take or renew it if it may be; tell whether it is held. Raises `UnreachableError`."""
        began = self._monotonic()
        present = self._cluster.get(API_VERSION, KIND, LEASE, names.NAMESPACE)
        try:
            if present is None:
                self._cluster.create(self._document({}, {"leaseTransitions": 0, "acquireTime": _now()}))
            elif not self._may_take(present["spec"]):
                return False
            else:
                self._cluster.replace(self._document(present["metadata"], self._renewal(present["spec"])))
        except ConflictError:
            # Somebody else was faster; whether that was us is seen at the next look.
            return False
        self._renewed = began
        return True

    def is_held(self) -> bool:
        """Tell whether nobody else can have begun."""
        return self._renewed is not None and self._monotonic() - self._renewed < GIVING_UP

    def release(self) -> None:
        """Give it back, so that the next one begins at once. What goes wrong only makes that one wait."""
        try:
            present = self._cluster.get(API_VERSION, KIND, LEASE, names.NAMESPACE)
            if present is not None and present["spec"].get("holderIdentity") == self.holder:
                freed = {**present["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                self._cluster.replace({**present, "spec": freed})
        except MlplatError as error:
            log.warning("the lease runs out by itself: %s", error.message)
        self._renewed = None

    def _may_take(self, spec: Document) -> bool:
        if spec.get("holderIdentity") in (self.holder, "", None):
            return True
        state, now = (spec.get("holderIdentity"), spec.get("renewTime")), self._monotonic()
        if self._seen is None or self._seen[0] != state:
            self._seen = (state, now)
        return now - self._seen[1] >= float(spec.get("leaseDurationSeconds", DURATION))

    def _renewal(self, spec: Document) -> Document:
        if spec.get("holderIdentity") == self.holder:
            return {"acquireTime": spec.get("acquireTime", _now()), "leaseTransitions": spec.get("leaseTransitions", 0)}
        return {"acquireTime": _now(), "leaseTransitions": int(spec.get("leaseTransitions", 0)) + 1}

    def _document(self, metadata: Document, spec: Document) -> Document:
        head = {"name": LEASE, "namespace": names.NAMESPACE}
        held = {"holderIdentity": self.holder, "leaseDurationSeconds": int(DURATION), "renewTime": _now()}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {**metadata, **head}, "spec": {**spec, **held}}


def keep(lease: Lease, stop: threading.Event, lost: Callable[[], None]) -> threading.Thread:
    """Renew a lease that is held, on a thread, until `stop`; call `lost` when it could not be in time."""

    def renew() -> None:
        while not stop.wait(RENEWAL):
            try:
                if not lease.take():
                    log.error("another controller has the lease")
                    return lost()
            except MlplatError as error:
                log.warning("the lease cannot be renewed: %s", error.message)
            if not lease.is_held():
                log.error("the lease was not renewed for %.0f s", GIVING_UP)
                return lost()
        return None

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    return thread


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
