"""One look at everything, and the next small step for each endpoint.

A pass makes what runs agree with the documents, then observes, then writes the next status: an intent, which the next
pass makes so. Nothing is remembered in between but when to try again, what is asked of the registry at the moment, and
when a process last answered; so the controller may end at any point, and whoever comes next goes on from the documents.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from mlplat.controller import transitions
from mlplat.controller.actuator import Actuator, Limits, UndirectedError
from mlplat.controller.aliases import mirrored
from mlplat.controller.document import MOVING, PROCESS, Endpoint, Revision
from mlplat.controller.errands import Errands
from mlplat.controller.gateway import Upstream, plan
from mlplat.controller.healing import Healing
from mlplat.controller.means import Means
from mlplat.controller.patience import Patience
from mlplat.controller.phases import Phases
from mlplat.controller.registry import Registry
from mlplat.controller.statuses import Statuses
from mlplat.controller.store import MEND, Store, SupersededError
from mlplat.controller.transitions import Moment, Step
from mlplat.errors import MlplatError, StateError
from mlplat.labels import Name

Pace = Literal["now", "soon", "later"]
"""How soon to look again: something was just written, something is under way, or nothing is."""
GATEWAY = ("gateway",)

log = logging.getLogger("mlplat.controller")


class Reconciler:
    """Who makes the passes."""

    def __init__(
        self,
        store: Store,
        actuator: Actuator,
        registry: Callable[[], Registry],
        moment: Callable[[], Moment],
        errands: Errands | None = None,
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        patience = Patience(lambda: moment().seconds)
        self._means = Means(store, actuator, registry, moment, errands or Errands(), limits, patience)
        self._statuses = Statuses(self._means)
        self._healing = Healing(self._means)
        self._phases = Phases(self._means)

    @property
    def failures(self) -> dict[str, int]:
        """Return how often something failed, by endpoint."""
        return self._means.failures

    def run(self) -> Pace:
        """Make one pass; tell when another one should follow. Raises `StateError` when the store fails."""
        self._refuse_unknown_owners()
        moved = self._accept_wishes()
        endpoints = self._means.store.endpoints()
        sound = [endpoint for endpoint in endpoints if self._tried(endpoint, self._act)]
        directed = self._direct(endpoints)
        if directed is None:
            return "soon"
        self._clear_leftovers(endpoints)
        for endpoint in [each for each in sound if each.name in directed]:
            moved = self._tried(endpoint, self._advance) or moved
        if moved:
            return "now"
        if any(self._in_motion(endpoint) for endpoint in endpoints) or not self._means.errands.idle:
            return "soon"
        if len(directed) < len(endpoints):
            return "soon"
        self._means.registry().prune({item.digest for endpoint in endpoints for item in endpoint.status.revisions})
        return "later"

    def _refuse_unknown_owners(self) -> None:
        """Raise `StateError` rather than end processes and routes of endpoints that the store has lost."""
        unknown = [str(owner) for owner in self._means.actuator.owners() if not self._means.store.knows(owner)]
        if unknown:
            raise StateError(
                f"the endpoint store has never heard of {', '.join(unknown)}, whose processes are kept here: the file "
                "is not the one that was",
                hint=MEND,
            )

    def _accept_wishes(self) -> bool:
        new = [
            item for item in self._means.store.endpoints() if item.status.observed_generation != item.spec.generation
        ]
        for endpoint in new:
            self._means.errands.forget(endpoint.spec.name)
            self._means.patience.forget(endpoint.spec.name)
            self._tried(
                endpoint, lambda item: self._statuses.save(item, transitions.accept(item, self._means.moment()))
            )
        return bool(new)

    def _act(self, endpoint: Endpoint) -> bool:
        running = [revision for revision in endpoint.status.revisions if revision.state in PROCESS]
        self._means.actuator.run(endpoint.name, running)
        return True

    def _direct(self, endpoints: list[Endpoint]) -> set[Name] | None:
        """Have the gateway hold what the documents say; return for which endpoints it does, None when for none."""
        patience = self._means.patience
        if not patience.due(GATEWAY):
            return None
        everyone = {endpoint.name for endpoint in endpoints}
        try:
            self._means.actuator.direct(plan(endpoints))
        except UndirectedError as error:
            # Each is somebody's own matter: the others' rollouts do not wait for it.
            for endpoint in endpoints:
                if endpoint.name in error.troubles:
                    self._statuses.report_trouble(endpoint, error.troubles[endpoint.name])
            patience.succeeded(GATEWAY)
            return everyone - error.troubles.keys()
        except MlplatError as error:
            patience.failed(GATEWAY)
            for endpoint in endpoints:
                self._statuses.report_trouble(endpoint, error.message)
            return None
        patience.succeeded(GATEWAY)
        return everyone

    def _clear_leftovers(self, endpoints: list[Endpoint]) -> None:
        """End processes of endpoints that have no document."""
        known = {endpoint.name for endpoint in endpoints}
        for owner in self._means.actuator.owners():
            if owner not in known:
                log.warning("%s: has processes but no document; they are ended", owner)
                self._means.actuator.run(owner, [])

    def _advance(self, endpoint: Endpoint) -> bool:
        """Observe, and take the next step; tell whether there was one."""
        calm = endpoint.model_copy(update={"status": endpoint.status.model_copy(update={"trouble": ""})})
        step = self._healing.step(calm) or self._housekeeping(calm) or self._progress(calm)
        trouble = self._phases.trouble(endpoint)
        if step is None and endpoint.status.trouble != trouble:
            step = Step(endpoint.status.model_copy(update={"trouble": trouble}))
        step = step or mirrored(self._means, endpoint)
        return step is not None and self._statuses.save(endpoint, step)

    def _progress(self, endpoint: Endpoint) -> Step | None:
        if endpoint.status.phase != "deleting":
            return self._phases.step(endpoint)
        if not any(revision.state in PROCESS for revision in endpoint.status.revisions):
            self._statuses.remove(endpoint)
        return None

    def _housekeeping(self, endpoint: Endpoint) -> Step | None:
        """Take revisions a step further to their end, once the gateway no longer needs them."""
        status, moment = endpoint.status, self._means.moment()
        # Whoever stands in is kept until the champion answers again.
        if status.bake_until is not None and moment.seconds >= status.bake_until and status.standing_in is None:
            return transitions.baked(status, moment)
        for revision in status.revisions:
            if revision.state == "draining" and self._is_drained(endpoint, revision, moment):
                return Step(transitions.set_state(status, revision.number, "stopping", moment))
            if revision.state == "stopping":
                return Step(transitions.set_state(status, revision.number, "stopped", moment))
        return None

    def _is_drained(self, endpoint: Endpoint, revision: Revision, moment: Moment) -> bool:
        waited, limits = moment.seconds - revision.since, self._means.limits()
        if waited < limits.drain_least:
            return False
        upstream = Upstream(endpoint.name, revision.label, revision.port)
        return waited > limits.drain_most or self._means.actuator.active(upstream) == 0

    def _tried(self, endpoint: Endpoint, action: Callable[[Endpoint], bool]) -> bool:
        """Do something for one endpoint without its failure reaching the others."""
        key, patience = ("endpoint", endpoint.spec.name), self._means.patience
        if not patience.due(key):
            return False
        try:
            done = action(endpoint)
        except SupersededError:
            return True
        except MlplatError as error:
            self._statuses.report_trouble(endpoint, error.message)
        except Exception as error:  # whatever it is, the other endpoints go on
            log.exception("%s: internal error", endpoint.name)
            self._statuses.report_trouble(endpoint, f"internal error: {type(error).__name__}: {error}")
        else:
            if action == self._advance:
                patience.succeeded(key)
            return done
        patience.failed(key)
        return False

    def _in_motion(self, endpoint: Endpoint) -> bool:
        """Tell whether something is expected to happen within moments."""
        status, name = endpoint.status, endpoint.spec.name
        ending = any(revision.state in ("draining", "stopping") for revision in status.revisions)
        suspected = any(self._means.silence.is_suspected((name, revision.label)) for revision in status.revisions)
        return status.phase in (*MOVING, "deleting") or ending or suspected or status.standing_in is not None
