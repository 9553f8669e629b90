"""Starting again, ever more rarely, what serves or may be returned to and hangs, or was given up."""

from __future__ import annotations

import logging

from mlplat.controller import transitions
from mlplat.controller.actuator import Condition
from mlplat.controller.document import Endpoint, Revision, Status
from mlplat.controller.means import Means
from mlplat.controller.transitions import Step
from mlplat.errors import MlplatError

log = logging.getLogger("mlplat.controller")


class Healing:
    """Whoever looks after what serves."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def step(self, endpoint: Endpoint) -> Step | None:
        """Have somebody stand in where that is needed, and start again what does not answer."""
        status = endpoint.status
        numbers = dict.fromkeys((status.champion, status.previous))
        shown = [item for item in map(status.revision, numbers) if item and item.state == "ready"]
        conditions = {item.number: self._means.actuator.condition(endpoint.name, item) for item in shown}
        reasons = {item.number: self._reason(endpoint, item, conditions[item.number]) for item in shown}
        relief = _relieve(status, conditions, reasons)
        if relief is not None:
            return relief
        for revision in shown:
            condition, reason = conditions[revision.number], reasons[revision.number]
            if self._tended(endpoint, revision, condition, reason):
                return transitions.restarted(status, revision, reason)
        return None

    def _tended(self, endpoint: Endpoint, revision: Revision, condition: Condition, reason: str) -> bool:
        """Start a revision again where it is time to; tell whether people are to hear of it."""
        key, patience = ("revive", endpoint.spec.name, revision.label), self._means.patience
        if condition.state == "ready":
            patience.succeeded(key)
        elif reason and patience.due(key):
            patience.failed(key)
            return self._revive(endpoint, revision, condition, reason) and patience.tells(key)
        return False

    def _reason(self, endpoint: Endpoint, revision: Revision, condition: Condition) -> str:
        """Say why a revision has to be started again; empty when it need not."""
        if condition.state == "dead":
            return "ended" + (f" ({condition.detail})" if condition.detail else "")
        lasted = self._means.hangs(endpoint, revision, condition)
        return f"hung: no answer for {lasted:.0f} s" if lasted is not None else ""

    def _revive(self, endpoint: Endpoint, revision: Revision, condition: Condition, reason: str) -> bool:
        log.warning("%s: %s %s and is started again", endpoint.name, revision.label, reason)
        actuator = self._means.actuator
        try:
            if condition.state != "dead":
                actuator.restart(endpoint.name, revision)
            elif actuator.is_whole(revision) or self._fetched_again(endpoint, revision):
                actuator.revive(endpoint.name, revision)
            else:
                return False
        except MlplatError as error:
            log.warning("%s: %s cannot be started: %s", endpoint.name, revision.label, error.message)
            return False
        return True

    def _fetched_again(self, endpoint: Endpoint, revision: Revision) -> bool:
        """Have a bundle fetched that is damaged here, beside the loop; tell whether it is there."""
        log.warning("%s: the files of %s are damaged here, and are fetched again", endpoint.name, revision.label)
        registry, name = self._means.registry(), endpoint.spec.name
        key = (name, str(endpoint.spec.generation), f"fetch {revision.label} again")
        return self._means.errands.ask(key, lambda: registry.fetch(revision.source, revision.digest)) is not None


def _relieve(status: Status, conditions: dict[int, Condition], reasons: dict[int, str]) -> Step | None:
    """Have the previous revision stand in for a champion that does not answer, and stand back when it does."""
    champion, previous = status.champion, status.previous
    if status.standing_in is not None:
        whole = champion is None or champion not in conditions or conditions[champion].state == "ready"
        return transitions.stand_back(status) if whole else None
    if champion is None or previous is None or champion == previous or not reasons.get(champion):
        return None
    answers = previous in conditions and conditions[previous].state == "ready"
    return transitions.stand_in(status, reasons[champion]) if answers else None
