"""Retraining: a wish that a project's model be trained anew, the run it becomes, and what came of it.

A wish is kept beside an endpoint's own, so that it is none for another version. It is known by a digest of its text,
of which the run has its name: a controller that ends at any point goes on with the same run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from mlplat.controller import wishes
from mlplat.controller.document import Endpoint, EndpointSpec, Event, Revision
from mlplat.controller.errands import Errands
from mlplat.controller.registry import Version
from mlplat.controller.store import Store, digest
from mlplat.controller.triggers import Alarm, Serving, Verdict, due
from mlplat.errors import MlplatError, RefusedError, UsageError
from mlplat.labels import LABEL, Name

BEGUN, REFUSED = "retraining", "retraining refused"
"""Kinds of the events that tell what became of a wish."""
ENDED, FAILED = "retrained", "retraining failed"
"""Kinds of the events that tell what came of its run."""
PLATFORM = "the platform"
"""Who asks for what nobody asked for."""
REASON_SIGNS = 256
Text = Annotated[str, StringConstraints(max_length=REASON_SIGNS)]
LOOK_SECONDS = 10.0
"""Between two looks at what an endpoint's monitor said."""
QUIET_SECONDS = 60.0
"""Likewise, where no answer has anything done: it is for people alone."""
AGAIN = timedelta(hours=1)
"""After how long what could not be begun is asked for again by itself: each answer is an event for ever."""
Answer = Mapping[str, Any]
"""`request` (digest of the wish), `run` (empty where it became none), `message`, `time`, `begun` (when
this and earlier runs were); once the run is over `status` and, where it registered one, `version`."""
KEPT_TIMES = 50
"""More than any policy's month allows."""

log = logging.getLogger("mlplat.controller")


class Wish(BaseModel):
    """That a project's model be trained anew."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flow: Annotated[str, StringConstraints(pattern=f"^{LABEL.pattern}$")] = "train"
    by: Text
    reason: Text = ""
    time: AwareDatetime
    """Two wishes that are otherwise the same differ by it."""

    def __str__(self) -> str:
        return f"{self.by}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    status: Literal["registered", "refused", "failed", "cancelled", "done"]
    message: str
    version: str = ""
    """What it registered."""


class Runner(Protocol):
    """What begins runs of published flows."""

    def begin(self, name: Name, wish: Wish, key: str) -> tuple[str, str]:
        """Begin a wish's run, of the same key once; return its name and where it is seen.

        Raises `RefusedError` where there is nothing to run.
        """

    def outcome(self, endpoint: Endpoint, run: str) -> Outcome | None:
        """Return what came of a run, None while it goes on. Raises `UnreachableError`."""


class Models(Protocol):
    """What is asked of a registry."""

    def version(self, model: Name, number: str) -> Version:
        """See `Registry.version`."""

    def verdict(self, model: Name, endpoint: Name, version: str) -> Verdict | None:
        """Return the newest verdict on a version that an endpoint serves, or None. Raises `UnreachableError`."""

    def registered_by(self, model: Name, key: str) -> str:
        """Return the version that the run of this key has registered, empty when none. Raises `UnreachableError`."""


def wish(flow: str, *, by: str, reason: str, time: datetime) -> Wish:
    """Return a wish. Raises `UsageError` for what none can hold."""
    try:
        return Wish(flow=flow, by=by, reason=reason, time=time)
    except ValidationError as error:
        raise UsageError(_problem(error)) from error


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the text'}: {first['msg']}"


class Attendant:
    """Begins what is wished for, follows it, and wishes by itself where an endpoint's policy says so."""

    def __init__(self, store: Store, runner: Runner, registry: Callable[[], Models], errands: Errands) -> None:
        self._store, self._runner, self._registry, self._errands = store, runner, registry, errands
        self._told: dict[tuple[str, Name], str] = {}
        """What stands in the way of a step for an endpoint, as it was said."""
        self._looked: dict[Name, float] = {}
        self.alarms: dict[Name, tuple[Alarm, ...]] = {}
        """What the newest verdict on what serves has raised; of an endpoint that is not here nothing is known yet."""
        self.failed: dict[Name, str] = {}
        """What became of the newest retraining, where that failed."""

    @property
    def kinds(self) -> dict[Name, set[str]]:
        """Kinds of the alarms."""
        return {name: {alarm.kind for alarm in raised} for name, raised in self.alarms.items()}

    def attend(self, now: datetime) -> None:
        """Make one pass. Whatever fails for one endpoint is told once, and tried again on the next pass."""
        for name, text in self._store.retrainings():
            self._tried("begin", name, partial(self._begin, name, text, now))
        endpoints = self._store.endpoints()
        for endpoint in endpoints:
            self._tried("advance", endpoint.name, partial(self._advance, endpoint, now))
        known = {endpoint.name for endpoint in endpoints}
        self.alarms = {name: raised for name, raised in self.alarms.items() if name in known}
        self.failed = {name: said for name in known if (said := _failure(self._store.retraining(name)))}

    def _tried(self, what: str, name: Name, step: Callable[[], bool | None]) -> None:
        """Make a step, which returns whether it only waits: then what stood in its way may still stand there."""
        try:
            if not step():
                self._told.pop((what, name), None)
        except MlplatError as error:
            if self._told.get((what, name)) != error.message:
                log.warning("%s: retraining: %s", name, error.message)
            self._told[what, name] = error.message

    def _begin(self, name: Name, text: str, now: datetime) -> None:
        run, said = _begun(self._runner, name, text)
        log.info("%s: %s", name, said)
        moment, before = now.isoformat(), self._store.retraining(name).get("begun", [])
        begun = [*before, moment][-KEPT_TIMES:] if run else before
        answer = {"request": digest(text), "run": run, "message": said, "time": moment, "begun": begun}
        self._store.answer_retraining(name, answer, BEGUN if run else REFUSED, now)

    def _advance(self, endpoint: Endpoint, now: datetime) -> bool:
        answer = self._store.retraining(endpoint.name)
        if answer.get("run") and not answer.get("status"):
            _follow(self._store, self._runner, endpoint, answer, now)
        elif (serving := endpoint.status.revision(endpoint.status.champion)) and endpoint.settled:
            return self._look(endpoint, serving, now)
        return False

    def _look(self, endpoint: Endpoint, champion: Revision, now: datetime) -> bool:
        """Look at what serves, and return whether that is still to come: the registry is asked beside the loop."""
        name = endpoint.name
        pause = LOOK_SECONDS if endpoint.spec.retraining.on else QUIET_SECONDS
        if time.monotonic() - self._looked.get(name, -pause) < pause:
            return True
        found = self._errands.ask(("monitored", name.id, champion.version), lambda: self._seen(endpoint, champion))
        if found is None:
            return True
        self._looked[name] = time.monotonic()
        serving, verdict = found
        self.alarms[name] = verdict.alarms if verdict else ()
        self._consider(endpoint, serving, verdict, now)
        return False

    def _consider(self, endpoint: Endpoint, serving: Serving, verdict: Verdict | None, now: datetime) -> None:
        """Wish for a retraining where the policy says so. Raises `RefusedError` where that has to wait."""
        name, policy = endpoint.name, endpoint.spec.retraining
        answer = self._store.retraining(name)
        if _was_refused(answer) and timedelta(0) <= now - datetime.fromisoformat(answer["time"]) < AGAIN:
            return
        begun = [datetime.fromisoformat(time) for time in answer.get("begun", [])]
        reason = due(policy, now, serving, verdict, begun)
        if reason is None:
            return
        if reason.held:
            raise RefusedError(f"{reason.reason}; put off: {reason.held}")
        asked = wish(policy.flow, by=PLATFORM, reason=reason.reason[:REASON_SIGNS], time=now)
        self._store.retrain(name, asked.model_dump_json())

    def _seen(self, endpoint: Endpoint, champion: Revision) -> tuple[Serving, Verdict | None]:
        registry, model, version = self._registry(), Name.parse(endpoint.spec.model), champion.version
        found = registry.version(model, version)
        serving = Serving(version, found.learned_until, champion.created)
        return serving, registry.verdict(model, endpoint.name, version)


