"""An endpoint's document as a custom resource, and back: pure functions.

The generation is the API server's: it counts changes of `spec`. An equal wish would be none, so each one that `mlplat`
writes has a number of its own, in `spec.wish`. What stands there holds for exactly the spec that it was written with:
whoever applies another version or policy by other means wishes to deploy that, whatever was wished before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from mlplat.controller.document import FAILED, Endpoint, EndpointSpec, Event, Status
from mlplat.errors import StateError
from mlplat.labels import Name
from mlplat.manifests import crd, names

Document = dict[str, Any]

WISHED = "wished"
"""Kind of the event that a wish is told by (`mlplat.cli.endpoints`)."""
ELSEWHERE = "kubectl"
"""Who wished what `mlplat` did not write."""
MARK_SIGNS = 16
WRITTEN = ("policy", "log", "scale", "retraining")
"""Groups of a spec that stand in the resource as they are."""


def named(name: Name, namespace: str) -> Document:
    """Return the head of a resource."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": crd.KIND,
        "metadata": {
            "name": name.id,
            "namespace": namespace,
            "labels": {names.PROJECT: name.project, names.ENDPOINT: name.name, names.PART_OF: "mlplat"},
        },
    }


def wished(spec: EndpointSpec, event: Event, number: int) -> Document:
    """Return the resource's `spec` for a wish, the `number`-th of its endpoint."""
    plain = {
        "model": spec.model,
        "version": spec.version,
        # What is as everywhere need not be said: a later default is then the endpoint's as well.
        **{key: given for key in WRITTEN if (given := _camel(getattr(spec, key)))},
    }
    said = {
        "number": number,
        "action": spec.action,
        "of": _mark(spec),
        "revision": spec.revision,
        "force": spec.force.model_dump() if spec.force else None,
        "reason": spec.reason,
        "by": spec.by,
        "text": event.text[: crd.TEXT_LENGTH],
        "time": event.time.astimezone(UTC).isoformat(),
    }
    return {**plain, "wish": {key: value for key, value in said.items() if value not in (None, "")}}


def number(document: Document | None) -> int:
    """Return how many wishes were written into a resource."""
    return int(document["spec"].get("wish", {}).get("number", 0)) if document else 0


def endpoint(document: Document) -> Endpoint:
    """Read a resource.

    A spec that is no wish at all, which the definition's schema lets nobody write, changes nothing: the endpoint is
    returned as it was last observed. Raises `StateError` when the controller's own part cannot be read.
    """
    status = _status(document)
    found = _spec(document)
    if isinstance(found, EndpointSpec):
        return Endpoint(spec=found, status=status)
    champion = status.revision(status.champion)
    name = Name.from_id(document["metadata"]["name"])
    as_before = EndpointSpec(
        name=str(name),
        model=champion.model if champion else str(name),
        version=champion.version if champion else "0",
        action="delete" if is_ending(document) else "deploy",
        generation=generation(document) if is_ending(document) else status.observed_generation,
    )
    return Endpoint(spec=as_before, status=status)


def generation(document: Document) -> int:
    """Return the API server's count of a resource's wishes; marking it deleted is one."""
    return int(document["metadata"]["generation"])


def is_ending(document: Document) -> bool:
    """Tell whether somebody deleted the resource: there is no way back."""
    return "deletionTimestamp" in document["metadata"]


def problem(document: Document) -> str:
    """Say why a spec is no wish; empty when it is one."""
    found = _spec(document)
    return "" if isinstance(found, EndpointSpec) else found


def reported(document: Document, status: Status, events: Sequence[Event], now: datetime) -> Document:
    """Return the resource's `status` after something happened."""
    before: Document = document.get("status", {})
    champion, challenger = status.revision(status.champion), status.revision(status.challenger)
    told = [*_untold(document, before, status), *events]
    count = int(before.get("events", 0))
    new = [_event(each, count + index) for index, each in enumerate(told, 1)]
    return {
        "observedGeneration": status.observed_generation,
        "phase": status.phase,
        "message": status.message,
        "trouble": status.trouble,
        "serving": champion.version if champion else "",
        "challenger": challenger.version if challenger else "",
        "weight": status.weight,
        "conditions": _conditions(document, status, now),
        "history": [*before.get("history", []), *new][-crd.HISTORY :],
        "events": count + len(new),
        **({"retraining": answer} if (answer := retraining(document)) else {}),
        "state": status.model_dump(mode="json"),
    }


def retraining(document: Document) -> Document:
    """Return the newest answer to a wish that the model be trained anew; empty where there is none."""
    found: Document = document.get("status", {}).get("retraining", {})
    return found


def answered(document: Document, answer: Mapping[str, Any], event: Event) -> Document:
    """Return the resource's `status` with an answer to such a wish."""
    before: Document = document.get("status", {})
    count = int(before.get("events", 0)) + 1
    history = [*before.get("history", []), _event(event, count)][-crd.HISTORY :]
    message = answer["message"][: crd.TEXT_LENGTH]
    return {**before, "retraining": {**answer, "message": message}, "history": history, "events": count}


