"""Writing down where each endpoint stands, with the events that people and programs follow."""

from __future__ import annotations

import logging

from mlplat.controller.document import Endpoint, Event
from mlplat.controller.means import Means
from mlplat.controller.transitions import Note, Step
from mlplat.errors import MlplatError

log = logging.getLogger("mlplat.controller")


class Statuses:
    """The one writer of statuses."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def save(self, endpoint: Endpoint, step: Step) -> bool:
        """Write a step down; tell whether it is one that another pass should follow at once."""
        if step.status == endpoint.status and not step.notes:
            return False
        events = [self._event(endpoint, note) for note in step.notes]
        self._means.store.report(endpoint.name, endpoint.spec.generation, step.status, events)
        for event in events:
            _log(endpoint, event)
        return bool(events) or step.status.phase != endpoint.status.phase

    def remove(self, endpoint: Endpoint) -> None:
        """Drop the document of an endpoint of which nothing runs any more."""
        event = self._event(endpoint, Note("deleted", "nothing of it runs any more"))
        self._means.store.remove(endpoint.name, endpoint.spec.generation, event)
        _log(endpoint, event)

    def report_trouble(self, endpoint: Endpoint, trouble: str) -> None:
        """Count what failed, and say it in the status where it is new."""
        name = endpoint.spec.name
        self._means.count_failure(name)
        if endpoint.status.trouble == trouble:
            return
        log.warning("%s: %s", name, trouble)
        status = endpoint.status.model_copy(update={"trouble": trouble})
        try:
            self._means.store.report(endpoint.name, endpoint.spec.generation, status)
        except MlplatError as error:
            log.warning("%s: its status cannot be written: %s", name, error.message)

    def _event(self, endpoint: Endpoint, note: Note) -> Event:
        return Event(
            time=self._means.moment().shown, generation=endpoint.spec.generation, kind=note.kind, text=note.text,
            figures=note.figures,
        )  # fmt: skip


def _log(endpoint: Endpoint, event: Event) -> None:
    log.info("%s: %s: %s", endpoint.name, event.kind, event.text)