def _failure(answer: Answer) -> str:
    """Say why the newest retraining failed; empty where it did not, or nobody knows yet."""
    return str(answer["message"]) if answer.get("status") == "failed" or _was_refused(answer) else ""


def _was_refused(answer: Answer) -> bool:
    """Tell whether the newest wish has become no run."""
    return bool(answer) and not answer.get("run")


def _begun(runner: Runner, name: Name, text: str) -> tuple[str, str]:
    """Return the name of a wish's run, empty where there is none, and how the history tells it."""
    try:
        wish = Wish.model_validate_json(text)
        run, where = runner.begin(name, wish, digest(text))
    except ValidationError as error:
        return "", f"what was asked for is no wish: {_problem(error)}"
    except RefusedError as error:
        return "", error.message
    return run, f"run {run} of `{wish.flow}`, asked for by {wish}{f'; {where}' if where else ''}"


def _follow(store: Store, runner: Runner, endpoint: Endpoint, answer: Answer, now: datetime) -> None:
    name = endpoint.name
    outcome = runner.outcome(endpoint, answer["run"])
    if outcome is None:
        return
    if outcome.version and endpoint.spec.retraining.deploy and endpoint.spec.version != outcome.version:
        if not endpoint.settled:
            return  # what is under way is ended by nobody but people
        _deploy(store, name, outcome.version, now)
    told = f"run {answer['run']}: {outcome.message}"
    log.info("%s: %s", name, told)
    ended = {**answer, "status": outcome.status, "version": outcome.version, "message": told}
    store.answer_retraining(name, ended, ENDED if outcome.status in ("registered", "done") else FAILED, now)


def _deploy(store: Store, name: Name, version: str, now: datetime) -> None:
    def wish(present: Endpoint | None) -> EndpointSpec:
        if present is None:
            raise wishes.no_endpoint(name)
        model, policy = Name.parse(present.spec.model), present.spec.policy
        return wishes.deploy(name, model, version, policy, by=PLATFORM, present=present)

    text = f"version {version}, which a retraining registered, by {PLATFORM}"
    store.wish(name, wish, Event(time=now, generation=0, kind="wished", text=text))
