"""The next step of an endpoint's present phase: resolving, fetching, starting, testing, rolling."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mlplat import bundle
from mlplat.bundle import BundleError, Contract
from mlplat.controller import smoke, transitions
from mlplat.controller.actuator import Condition
from mlplat.controller.decision import decide
from mlplat.controller.document import PROCESS, Endpoint, Phase, Revision, Rollout, Status
from mlplat.controller.gateway import Upstream
from mlplat.controller.means import Means
from mlplat.controller.registry import GateReport, Version
from mlplat.controller.transitions import Step
from mlplat.controller.window import Window
from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.labels import Name

T = TypeVar("T")

log = logging.getLogger("mlplat.controller")


class Phases:
    """What is done in each phase of a rollout."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def step(self, endpoint: Endpoint) -> Step | None:
        """Observe, and return the next step of the present phase, if there is one."""
        handlers: dict[Phase, Callable[[Endpoint], Step | None]] = {
            "resolving": self._resolve,
            "fetching": self._fetch,
            "starting": self._await_ready,
            "testing": self._test,
            "rolling": self._judge,
        }
        handler = handlers.get(endpoint.status.phase)
        return handler(endpoint) if handler else None

    def trouble(self, endpoint: Endpoint) -> str:
        """Return what keeps the present phase from going on, for now."""
        return self._means.patience.trouble(_ask_key(endpoint))

    def _asked(self, endpoint: Endpoint, call: Callable[[], T]) -> T | None:
        """Have something made beside the loop that the present phase waits for; return what it brings once it does.

        What fails for now is tried again, ever more rarely; only a refusal is raised.
        """
        name, key, patience = endpoint.spec.name, _ask_key(endpoint), self._means.patience
        if not patience.due(key):
            return None
        try:
            found = self._means.errands.ask((name, str(endpoint.spec.generation), endpoint.status.phase), call)
        except (RefusedError, BundleError):
            patience.succeeded(key)
            raise
        except (MlplatError, OSError) as error:
            trouble = error.message if isinstance(error, MlplatError) else str(error)
            patience.failed(key, trouble)
            self._means.count_failure(name)
            log.warning("%s: %s", name, trouble)
            return None
        if found is not None:
            patience.succeeded(key)
        return found

    def _resolve(self, endpoint: Endpoint) -> Step | None:
        model, number, registry = Name.parse(endpoint.spec.model), endpoint.spec.version, self._means.registry()

        def look_up() -> tuple[Version, GateReport | None]:
            version = registry.version(model, number)
            return version, registry.gate_report(version)

        try:
            found = self._asked(endpoint, look_up)
        except RefusedError as error:
            return transitions.give_up(endpoint.status, "refused", error.message, self._means.moment())
        return transitions.admit(endpoint, *found, self._means.moment()) if found else None

    def _fetch(self, endpoint: Endpoint) -> Step | None:
        status, moment, revision, registry = (
            endpoint.status,
            self._means.moment(),
            _challenger(endpoint),
            self._means.registry(),
        )

        def fetch() -> tuple[Path, str, Contract, list[str]]:
            folder, digest = registry.fetch(revision.source, revision.digest)
            contract = bundle.read_contract(folder)
            unsuited = self._unsuited(endpoint, contract)
            self._means.actuator.publish(endpoint.name, folder, digest)
            return folder, digest, contract, unsuited

        try:
            found = self._asked(endpoint, fetch)
        except (RefusedError, BundleError) as error:
            return transitions.fail(status, f"cannot be served: {error.message}", moment)
        if found is None:
            return None
        folder, digest, contract, unsuited = found
        if unfit := _unfit(endpoint, revision, contract, unsuited):
            return transitions.fail(status, unfit, moment)
        return transitions.fetched(status, folder, digest, self._means.actuator.free_port(self._ports()), moment)

    def _unsuited(self, endpoint: Endpoint, contract: Contract) -> list[str]:
        """Say why requests to the champion do not suit a version that is to share them."""
        champion = endpoint.status.revision(endpoint.status.champion)
        if champion is None or not transitions.shares_traffic(endpoint.spec, endpoint.status):
            return []
        return bundle.unsuited(self._contract(champion), contract)

    def _contract(self, revision: Revision) -> Contract:
        return bundle.read_contract(self._means.actuator.bundle(revision))

    def _ports(self) -> list[int]:
        return [
            revision.port
            for endpoint in self._means.store.endpoints()
            for revision in endpoint.status.revisions
            if revision.state in PROCESS
        ]

    def _await_ready(self, endpoint: Endpoint) -> Step | None:
        status, moment, revision = endpoint.status, self._means.moment(), _challenger(endpoint)
        condition = self._means.actuator.condition(endpoint.name, revision)
        self._means.hangs(endpoint, revision, condition)  # it is heard of from its first answer on
        replaced = bool(revision.pid and condition.pid and condition.pid != revision.pid)
        if condition.state == "dead" or replaced:
            words = self._words(endpoint, revision, condition)
            return transitions.fail(status, f"ended while it started:\n{words}", moment)
        if condition.state == "ready":
            text = f"trying {len(self._contract(revision).examples)} example rows"
            return Step(transitions.enter(status, "testing", text, moment))
        patience = self._means.limits().start
        if moment.seconds - revision.since > patience:
            words = self._words(endpoint, revision, condition)
            return transitions.fail(status, f"was not ready within {patience:.0f} s:\n{words}".rstrip(), moment)
        if condition.detail and not status.message.endswith(condition.detail):
            return Step(transitions.awaited(status, condition.detail))
        if condition.pid and not revision.pid:
            return Step(_with_pid(status, revision, condition.pid))
        return None

    def _words(self, endpoint: Endpoint, revision: Revision, condition: Condition) -> str:
        return self._means.actuator.last_words(endpoint.name, revision) or condition.detail

    def _test(self, endpoint: Endpoint) -> Step:
        status, moment, revision = endpoint.status, self._means.moment(), _challenger(endpoint)
        contract = self._contract(revision)
        rows = [example.row for example in contract.examples]
        try:
            predictions = self._means.actuator.predict(endpoint.name, revision, rows) if rows else []
        except (RefusedError, UnreachableError) as error:
            return transitions.fail(status, f"failed on its own example rows: {error.message}", moment)
        if found := smoke.difference(contract, predictions):
            return transitions.fail(status, f"does not answer as it was judged: {found}", moment)
        remark = f" and answers {len(rows)} example rows as recorded" if rows else "; it has no example rows to try"
        return transitions.tested(endpoint, self._counters(endpoint), moment, remark)

    def _judge(self, endpoint: Endpoint) -> Step:
        status, moment, challenger = endpoint.status, self._means.moment(), _challenger(endpoint)
        champion, rollout = status.revision(status.champion), status.rollout
        if champion is None or rollout is None:
            return transitions.give_up(status, "inconclusive", "there is no champion to compare with", moment)
        rollout = transitions.observe(rollout, champion.label, challenger.label, self._counters(endpoint))
        condition = self._means.actuator.condition(endpoint.name, challenger)
        if condition.state == "dead":
            words = self._words(endpoint, challenger, condition)
            return transitions.give_up(status, "breached", f"its process ended:\n{words}", moment)
        if (lasted := self._means.hangs(endpoint, challenger, condition)) is not None:
            return transitions.give_up(status, "breached", f"it hangs: no answer for {lasted:.0f} s", moment)
        against, remark = _comparison(rollout, endpoint.spec.policy.min_requests)
        elapsed = max(0.0, moment.seconds - rollout.started)
        judgement = decide(against, rollout.challenger, endpoint.spec.policy, elapsed)
        judgement = judgement.model_copy(update={"reason": judgement.reason + remark})
        return transitions.judged(endpoint, rollout, judgement, moment)

    def _counters(self, endpoint: Endpoint) -> dict[str, Window]:
        status = endpoint.status
        shown = [item for item in map(status.revision, (status.champion, status.challenger)) if item]
        upstreams = {item.label: Upstream(endpoint.name, item.label, item.port) for item in shown}
        counts = self._means.actuator.counts(upstreams.values())
        return {label: counts[upstream.cluster] for label, upstream in upstreams.items()}


