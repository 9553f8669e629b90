"""Endpoint documents as custom resources: the second store.

Who may write what is the API server's to say: people change `spec`, the controller's service account alone the status.
Nothing is lost between two writers, since whatever is written must still be what was read.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from mlplat.cluster import Cluster, ConflictError
from mlplat.controller import retraining
from mlplat.controller.document import Endpoint, Event, Status
from mlplat.controller.kubernetes import resource
from mlplat.controller.kubernetes.retraining import ASKED
from mlplat.controller.kubernetes.sight import Sight
from mlplat.controller.steady import Anchor, not_before
from mlplat.controller.store import SupersededError, Wish, digest, is_told
from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.labels import Name
from mlplat.manifests import crd, names

TRIES = 8
"""Writers that may come in between before one gives up: the controller writes each second or so during a rollout."""

PAUSE_SECONDS = 0.02
"""Longest pause before the second try; each later one may be twice as long."""

Document = dict[str, Any]


def _tries() -> Iterator[int]:
    """Yield as often as a write is tried; those who met each other go on at different times."""
    for count in range(TRIES):
        if count:
            time.sleep(random.uniform(0, PAUSE_SECONDS * 2 ** (count - 1)))  # noqa: S311 - nobody has to guess it
        yield count


class KubernetesStore:
    """Endpoint documents of the namespaces of some teams.

    `namespaces` says in which one a project's endpoints are. `version` counts every write, or with `wishes_only`, as a
    controller needs it, only those that ask for something.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespaces: Mapping[str, str],
        *,
        wishes_only: bool = False,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cluster = cluster
        self.namespaces = dict(namespaces)
        self._sight = Sight(cluster, self.namespaces.values(), _wish_of if wishes_only else _version_of)
        self._wall, self._monotonic = wall, monotonic
        self._anchor: Anchor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Look at nothing any more."""
        self._sight.close()

    def endpoints(self) -> list[Endpoint]:
        """See `Store.endpoints`."""
        found = [resource.endpoint(document) for document in self._documents()]
        return sorted(found, key=lambda endpoint: endpoint.name.id)

    def strangers(self) -> list[tuple[str, str]]:
        """Return (namespace, name) of resources that stand in a namespace which their project does not belong to."""
        return [
            (document["metadata"]["namespace"], document["metadata"]["name"])
            for document in self._listed()
            if not self._is_ours(document)
        ]

    def get(self, name: Name) -> Endpoint | None:
        """See `Store.get`."""
        document = self._document(name)
        return resource.endpoint(document) if document else None

    def wish(self, name: Name, wish: Wish, event: Event) -> Endpoint:
        """See `Store.wish`. Raises `RefusedError` for a project of no team, and while the endpoint is being deleted."""
        for _ in _tries():
            present = self._document(name)
            if present and resource.is_ending(present):
                raise RefusedError(
                    f"{name} is being deleted", hint="wait until it is gone: `mlplat endpoint list` shows it"
                )
            spec = wish(resource.endpoint(present) if present else None)
            spec = spec.model_copy(update={"name": str(name)})
            said = resource.wished(spec, event, resource.number(present) + 1)
            try:
                return resource.endpoint(self._write(name, present, said))
            except ConflictError:
                continue
        raise UnreachableError(f"{name}: somebody else writes all the time", hint="try again")

    def report(self, name: Name, generation: int, status: Status, events: Sequence[Event] = ()) -> None:
        """See `Store.report`."""
        document = self._changed(name, generation, lambda present: self._reported(present, status, events))
        self._announce(document, events)

    def remove(self, name: Name, generation: int, event: Event) -> None:
        """See `Store.remove`. Nothing of it stays, its history included, but what the cluster keeps of events."""
        document = self._changed(name, generation, self._released)
        self._announce(document, [event])
        if not resource.is_ending(document):
            # It was wished by `mlplat endpoint delete`: without a finalizer it is gone at once.
            metadata = document["metadata"]
            self.cluster.delete(names.API_VERSION, crd.KIND, metadata["name"], metadata["namespace"])

    def events(self, name: Name, after: int = 0) -> list[Event]:
        """See `Store.events`. The newest `crd.HISTORY` are kept."""
        document = self._document(name)
        return [each for each in resource.history(document) if each.number > after] if document else []

    def retrain(self, name: Name, text: str) -> None:
        """See `Store.retrain`."""
        change = {"metadata": {"annotations": {ASKED: text}}}
        self.cluster.merge(names.API_VERSION, crd.KIND, name.id, change, self.namespace(name))

    def retrainings(self) -> list[tuple[Name, str]]:
        """See `Store.retrainings`."""
        return [
            (Name.from_id(document["metadata"]["name"]), text)
            for document in self._documents()
            if not resource.is_ending(document)
            and (text := document["metadata"].get("annotations", {}).get(ASKED))
            and resource.retraining(document).get("request") != digest(text)
        ]

    def retraining(self, name: Name) -> Document:
        """See `Store.retraining`."""
        document = self._document(name)
        return resource.retraining(document) if document else {}

    def answer_retraining(self, name: Name, answer: Mapping[str, Any], kind: str, now: datetime) -> None:
        """See `Store.answer_retraining`."""
        for _ in _tries():
            document = self._document(name)
            if document is None or is_told(resource.retraining(document), answer):
                return
            event = Event(time=now, generation=resource.generation(document), kind=kind, text=answer["message"])
            status = resource.answered(document, answer, event)
            try:
                self.cluster.replace_status({**document, "status": status})
            except ConflictError:
                continue
            self._announce(document, [event])
            return
        raise UnreachableError(f"{name}: somebody else writes all the time")

    def knows(self, name: Name) -> bool:
        """See `Store.knows`: the cluster has its own memory, which is never another one's."""
        return name.project in self.namespaces

    def version(self) -> int:
        """See `Store.version`."""
        return self._sight.number()

    def seconds(self) -> float:
        """Return the time that durations go by, in seconds: it never runs backwards, over restarts either.

        A pod's own clock is believed once, at the start, and not below the newest time that any document holds.
        """
        if self._anchor is None:
            latest = max((resource.latest(document) for document in self._documents()), default=0.0)
            now = self._monotonic()
            self._anchor = not_before(Anchor("", self._wall() - now), latest, now)
        return self._anchor.at(self._monotonic())

    def adopt(self) -> None:
        """Hold every endpoint against being gone before what runs for it is."""
        for document in self._documents():
            if crd.FINALIZER in document["metadata"].get("finalizers", ()) or resource.is_ending(document):
                continue
            metadata = document["metadata"]
            held = {
                # As it was read: one that was deleted since must not get it.
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": [*metadata.get("finalizers", ()), crd.FINALIZER],
            }
            try:
                self.cluster.merge(
                    names.API_VERSION, crd.KIND, metadata["name"], {"metadata": held}, metadata["namespace"]
                )
            except ConflictError:
                continue

    def owner(self, name: Name) -> Document | None:
        """Return the reference by which an endpoint owns what runs for it; None where there is no such endpoint."""
        document = self._document(name)
        if document is None:
            return None
        return {
            "apiVersion": names.API_VERSION,
            "kind": crd.KIND,
            "name": document["metadata"]["name"],
            "uid": document["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }

    def namespace(self, name: Name) -> str:
        """Return the namespace of an endpoint. Raises `RefusedError` where its project belongs to no team."""
        try:
            return self.namespaces[name.project]
        except KeyError:
            raise RefusedError(
                f"the project `{name.project}` belongs to no team, so it has no place on the cluster",
                hint="add it to `teams.<team>.projects` in the stack file, then `mlplat up`",
            ) from None

    def _documents(self) -> list[Document]:
        return [document for document in self._listed() if self._is_ours(document)]

    def _listed(self) -> list[Document]:
        return [
            document
            for namespace in sorted(set(self.namespaces.values()))
            for document in self.cluster.list(names.API_VERSION, crd.KIND, namespace)
        ]

    def _is_ours(self, document: Document) -> bool:
        # Its path on the gateway is the project's, whoever has made it: another team's must not take it.
        metadata = document["metadata"]
        return self.namespaces.get(str(metadata["name"]).partition(".")[0]) == str(metadata["namespace"])

    def _document(self, name: Name) -> Document | None:
        return self.cluster.get(names.API_VERSION, crd.KIND, name.id, self.namespace(name))

    def _write(self, name: Name, present: Document | None, said: Document) -> Document:
        if present is None:
            document = {**resource.named(name, self.namespace(name)), "spec": said}
            document["metadata"]["finalizers"] = [crd.FINALIZER]
            return self.cluster.create(document)
        return self.cluster.replace({**present, "spec": said})

    def _changed(self, name: Name, generation: int, change: Callable[[Document], Document]) -> Document:
        """Change a document of that generation; whoever else writes meanwhile is no reason to give up."""
        for _ in _tries():
            document = self._document(name)
            if document is None or resource.endpoint(document).spec.generation != generation:
                raise SupersededError(f"{name}: generation {generation} was superseded")
            try:
                return change(document)
            except ConflictError:
                continue
        raise UnreachableError(f"{name}: somebody else writes all the time")

    def _reported(self, document: Document, status: Status, events: Sequence[Event]) -> Document:
        new = resource.reported(document, status, events, datetime.now(UTC))
        return self.cluster.replace_status({**document, "status": new})

    def _released(self, document: Document) -> Document:
        kept = [each for each in document["metadata"].get("finalizers", ()) if each != crd.FINALIZER]
        return self.cluster.replace({**document, "metadata": {**document["metadata"], "finalizers": kept}})

    def _announce(self, document: Document, events: Sequence[Event]) -> None:
        """Tell the cluster's own events as well, for `kubectl describe`. Nobody waits for it."""
        for event in events:
            try:
                self.cluster.create(_announced(document, event))
            except MlplatError:
                return


def _announced(document: Document, event: Event) -> Document:
    metadata = document["metadata"]
    about = {"apiVersion": names.API_VERSION, "kind": crd.KIND, "uid": metadata["uid"]}
    about |= {"name": metadata["name"], "namespace": metadata["namespace"]}
    now = datetime.now(UTC)
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{time.time_ns():x}", "namespace": metadata["namespace"]},
        "regarding": about,
        "reason": event.kind.title().replace(" ", ""),
        "note": event.text[: crd.TEXT_LENGTH],
        "type": "Warning" if event.kind in WARNINGS else "Normal",
        "action": event.kind.title().replace(" ", ""),
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"{names.GROUP}/controller",
        "reportingInstance": "controller",
    }


WARNINGS = (
    *("refused", "failed", "breached", "inconclusive", "restarted", "stood in", "forced"),
    *(retraining.REFUSED, retraining.FAILED),
)
"""Kinds of events that somebody should look at."""


def _version_of(document: Mapping[str, Any]) -> object:
    return document["metadata"]["resourceVersion"]


def _wish_of(document: Mapping[str, Any]) -> object:
    metadata = document["metadata"]
    return metadata["generation"], metadata.get("annotations", {}).get(ASKED)
