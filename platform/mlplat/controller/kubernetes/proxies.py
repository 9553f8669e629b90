"""What the gateway's proxies have counted: each revision's answers as clients see them, failed connections included.

A proxy counts since it started, by places in a route's list. Proxies come and go, and a place may be another revision's
later. So what is new since the last look is added up here by revision. Another controller begins anew from its first
look on, which the windows of a rollout take for a gateway that was started again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlplat.controller.gateway import read_samples
from mlplat.controller.window import Window

Page = str
"""Envoy's counters as its Prometheus page has them."""


@dataclass
class Tally:
    """Counters of revisions that only grow, from those of proxies that come and go."""

    totals: dict[str, Window] = field(default_factory=dict)
    """What each revision has answered since the first look."""
    active: dict[str, int] = field(default_factory=dict)
    """Requests that each was answering at the last look."""
    _seen: dict[tuple[str, str], Window] = field(default_factory=dict)
    _is_first: bool = True

    def look(self, pages: Mapping[str, Page], places: Mapping[str, str]) -> None:
        """Take in the pages of all proxies, by proxy; `places` says which revision has which of Envoy's clusters.

        A proxy that is seen for the first time has counted for us since it started, except at the very first look:
        what was before that is nobody's.
        """
        active: dict[str, int] = {}
        for proxy, page in pages.items():
            for cluster, revision in places.items():
                now, running = read_samples(page, cluster)
                active[revision] = active.get(revision, 0) + running
                before = self._seen.get((proxy, cluster))
                self._seen[proxy, cluster] = now
                if before is not None or not self._is_first:
                    self.totals[revision] = self.totals.get(revision, Window()) + now.since(before or Window())
        self.active, self._is_first = active, False
        self._seen = {key: kept for key, kept in self._seen.items() if key[0] in pages}