def _ask_key(endpoint: Endpoint) -> tuple[str, ...]:
    return ("ask", endpoint.spec.name, endpoint.status.phase)


def _comparison(rollout: Rollout, enough: int) -> tuple[Window, str]:
    """Return the champion's window to compare with, and a remark where it is not of this step alone."""
    if rollout.champion.requests >= enough or not rollout.earlier.requests:
        return rollout.champion, ""
    return rollout.champion + rollout.earlier, " (the champion's requests of earlier steps count as well)"


def _challenger(endpoint: Endpoint) -> Revision:
    revision = endpoint.status.revision(endpoint.status.challenger)
    if revision is None:
        raise UnreachableError(f"{endpoint.name}: its status names no challenger")
    return revision


def _unfit(endpoint: Endpoint, revision: Revision, contract: Contract, unsuited: list[str]) -> str:
    """Say why a bundle cannot be served here; empty when it can."""
    made_for, wanted = f"{contract.project}/{contract.model}", endpoint.spec.model
    if made_for != wanted:
        return f"is a bundle of {made_for}, not of {wanted}"
    if odd := revision.log.unknown(column.name for column in contract.columns):
        said = f"has no column `{odd[0]}`, which `prediction_log` in mlplat.yaml keeps out of the log"
        return f"{said}; it has {', '.join(column.name for column in contract.columns)}"
    if unsuited:
        said = f"takes other requests than what serves: {'; '.join(unsuited)}"
        return f"{said}. `--strategy direct` lets it take over at once"
    return ""


def _with_pid(status: Status, revision: Revision, pid: int) -> Status:
    revisions = [item.model_copy(update={"pid": pid}) if item == revision else item for item in status.revisions]
    return status.model_copy(update={"revisions": tuple(revisions)})
