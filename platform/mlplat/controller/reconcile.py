"""One look at everything, and the next small step for each endpoint.

A pass makes what runs agree with the documents, then observes, then writes the next status: an intent, which the next
pass makes so. Nothing is remembered in between but when to try again, so the controller may end at any point and
whoever comes next goes on from the documents.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from mlplat import bundle
from mlplat.bundle import BundleError
from mlplat.controller import smoke, transitions
from mlplat.controller.actuator import Actuator
from mlplat.controller.decision import decide
from mlplat.controller.document import MOVING, PROCESS, Endpoint, Event, Phase, Revision, Rollout, Status
from mlplat.controller.gateway import Upstream, plan
from mlplat.controller.registry import NoSuchVersionError, Registry
from mlplat.controller.store import Store, SupersededError
from mlplat.controller.transitions import Moment, Note, Step
from mlplat.controller.window import Window
from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.labels import Name

START_SECONDS = 90.0
"""From start to ready. Loading scikit-learn and a model takes 1-3 s; a busy computer many times that."""
DRAIN_LEAST_SECONDS = 1.0
"""Envoy's threads follow new routes within milliseconds of each other; a request may be on its way meanwhile."""
DRAIN_MOST_SECONDS = 35.0
"""Longer than the gateway lets any request take."""
FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0

Pace = Literal["now", "soon", "later"]
"""How soon to look again: something was just written, something is under way, or nothing is."""

log = logging.getLogger("mlplat.controller")


@dataclass
class _Patience:
    """When to try again what failed."""

    failures: int = 0
    next_try: float = 0.0

    def failed(self, now: float) -> None:
        self.next_try = now + min(FIRST_RETRY_SECONDS * 2**self.failures, LAST_RETRY_SECONDS)
        self.failures += 1