def history(document: Document) -> list[Event]:
    """Return what is still known of what happened, oldest first."""
    return [Event.model_validate_json(json.dumps(each)) for each in document.get("status", {}).get("history", [])]


def latest(document: Document) -> float:
    """Return the newest time in a resource, in seconds by the clock that durations go by."""
    status = _status(document)
    started = status.rollout.started if status.rollout else 0.0
    return max(started, *(revision.since for revision in status.revisions), 0.0)


def _spec(document: Document) -> EndpointSpec | str:
    given: Document = document["spec"]
    try:
        name = Name.from_id(document["metadata"]["name"])
        plain = EndpointSpec(
            name=str(name),
            model=given["model"],
            version=given["version"],
            by=ELSEWHERE,
            generation=generation(document),
            **{key: _snake(EndpointSpec.model_fields[key].annotation, given[key]) for key in WRITTEN if key in given},
        )
        said = given.get("wish", {})
        if said and said.get("of") == _mark(plain):
            taken = {key: said[key] for key in ("action", "revision", "force", "reason", "by") if key in said}
            plain = EndpointSpec.model_validate_json(json.dumps({**plain.model_dump(mode="json"), **taken}))
    except (ValidationError, ValueError, KeyError) as error:
        return str(error).partition("\n")[0]
    return plain.model_copy(update={"action": "delete", "revision": None}) if is_ending(document) else plain


def _status(document: Document) -> Status:
    try:
        return Status.model_validate_json(json.dumps(document.get("status", {}).get("state", {})))
    except ValidationError as error:
        metadata, why = document["metadata"], str(error).partition("\n")[0]
        raise StateError(
            f"{metadata['namespace']}/{metadata['name']}: its status cannot be read: {why}",
            hint="it was written by another version of mlplat: use that one; what runs goes on",
        ) from error


def _untold(document: Document, before: Document, status: Status) -> list[Event]:
    """Return the event of a wish that the history does not have yet: only the controller writes it."""
    now = status.observed_generation
    spec = endpoint(document).spec
    if before.get("observedGeneration") == now or spec.generation != now:
        return []
    said = document["spec"].get("wish", {}) if spec.by != ELSEWHERE else {}
    text = said.get("text") or f"{spec.action} version {spec.version} of {spec.model} by {spec.by}"
    time = datetime.fromisoformat(said["time"]) if "time" in said else (status.since or datetime.now(UTC))
    return [Event(time=time, generation=now, kind=WISHED, text=text)]


def _event(event: Event, count: int) -> Document:
    return event.model_copy(update={"number": count}).model_dump(mode="json", exclude_none=True)


def _conditions(document: Document, status: Status, now: datetime) -> list[Document]:
    wrong = problem(document)
    answering = status.revision(status.answering)
    answers = answering is not None and answering.state == "ready"
    shown = {
        "Accepted": (not wrong, "Invalid" if wrong else "Valid", wrong),
        # For `kubectl wait`: that somebody answers; whether it is the wished version says `serving`.
        "Ready": (answers, status.phase.capitalize(), status.message),
        "Fulfilled": (
            status.phase in ("serving", "baking"),
            status.phase.capitalize(),
            status.message if status.phase in FAILED else "",
        ),
    }
    before = {each["type"]: each for each in document.get("status", {}).get("conditions", [])}
    return [
        {
            "type": kind,
            "status": "True" if holds else "False",
            "reason": reason,
            "message": message,
            "observedGeneration": status.observed_generation,
            "lastTransitionTime": _since(before.get(kind), holds, now),
        }
        for kind, (holds, reason, message) in shown.items()
    ]


def _since(before: Document | None, holds: bool, now: datetime) -> str:
    if before is not None and before["status"] == ("True" if holds else "False"):
        return str(before["lastTransitionTime"])
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _mark(spec: EndpointSpec) -> str:
    """Return a short digest of what a wish is about, the same however it is written down."""
    about = EndpointSpec(
        name=spec.name, model=spec.model, version=spec.version, policy=spec.policy, log=spec.log, scale=spec.scale
    )
    return hashlib.sha256(about.model_dump_json().encode()).hexdigest()[:MARK_SIGNS]


def _camel(group: BaseModel) -> Document:
    plain = group.model_dump(mode="json", exclude_defaults=True)
    return {crd.camel(key): value for key, value in plain.items()}


def _snake(model: Any, given: Document) -> BaseModel:
    fields = {crd.camel(key): key for key in model.model_fields}
    # As JSON, where lists are tuples and whole numbers are floats.
    found: BaseModel = model.model_validate_json(
        json.dumps({fields.get(key, key): each for key, each in given.items()})
    )
    return found
