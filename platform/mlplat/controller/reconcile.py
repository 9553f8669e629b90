"""One look at everything, and the next small step for each endpoint.

A pass makes what runs agree with the documents, then observes, then writes the next status: an intent, which the next
pass makes so. Nothing is remembered in between but when to try again, what is asked of the registry at the moment, and
when a process last answered; so the controller may end at any point, and whoever comes next goes on from the documents.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from mlplat import bundle
from mlplat.bundle import BundleError, Contract
from mlplat.controller import smoke, transitions
from mlplat.controller.actuator import Actuator, Condition, Limits, UndirectedError
from mlplat.controller.decision import decide
from mlplat.controller.document import MOVING, PROCESS, Endpoint, Event, Phase, Revision, Rollout, Status
from mlplat.controller.errands import Errands
from mlplat.controller.gateway import Upstream, plan
from mlplat.controller.registry import GateReport, Registry, Version
from mlplat.controller.silence import Silence
from mlplat.controller.store import MEND, Store, SupersededError
from mlplat.controller.transitions import Moment, Note, Step
from mlplat.controller.window import Window
from mlplat.errors import MlplatError, RefusedError, StateError, UnreachableError
from mlplat.labels import Name
from mlplat.tracking import AbsentError

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0

T = TypeVar("T")
Pace = Literal["now", "soon", "later"]
"""How soon to look again: something was just written, something is under way, or nothing is."""

log = logging.getLogger("mlplat.controller")


@dataclass
class _Patience:
    """When to try again what failed."""

    failures: int = 0
    next_try: float = 0.0
    trouble: str = ""
    """What a person is told meanwhile."""
    told: bool = False
    """Whether an event says that it was tried."""

    def failed(self, now: float) -> None:
        self.next_try = now + min(FIRST_RETRY_SECONDS * 2**self.failures, LAST_RETRY_SECONDS)
        self.failures += 1


class Reconciler:
    """The one writer of statuses."""

    def __init__(
        self,
        store: Store,
        actuator: Actuator,
        registry: Callable[[], Registry],
        moment: Callable[[], Moment],
        errands: Errands | None = None,
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        self._store = store
        self._actuator = actuator
        self._registry = registry
        self._moment = moment
        self._patience: dict[tuple[str, ...], _Patience] = {}
        self._errands = errands or Errands()
        self._limits = limits
        self._silence = Silence()
        self.failures: dict[str, int] = {}
        """Passes that failed, by endpoint."""

    def run(self) -> Pace:
        """Make one pass; tell when another one should follow. Raises `StateError` when the store fails."""
        self._refuse_unknown_owners()
        moved = self._accept_wishes()
        endpoints = self._store.endpoints()
        sound = [endpoint for endpoint in endpoints if self._tried(endpoint, self._act)]
        directed = self._direct(endpoints)
        if directed is None:
            return "soon"
        self._clear_leftovers(endpoints)
        for endpoint in [each for each in sound if each.name in directed]:
            moved = self._tried(endpoint, self._advance) or moved
        if moved:
            return "now"
        if any(self._in_motion(endpoint) for endpoint in endpoints) or not self._errands.idle:
            return "soon"
        if len(directed) < len(endpoints):
            return "soon"
        self._registry().prune({item.digest for endpoint in endpoints for item in endpoint.status.revisions})
        return "later"

    def _refuse_unknown_owners(self) -> None:
        """Raise `StateError` rather than end processes and routes of endpoints that the store has lost."""
        unknown = [str(owner) for owner in self._actuator.owners() if not self._store.knows(owner)]
        if unknown:
            raise StateError(
                f"the endpoint store has never heard of {', '.join(unknown)}, whose processes are kept here: the file "
                "is not the one that was",
                hint=MEND,
            )

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

    def _direct(self, endpoints: list[Endpoint]) -> set[Name] | None:
        """Have the gateway hold what the documents say; return for which endpoints it does, None when for none."""
        key = ("gateway",)
        if not self._due(key):
            return None
        everyone = {endpoint.name for endpoint in endpoints}
        try:
            self._actuator.direct(plan(endpoints))
        except UndirectedError as error:
            # Each is somebody's own matter: the others' rollouts do not wait for it.
            for endpoint in endpoints:
                if endpoint.name in error.troubles:
                    self._report_trouble(endpoint, error.troubles[endpoint.name])
            self._patience.pop(key, None)
            return everyone - error.troubles.keys()
        except MlplatError as error:
            self._failed(key)
            for endpoint in endpoints:
                self._report_trouble(endpoint, error.message)
            return None
        self._patience.pop(key, None)
        return everyone

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
        step = self._heal(calm) or self._housekeeping(calm) or self._progress(calm)
        trouble = self._trouble(endpoint)
        if step is None and endpoint.status.trouble != trouble:
            step = Step(endpoint.status.model_copy(update={"trouble": trouble}))
        if step is not None:
            return self._save(endpoint, step)
        return self._mirror(endpoint)

    def _trouble(self, endpoint: Endpoint) -> str:
        waiting = self._patience.get(("ask", endpoint.spec.name, endpoint.status.phase))
        return waiting.trouble if waiting else ""

    def _asked(self, endpoint: Endpoint, call: Callable[[], T]) -> T | None:
        """Have something made beside the loop that the present phase waits for; return what it brings once it does.

        What fails for now is tried again, ever more rarely; only a refusal is raised.
        """
        name, phase = endpoint.spec.name, endpoint.status.phase
        key = ("ask", name, phase)
        if not self._due(key):
            return None
        try:
            found = self._errands.ask((name, str(endpoint.spec.generation), phase), call)
        except (RefusedError, BundleError):
            self._patience.pop(key, None)
            raise
        except (MlplatError, OSError) as error:
            trouble = error.message if isinstance(error, MlplatError) else str(error)
            self._failed(key, trouble)
            self.failures[name] = self.failures.get(name, 0) + 1
            log.warning("%s: %s", name, trouble)
            return None
        if found is not None:
            self._patience.pop(key, None)
        return found

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

    def _resolve(self, endpoint: Endpoint) -> Step | None:
        model, number, registry = Name.parse(endpoint.spec.model), endpoint.spec.version, self._registry()

        def look_up() -> tuple[Version, GateReport | None]:
            version = registry.version(model, number)
            return version, registry.gate_report(version)

        try:
            found = self._asked(endpoint, look_up)
        except RefusedError as error:
            return transitions.give_up(endpoint.status, "refused", error.message, self._moment())
        return transitions.admit(endpoint, *found, self._moment()) if found else None

    def _fetch(self, endpoint: Endpoint) -> Step | None:
        status, moment, revision, registry = endpoint.status, self._moment(), _challenger(endpoint), self._registry()

        def fetch() -> tuple[Path, str, Contract, list[str]]:
            folder, digest = registry.fetch(revision.source, revision.digest)
            contract = bundle.read_contract(folder)
            unsuited = self._unsuited(endpoint, contract)
            self._actuator.publish(endpoint.name, folder, digest)
            return folder, digest, contract, unsuited

        try:
            found = self._asked(endpoint, fetch)
        except (RefusedError, BundleError) as error:
            return transitions.fail(status, f"cannot be served: {error.message}", moment)
        if found is None:
            return None
        folder, digest, contract, unsuited = found
        if f"{contract.project}/{contract.model}" != endpoint.spec.model:
            made_for = f"{contract.project}/{contract.model}"
            return transitions.fail(status, f"is a bundle of {made_for}, not of {endpoint.spec.model}", moment)
        if odd := revision.log.unknown(column.name for column in contract.columns):
            said = f"has no column `{odd[0]}`, which `prediction_log` in mlplat.yaml keeps out of the log"
            return transitions.fail(status, f"{said}; it has {', '.join(c.name for c in contract.columns)}", moment)
        if unsuited:
            said = f"takes other requests than what serves: {'; '.join(unsuited)}"
            return transitions.fail(status, f"{said}. `--strategy direct` lets it take over at once", moment)
        return transitions.fetched(status, folder, digest, self._actuator.free_port(self._ports()), moment)

    def _unsuited(self, endpoint: Endpoint, contract: Contract) -> list[str]:
        """Say why requests to the champion do not suit a version that is to share them."""
        champion = endpoint.status.revision(endpoint.status.champion)
        if champion is None or not transitions.shares_traffic(endpoint.spec, endpoint.status):
            return []
        return bundle.unsuited(bundle.read_contract(self._actuator.bundle(champion)), contract)

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
        self._hangs(endpoint, revision, condition)  # it is heard of from its first answer on
        replaced = bool(revision.pid and condition.pid and condition.pid != revision.pid)
        if condition.state == "dead" or replaced:
            words = self._actuator.last_words(endpoint.name, revision) or condition.detail
            return transitions.fail(status, f"ended while it started:\n{words}", moment)
        if condition.state == "ready":
            text = f"trying {len(self._examples(revision))} example rows"
            return Step(transitions.enter(status, "testing", text, moment))
        patience = self._limits().start
        if moment.seconds - revision.since > patience:
            words = self._actuator.last_words(endpoint.name, revision) or condition.detail
            return transitions.fail(status, f"was not ready within {patience:.0f} s:\n{words}".rstrip(), moment)
        if condition.detail and not status.message.endswith(condition.detail):
            return Step(transitions.awaited(status, condition.detail))
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
        if (lasted := self._hangs(endpoint, challenger, condition)) is not None:
            return transitions.give_up(status, "breached", f"it hangs: no answer for {lasted:.0f} s", moment)
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
        waited, limits = moment.seconds - revision.since, self._limits()
        if waited < limits.drain_least:
            return False
        upstream = Upstream(endpoint.name, revision.label, revision.port)
        return waited > limits.drain_most or self._actuator.active(upstream) == 0

    def _heal(self, endpoint: Endpoint) -> Step | None:
        """Start again, ever more rarely, what serves or may be returned to and hangs, or was given up."""
        status = endpoint.status
        numbers = dict.fromkeys((status.champion, status.previous))
        shown = [item for item in map(status.revision, numbers) if item and item.state == "ready"]
        conditions = {item.number: self._actuator.condition(endpoint.name, item) for item in shown}
        reasons = {item.number: self._reason(endpoint, item, conditions[item.number]) for item in shown}
        relief = self._relieve(status, conditions, reasons)
        if relief is not None:
            return relief
        for revision in shown:
            key = ("revive", endpoint.spec.name, revision.label)
            if conditions[revision.number].state == "ready":
                self._patience.pop(key, None)
            elif (reason := reasons[revision.number]) and self._due(key):
                self._failed(key)
                revived = self._revive(endpoint, revision, conditions[revision.number], reason)
                # What keeps failing is told once.
                if revived and not self._patience[key].told:
                    self._patience[key].told = True
                    return transitions.restarted(status, revision, reason)
        return None

    def _reason(self, endpoint: Endpoint, revision: Revision, condition: Condition) -> str:
        """Say why a revision has to be started again; empty when it need not."""
        if condition.state == "dead":
            return "ended" + (f" ({condition.detail})" if condition.detail else "")
        lasted = self._hangs(endpoint, revision, condition)
        return f"hung: no answer for {lasted:.0f} s" if lasted is not None else ""

    def _hangs(self, endpoint: Endpoint, revision: Revision, condition: Condition) -> float | None:
        return self._silence.lasts((endpoint.spec.name, revision.label), condition, self._moment().seconds)

    def _relieve(self, status: Status, conditions: dict[int, Condition], reasons: dict[int, str]) -> Step | None:
        """Have the previous revision stand in for a champion that does not answer, and stand back when it does."""
        champion, previous = status.champion, status.previous
        if status.standing_in is not None:
            whole = champion is None or champion not in conditions or conditions[champion].state == "ready"
            return transitions.stand_back(status) if whole else None
        if champion is None or previous is None or champion == previous or not reasons.get(champion):
            return None
        answers = previous in conditions and conditions[previous].state == "ready"
        return transitions.stand_in(status, reasons[champion]) if answers else None

    def _revive(self, endpoint: Endpoint, revision: Revision, condition: Condition, reason: str) -> bool:
        log.warning("%s: %s %s and is started again", endpoint.name, revision.label, reason)
        try:
            if condition.state != "dead":
                self._actuator.restart(endpoint.name, revision)
            elif self._actuator.is_whole(revision) or self._fetched_again(endpoint, revision):
                self._actuator.revive(endpoint.name, revision)
            else:
                return False
        except MlplatError as error:
            log.warning("%s: %s cannot be started: %s", endpoint.name, revision.label, error.message)
            return False
        return True

    def _fetched_again(self, endpoint: Endpoint, revision: Revision) -> bool:
        """Have a bundle fetched that is damaged here, beside the loop; tell whether it is there."""
        log.warning("%s: the files of %s are damaged here, and are fetched again", endpoint.name, revision.label)
        registry, name = self._registry(), endpoint.spec.name
        key = (name, str(endpoint.spec.generation), f"fetch {revision.label} again")
        return self._errands.ask(key, lambda: registry.fetch(revision.source, revision.digest)) is not None

    def _mirror(self, endpoint: Endpoint) -> bool:
        """Tell the registry who serves. It may be down: nothing waits for it."""
        wanted, told, key = (
            transitions.wanted_aliases(endpoint),
            endpoint.status.mirrored,
            ("mirror", endpoint.spec.name),
        )
        if wanted == told or not self._due(key):
            return False
        model, registry = Name.parse(endpoint.spec.model), self._registry()
        try:
            mirrored = self._errands.ask(
                (endpoint.spec.name, str(endpoint.spec.generation), "mirror"),
                lambda: _tell_registry(registry, model, wanted, told),
            )
        except AbsentError as error:
            log.warning("%s: %s", endpoint.name, error.message)
            mirrored = wanted
        except MlplatError as error:
            self._failed(key)
            log.warning("%s: aliases are told later: %s", endpoint.name, error.message)
            return False
        if mirrored is None:
            return False
        self._patience.pop(key, None)
        return self._save(endpoint, Step(endpoint.status.model_copy(update={"mirrored": mirrored})))

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
        self._errands.forget(endpoint.spec.name)
        for key in [key for key in self._patience if endpoint.spec.name in key]:
            del self._patience[key]

    def _due(self, key: tuple[str, ...]) -> bool:
        waiting = self._patience.get(key)
        return waiting is None or self._moment().seconds >= waiting.next_try

    def _failed(self, key: tuple[str, ...], trouble: str = "") -> None:
        patience = self._patience.setdefault(key, _Patience())
        patience.failed(self._moment().seconds)
        patience.trouble = trouble

    def _in_motion(self, endpoint: Endpoint) -> bool:
        """Tell whether something is expected to happen within moments."""
        status, name = endpoint.status, endpoint.spec.name
        ending = any(revision.state in ("draining", "stopping") for revision in status.revisions)
        suspected = any(self._silence.is_suspected((name, revision.label)) for revision in status.revisions)
        return status.phase in (*MOVING, "deleting") or ending or suspected or status.standing_in is not None

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


def _tell_registry(registry: Registry, model: Name, wanted: dict[str, str], told: dict[str, str]) -> dict[str, str]:
    """Point aliases at who serves; return what was told."""
    for alias, number in wanted.items():
        if told.get(alias) != number:
            registry.set_alias(model, alias, number)
    champion = wanted.get("champion")
    # A challenger that has become champion is none any more; a newer one that was registered since stays.
    if "challenger" not in wanted and champion and registry.alias(model, "challenger") == champion:
        registry.set_alias(model, "challenger", None)
    return wanted