class Reconciler:
    """The one writer of statuses."""

    def __init__(
        self, store: Store, actuator: Actuator, registry: Callable[[], Registry], moment: Callable[[], Moment]
    ) -> None:
        self._store = store
        self._actuator = actuator
        self._registry = registry
        self._moment = moment
        self._patience: dict[tuple[str, ...], _Patience] = {}
        self.failures: dict[str, int] = {}
        """Passes that failed, by endpoint."""

    def run(self) -> Pace:
        """Make one pass; tell when another one should follow. Raises `StateError` when the store fails."""
        moved = self._accept_wishes()
        endpoints = self._store.endpoints()
        sound = [endpoint for endpoint in endpoints if self._tried(endpoint, self._act)]
        if not self._direct(endpoints):
            return "soon"
        self._clear_leftovers(endpoints)
        for endpoint in sound:
            moved = self._tried(endpoint, self._advance) or moved
        if moved:
            return "now"
        if any(_in_motion(endpoint) for endpoint in endpoints):
            return "soon"
        self._registry().prune({item.digest for endpoint in endpoints for item in endpoint.status.revisions})
        return "later"

    def _accept_wishes(self) -> bool:
        new = [item for item in self._store.endpoints() if item.status.observed_generation != item.spec.generation]
        for endpoint in new:
            self._forget(endpoint)
            self._tried(endpoint, lambda item: self._save(item, transitions.accept(item, self._moment())))
        return bool(new)

    def _act(self, endpoint: Endpoint) -> bool:
        running = [revision for revision in endpoint.status.revisions if revision.state in PROCESS]
        self._actuator.run(endpoint.name, running)
        return True

    def _direct(self, endpoints: list[Endpoint]) -> bool:
        key = ("gateway",)
        if not self._due(key):
            return False
        try:
            self._actuator.direct(plan(endpoints))
        except MlplatError as error:
            self._failed(key)
            for endpoint in endpoints:
                self._report_trouble(endpoint, error.message)
            return False
        self._patience.pop(key, None)
        return True

    def _clear_leftovers(self, endpoints: list[Endpoint]) -> None:
        """End processes of endpoints that have no document."""
        known = {endpoint.name for endpoint in endpoints}
        for owner in self._actuator.owners():
            if owner not in known:
                log.warning("%s: has processes but no document; they are ended", owner)
                self._actuator.run(owner, [])

    def _advance(self, endpoint: Endpoint) -> bool:
        """Observe, and take the next step; tell whether there was one."""
        calm = endpoint.model_copy(update={"status": endpoint.status.model_copy(update={"trouble": ""})})
        step = self._housekeeping(calm) or self._progress(calm)
        if step is None and endpoint.status.trouble:
            step = Step(calm.status)
        self._heal(endpoint)
        if step is not None:
            return self._save(endpoint, step)
        return self._mirror(endpoint)

    def _progress(self, endpoint: Endpoint) -> Step | None:
        handlers: dict[Phase, Callable[[Endpoint], Step | None]] = {
            "resolving": self._resolve,
            "fetching": self._fetch,
            "starting": self._await_ready,
            "testing": self._test,
            "rolling": self._judge,
            "deleting": self._finish_deletion,
        }
        handler = handlers.get(endpoint.status.phase)
        return handler(endpoint) if handler else None

    def _resolve(self, endpoint: Endpoint) -> Step:
        model, number = Name.parse(endpoint.spec.model), endpoint.spec.version
        try:
            version = self._registry().version(model, number)
            report = self._registry().gate_report(version)
        except RefusedError as error:
            return transitions.give_up(endpoint.status, "refused", error.message, self._moment())
        return transitions.admit(endpoint, version, report, self._moment())

    def _fetch(self, endpoint: Endpoint) -> Step:
        status, moment, revision = endpoint.status, self._moment(), _challenger(endpoint)
        try:
            folder, digest = self._registry().fetch(revision.source, revision.digest)
            contract = bundle.read_contract(folder)
        except (RefusedError, BundleError) as error:
            return transitions.fail(status, f"cannot be served: {error.message}", moment)
        if f"{contract.project}/{contract.model}" != endpoint.spec.model:
            made_for = f"{contract.project}/{contract.model}"
            return transitions.fail(status, f"is a bundle of {made_for}, not of {endpoint.spec.model}", moment)
        return transitions.fetched(status, folder, digest, self._actuator.free_port(self._ports()), moment)

    def _ports(self) -> list[int]:
        return [
            revision.port
            for endpoint in self._store.endpoints()
            for revision in endpoint.status.revisions
            if revision.state in PROCESS
        ]

    def _await_ready(self, endpoint: Endpoint) -> Step | None:
        status, moment, revision = endpoint.status, self._moment(), _challenger(endpoint)
        condition = self._actuator.condition(endpoint.name, revision)
        replaced = bool(revision.pid and condition.pid and condition.pid != revision.pid)
        if condition.state == "dead" or replaced:
            words = self._actuator.last_words(endpoint.name, revision) or condition.detail
            return transitions.fail(status, f"ended while it started:\n{words}", moment)
        if condition.state == "ready":
            text = f"trying {len(self._examples(revision))} example rows"
            return Step(transitions.enter(status, "testing", text, moment))
        if moment.seconds - revision.since > START_SECONDS:
            words = self._actuator.last_words(endpoint.name, revision)
            return transitions.fail(status, f"was not ready within {START_SECONDS:.0f} s:\n{words}".rstrip(), moment)
        if condition.pid and not revision.pid:
            return Step(_with_pid(status, revision, condition.pid))
        return None

    def _test(self, endpoint: Endpoint) -> Step:
        status, moment, revision = endpoint.status, self._moment(), _challenger(endpoint)
        contract = bundle.read_contract(self._actuator.bundle(revision))
        rows = [example.row for example in contract.examples]
        try:
            predictions = self._actuator.predict(endpoint.name, revision, rows) if rows else []
        except (RefusedError, UnreachableError) as error:
            return transitions.fail(status, f"failed on its own example rows: {error.message}", moment)
        if found := smoke.difference(contract, predictions):
            return transitions.fail(status, f"does not answer as it was judged: {found}", moment)
        remark = f" and answers {len(rows)} example rows as recorded" if rows else "; it has no example rows to try"
        return transitions.tested(endpoint, self._counters(endpoint), moment, remark)

    def _judge(self, endpoint: Endpoint) -> Step:
        status, moment, challenger = endpoint.status, self._moment(), _challenger(endpoint)
        champion, rollout = status.revision(status.champion), status.rollout
        if champion is None or rollout is None:
            return transitions.give_up(status, "inconclusive", "there is no champion to compare with", moment)
        rollout = transitions.observe(rollout, champion.label, challenger.label, self._counters(endpoint))
        condition = self._actuator.condition(endpoint.name, challenger)
        if condition.state == "dead":
            words = self._actuator.last_words(endpoint.name, challenger) or condition.detail
            return transitions.give_up(status, "breached", f"its process ended:\n{words}", moment)
        against, remark = comparison(rollout, endpoint.spec.policy.min_requests)
        elapsed = max(0.0, moment.seconds - rollout.started)
        judgement = decide(against, rollout.challenger, endpoint.spec.policy, elapsed)
        judgement = judgement.model_copy(update={"reason": judgement.reason + remark})
        return transitions.judged(endpoint, rollout, judgement, moment)

    def _counters(self, endpoint: Endpoint) -> dict[str, Window]:
        status = endpoint.status
        shown = [item for item in map(status.revision, (status.champion, status.challenger)) if item]
        upstreams = {item.label: Upstream(endpoint.name, item.label, item.port) for item in shown}
        counts = self._actuator.counts(upstreams.values())
        return {label: counts[upstream.cluster] for label, upstream in upstreams.items()}

    def _finish_deletion(self, endpoint: Endpoint) -> Step | None:
        if any(revision.state in PROCESS for revision in endpoint.status.revisions):
            return None
        event = self._event(endpoint, Note("deleted", "nothing of it runs any more"))
        self._store.remove(endpoint.name, endpoint.spec.generation, event)
        self._tell(endpoint, [event])
        return None

    def _housekeeping(self, endpoint: Endpoint) -> Step | None:
        """Take revisions a step further to their end, once the gateway no longer needs them."""
        status, moment = endpoint.status, self._moment()
        if status.bake_until is not None and moment.seconds >= status.bake_until:
            return transitions.baked(status, moment)
        for revision in status.revisions:
            if revision.state == "draining" and self._is_drained(endpoint, revision, moment):
                return Step(transitions.set_state(status, revision.number, "stopping", moment))
            if revision.state == "stopping":
                return Step(transitions.set_state(status, revision.number, "stopped", moment))
        return None

    def _is_drained(self, endpoint: Endpoint, revision: Revision, moment: Moment) -> bool:
        waited = moment.seconds - revision.since
        if waited < DRAIN_LEAST_SECONDS:
            return False
        upstream = Upstream(endpoint.name, revision.label, revision.port)
        return waited > DRAIN_MOST_SECONDS or self._actuator.active(upstream) == 0

    def _heal(self, endpoint: Endpoint) -> None:
        """Start again, ever more rarely, what serves or may be returned to and supervision gave up."""
        status = endpoint.status
        for revision in filter(None, map(status.revision, (status.champion, status.previous))):
            key = ("revive", endpoint.spec.name, revision.label)
            if revision.state != "ready" or not self._due(key):
                continue
            condition = self._actuator.condition(endpoint.name, revision)
            if condition.state == "ready":
                self._patience.pop(key, None)
            elif condition.state == "dead":
                self._failed(key)
                self._revive(endpoint, revision, condition.detail)

    def _revive(self, endpoint: Endpoint, revision: Revision, detail: str) -> None:
        log.warning("%s: %s ended and is started again: %s", endpoint.name, revision.label, detail)
        try:
            self._actuator.revive(endpoint.name, revision)
        except MlplatError as error:
            log.warning("%s: %s cannot be started: %s", endpoint.name, revision.label, error.message)

    def _mirror(self, endpoint: Endpoint) -> bool:
        """Tell the registry who serves. It may be down: nothing waits for it."""
        wanted, told, key = (
            transitions.wanted_aliases(endpoint),
            endpoint.status.mirrored,
            ("mirror", endpoint.spec.name),
        )
        if wanted == told or not self._due(key):
            return False
        try:
            self._tell_registry(Name.parse(endpoint.spec.model), wanted, told)
        except NoSuchVersionError as error:
            log.warning("%s: %s", endpoint.name, error.message)
        except MlplatError as error:
            self._failed(key)
            log.warning("%s: aliases are told later: %s", endpoint.name, error.message)
            return False
        self._patience.pop(key, None)
        return self._save(endpoint, Step(endpoint.status.model_copy(update={"mirrored": wanted})))

    def _tell_registry(self, model: Name, wanted: dict[str, str], told: dict[str, str]) -> None:
        registry = self._registry()
        for alias, number in wanted.items():
            if told.get(alias) != number:
                registry.set_alias(model, alias, number)
        champion = wanted.get("champion")
        # A challenger that has become champion is none any more; a newer one that was registered since stays.
        if "challenger" not in wanted and champion and registry.alias(model, "challenger") == champion:
            registry.set_alias(model, "challenger", None)

    def _save(self, endpoint: Endpoint, step: Step) -> bool:
        if step.status == endpoint.status and not step.notes:
            return False
        events = [self._event(endpoint, note) for note in step.notes]
        self._store.report(endpoint.name, endpoint.spec.generation, step.status, events)
        self._tell(endpoint, events)
        return bool(events) or step.status.phase != endpoint.status.phase

    def _event(self, endpoint: Endpoint, note: Note) -> Event:
        return Event(
            time=self._moment().shown, generation=endpoint.spec.generation, kind=note.kind, text=note.text,
            figures=note.figures,
        )  # fmt: skip

    def _tell(self, endpoint: Endpoint, events: Iterable[Event]) -> None:
        for event in events:
            log.info("%s: %s: %s", endpoint.name, event.kind, event.text)

    def _tried(self, endpoint: Endpoint, action: Callable[[Endpoint], bool]) -> bool:
        """Do something for one endpoint without its failure reaching the others."""
        key = ("endpoint", endpoint.spec.name)
        if not self._due(key):
            return False
        try:
            done = action(endpoint)
        except SupersededError:
            return True
        except MlplatError as error:
            self._report_trouble(endpoint, error.message)
        except Exception as error:  # whatever it is, the other endpoints go on
            log.exception("%s: internal error", endpoint.name)
            self._report_trouble(endpoint, f"internal error: {type(error).__name__}: {error}")
        else:
            if action == self._advance:
                self._patience.pop(key, None)
            return done
        self._failed(key)
        return False

    def _report_trouble(self, endpoint: Endpoint, trouble: str) -> None:
        name = endpoint.spec.name
        self.failures[name] = self.failures.get(name, 0) + 1
        if endpoint.status.trouble == trouble:
            return
        log.warning("%s: %s", name, trouble)
        status = endpoint.status.model_copy(update={"trouble": trouble})
        try:
            self._store.report(endpoint.name, endpoint.spec.generation, status)
        except MlplatError as error:
            log.warning("%s: its status cannot be written: %s", name, error.message)

    def _forget(self, endpoint: Endpoint) -> None:
        for key in [key for key in self._patience if endpoint.spec.name in key]:
            del self._patience[key]

    def _due(self, key: tuple[str, ...]) -> bool:
        waiting = self._patience.get(key)
        return waiting is None or self._moment().seconds >= waiting.next_try

    def _failed(self, key: tuple[str, ...]) -> None:
        self._patience.setdefault(key, _Patience()).failed(self._moment().seconds)

    def _examples(self, revision: Revision) -> tuple[bundle.Example, ...]:
        return bundle.read_contract(self._actuator.bundle(revision)).examples


def comparison(rollout: Rollout, enough: int) -> tuple[Window, str]:
    """Return the champion's window to compare with, and a remark where it is not of this step alone."""
    if rollout.champion.requests >= enough or not rollout.earlier.requests:
        return rollout.champion, ""
    return rollout.champion + rollout.earlier, " (the champion's requests of earlier steps count as well)"


def _challenger(endpoint: Endpoint) -> Revision:
    revision = endpoint.status.revision(endpoint.status.challenger)
    if revision is None:
        raise UnreachableError(f"{endpoint.name}: its status names no challenger")
    return revision


def _with_pid(status: Status, revision: Revision, pid: int) -> Status:
    revisions = [item.model_copy(update={"pid": pid}) if item == revision else item for item in status.revisions]
    return status.model_copy(update={"revisions": tuple(revisions)})


def _in_motion(endpoint: Endpoint) -> bool:
    """Tell whether something is expected to happen within moments."""
    status = endpoint.status
    ending = any(revision.state in ("draining", "stopping") for revision in status.revisions)
    return status.phase in (*MOVING, "deleting") or ending
