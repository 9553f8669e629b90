"""How an endpoint's status changes: pure functions from one document to the next.

Nothing here looks at a process or a clock. What is written in a status is an intent; the next pass makes it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mlplat.controller.document import (
    MOVING,
    PROCESS,
    Endpoint,
    EndpointSpec,
    Figures,
    Judgement,
    Phase,
    Revision,
    Rollout,
    State,
    Status,
)
from mlplat.controller.registry import GateReport, Version
from mlplat.controller.window import Window

D = TypeVar("D", bound=BaseModel)
KEPT_REVISIONS = 10
"""Stopped ones that a document still lists."""


@dataclass(frozen=True)
class Moment:
    """One instant by both clocks."""

    seconds: float
    """Since the epoch, by a clock that nobody sets (`mlplat.controller.steady`): what durations go by."""
    shown: datetime
    """By the platform's clock: what people read."""


@dataclass(frozen=True)
class Note:
    """What to tell about a change."""

    kind: str
    text: str
    figures: Figures | None = None


@dataclass(frozen=True)
class Step:
    """The next status, and what happened."""

    status: Status
    notes: tuple[Note, ...] = ()


def accept(endpoint: Endpoint, moment: Moment) -> Step:
    """Take up a new wish."""
    status = endpoint.status.model_copy(update={"observed_generation": endpoint.spec.generation, "trouble": ""})
    match endpoint.spec.action:
        case "deploy":
            return _accept_deploy(endpoint.spec, status, moment)
        case "promote":
            return promote(endpoint.spec, status, moment)
        case "abort":
            return _accept_abort(endpoint.spec, status, moment)
        case "rollback":
            return _accept_rollback(endpoint.spec, status, moment)
        case "delete":
            for revision in status.revisions:
                status = retire(status, revision.number, moment)
            status = _update(status, weight=0, rollout=None, bake_until=None)
            return Step(enter(status, "deleting", "requests are refused; what runs is drained", moment))


def _accept_deploy(spec: EndpointSpec, status: Status, moment: Moment) -> Step:
    status = drop_challenger(status, moment)
    champion = status.revision(status.champion)
    if champion and champion.state != "ready":
        # It was being deleted: what drains is not brought back by the wish for something else.
        status = _update(status, champion=None, previous=None)
    return Step(enter(status, "resolving", f"looking up {spec.model} version {spec.version}", moment))


def _accept_abort(spec: EndpointSpec, status: Status, moment: Moment) -> Step:
    challenger = status.revision(status.challenger)
    if challenger and challenger.state != "ready":
        status = retire(status, challenger.number, moment)
    reason = "; ".join(filter(None, [f"aborted by {spec.by}", spec.reason]))
    return give_up(status, "aborted", reason, moment)


def _accept_rollback(spec: EndpointSpec, status: Status, moment: Moment) -> Step:
    target = status.revision(spec.revision)
    if target is None:
        return give_up(status, "refused", f"revision r{spec.revision} is not known any more", moment)
    if target.state in ("ready", "draining", "stopping"):
        return promote(spec, set_state(status, target.number, "ready", moment), moment)
    if status.challenger != target.number:
        status = drop_challenger(status, moment)
    status = set_state(status, target.number, "fetching", moment, pid=0)
    status = _update(status, challenger=target.number, weight=0, rollout=None)
    return Step(enter(status, "fetching", f"{_named(target)} does not run any more: it is started again", moment))


def admit(endpoint: Endpoint, version: Version, report: GateReport | None, moment: Moment) -> Step:
    """Take a version in when the gate let exactly its bundle pass, or a person forces it."""
    spec, status = endpoint.spec, endpoint.status
    problem = gate_problem(version, report)
    if problem and spec.force is None:
        return give_up(status, "refused", problem, moment)
    revision = Revision(
        number=status.last_revision + 1, model=spec.model, version=version.number, digest=version.digest,
        source=version.source, port=0, state="fetching", since=moment.seconds, created=moment.shown,
        forced=bool(problem), log=spec.log, scale=spec.scale,
    )  # fmt: skip
    status = _update(
        status,
        revisions=(*_remembered(status), revision),
        challenger=revision.number,
        last_revision=revision.number,
    )
    notes = [Note("admitted", f"{_named(revision)} is {version.digest or 'of unknown digest'}")]
    if problem and spec.force:
        notes.append(Note("forced", f"forced by {spec.force.by}: {spec.force.reason} (otherwise refused: {problem})"))
    return Step(enter(status, "fetching", f"fetching {_named(revision)}", moment), tuple(notes))


def gate_problem(version: Version, report: GateReport | None) -> str:
    """Say why the gate does not let a version pass; empty when it does."""
    named = f"{version.model} version {version.number}"
    if report is None:
        return f"{named} has no gate report"
    if not version.digest:
        return f"{named} is registered without a digest"
    if report.digest != version.digest:
        return f"the gate judged {report.digest}, {named} is {version.digest}"
    if not report.passed:
        return f"the gate refused {named}" + (f" on {', '.join(report.failed_rules)}" if report.failed_rules else "")
    return ""


def fetched(status: Status, folder: Path, digest: str, port: int, moment: Moment) -> Step:
    """Have the challenger started from its fetched bundle."""
    number = _challenger(status).number
    status = set_state(status, number, "starting", moment, folder=str(folder), digest=digest, port=port, pid=0)
    return Step(enter(status, "starting", f"starting {_named(_challenger(status))} on port {port}", moment))


def awaited(status: Status, what: str) -> Status:
    """Say what a challenger that starts waits for."""
    return _update(status, message=f"starting {_named(_challenger(status))}: {what}")


def tested(endpoint: Endpoint, counters: Mapping[str, Window], moment: Moment, remark: str) -> Step:
    """Give the challenger traffic: all of it, or the first step's share."""
    spec, status = endpoint.spec, endpoint.status
    challenger = _challenger(status)
    note = Note("tested", f"{_named(challenger)} is ready{remark}")
    status = set_state(status, challenger.number, "ready", moment)
    if shares_traffic(spec, status):
        step = begin(spec, status, 0, counters, moment)
        return Step(step.status, (note, *step.notes))
    if spec.action == "deploy" and spec.policy.strategy == "canary":
        note = Note(note.kind, f"{note.text}; there is no champion to compare with, so it gets all traffic at once")
    step = promote(spec, status, moment)
    return Step(step.status, (note, *step.notes))


def shares_traffic(spec: EndpointSpec, status: Status) -> bool:
    """Tell whether what is wished for answers some of the requests at first, and the champion the others."""
    return spec.action != "rollback" and spec.policy.strategy == "canary" and status.champion is not None


def begin(spec: EndpointSpec, status: Status, index: int, counters: Mapping[str, Window], moment: Moment) -> Step:
    """Begin a step of a rollout; `counters` are the gateway's, by revision label, from before."""
    weight, before = spec.policy.steps[index], status.rollout
    earlier = before.earlier + before.champion if before else Window()
    rollout = Rollout(step=index, started=moment.seconds, earlier=earlier, seen=dict(counters))
    text = f"step {index + 1} of {len(spec.policy.steps)}: {weight} % of the traffic to {_named(_challenger(status))}"
    status = _update(status, weight=weight, rollout=rollout)
    return Step(enter(status, "rolling", text, moment), (Note("step", text),))


def observe(rollout: Rollout, champion: str, challenger: str, counters: Mapping[str, Window]) -> Rollout:
    """Add to a step what the gateway has counted since the last look."""
    new = {label: now.since(rollout.seen.get(label, Window())) for label, now in counters.items()}
    return _update(
        rollout,
        champion=rollout.champion + new.get(champion, Window()),
        challenger=rollout.challenger + new.get(challenger, Window()),
        seen=dict(counters),
    )


def judged(endpoint: Endpoint, rollout: Rollout, judgement: Judgement, moment: Moment) -> Step:
    """Do as the judgement says."""
    spec = endpoint.spec
    status = _update(endpoint.status, rollout=_update(rollout, judgement=judgement))
    if judgement.verdict == "breach":
        return give_up(status, "breached", judgement.reason, moment, judgement.figures)
    if judgement.verdict == "inconclusive":
        return give_up(status, "inconclusive", judgement.reason, moment, judgement.figures)
    if judgement.verdict == "continue":
        text = f"{status.weight} % of the traffic to {_named(_challenger(status))}: {judgement.reason}"
        return Step(_update(status, message=text))
    note = Note("passed", f"step {rollout.step + 1} passed: {judgement.reason}", judgement.figures)
    last = rollout.step + 1 == len(spec.policy.steps)
    step = promote(spec, status, moment) if last else begin(spec, status, rollout.step + 1, rollout.seen, moment)
    return Step(step.status, (note, *step.notes))


def promote(spec: EndpointSpec, status: Status, moment: Moment) -> Step:
    """Make the challenger champion, and keep the old one running until the bake time ends."""
    challenger, champion = status.revision(spec.revision or status.challenger), status.revision(status.champion)
    if challenger is None or challenger.state != "ready":
        return give_up(status, "refused", "there is no running challenger to promote", moment)
    if status.previous not in (None, challenger.number, status.champion):
        status = retire(status, status.previous, moment)
    bakes = champion is not None and champion.state == "ready"
    status = _update(
        status,
        champion=challenger.number,
        challenger=None if status.challenger == challenger.number else status.challenger,
        previous=champion.number if champion else None,
        weight=0,
        standing_in=None,
        bake_until=moment.seconds + spec.policy.bake_seconds if bakes else None,
    )
    text = f"{_named(challenger)} serves"
    if spec.action in ("promote", "rollback"):
        text += "; ".join(filter(None, [f" by {spec.action} of {spec.by}", spec.reason]))
    kept = f"; {_named(champion)} is kept running for {spec.policy.bake_seconds:.0f} s" if champion and bakes else ""
    entered = enter(status, "baking" if bakes else "serving", text + kept, moment)
    return Step(entered, (Note("rolled back" if spec.action == "rollback" else "promoted", text),))


def give_up(status: Status, phase: Phase, reason: str, moment: Moment, figures: Figures | None = None) -> Step:
    """End a rollout without a promotion; a challenger that runs is kept running, without traffic, for diagnosis."""
    champion, challenger = status.revision(status.champion), status.revision(status.challenger)
    parts = [reason]
    if champion:
        parts.append(f"{_named(champion)} serves")
    if challenger and challenger.state == "ready":
        parts.append(f"{_named(challenger)} is kept running without traffic")
    text = "; ".join(parts)
    return Step(enter(_update(status, weight=0), phase, text, moment), (Note(phase, text, figures),))


def fail(status: Status, reason: str, moment: Moment) -> Step:
    """End a challenger that did not come up."""
    challenger = _challenger(status)
    status = set_state(status, challenger.number, "failed", moment)
    return give_up(status, "failed", f"{_named(challenger)} {reason}", moment)


def baked(status: Status, moment: Moment) -> Step:
    """End the bake time: the previous revision is drained."""
    previous = status.revision(status.previous)
    status = _update(status, bake_until=None)
    notes = []
    if previous and previous.state == "ready" and previous.number not in (status.champion, status.challenger):
        status = retire(status, previous.number, moment)
        notes.append(Note("baked", f"the bake time is over; {_named(previous)} is drained"))
    if status.phase == "baking":
        champion = status.revision(status.champion)
        status = enter(status, "serving", f"{_named(champion)} serves" if champion else "", moment)
    return Step(status, tuple(notes))


def stand_in(status: Status, reason: str) -> Step:
    """Have the previous revision answer while the champion is started again."""
    champion, previous = status.revision(status.champion), status.revision(status.previous)
    if champion is None or previous is None:
        raise ValueError("a champion and the one before it are there")
    note = Note("stood in", f"{_named(previous)} answers while {_named(champion)} is started again: it {reason}")
    return Step(_update(status, standing_in=previous.number), (note,))


def stand_back(status: Status) -> Step:
    """Have the champion answer again."""
    champion = status.revision(status.champion)
    note = Note("back", f"{_named(champion)} answers again" if champion else "nothing is left to stand in for")
    return Step(_update(status, standing_in=None), (note,))


def restarted(status: Status, revision: Revision, reason: str) -> Step:
    """Tell that a process was ended and is started again."""
    return Step(status, (Note("restarted", f"{_named(revision)} {reason} and is started again"),))


def retire(status: Status, number: int | None, moment: Moment) -> Status:
    """Have a revision end, through as many states as it needs."""
    revision = status.revision(number)
    after: dict[State, State] = {"ready": "draining", "starting": "stopping", "fetching": "stopped"}
    if revision is None or revision.state not in after:
        return status
    return set_state(status, revision.number, after[revision.state], moment)


def drop_challenger(status: Status, moment: Moment) -> Status:
    """Take the challenger, running or kept for diagnosis, out of the document's way."""
    return _update(retire(status, status.challenger, moment), challenger=None, weight=0, rollout=None)


def set_state(status: Status, number: int, state: State, moment: Moment, **changes: Any) -> Status:
    """Put a revision into a state, with other changes."""
    changes = {**changes, "state": state, "since": moment.seconds}
    revisions = tuple(item.model_copy(update=changes) if item.number == number else item for item in status.revisions)
    return _update(status, revisions=revisions)


def enter(status: Status, phase: Phase, message: str, moment: Moment) -> Status:
    """Put an endpoint into a phase."""
    return _update(status, phase=phase, message=message, since=moment.shown, trouble="")


def wanted_aliases(endpoint: Endpoint) -> dict[str, str]:
    """Return what the registry should say: version by alias. Only the endpoint named like its model speaks for it."""
    status = endpoint.status
    if endpoint.spec.name != endpoint.spec.model:
        return {}
    champion, challenger = status.revision(status.champion), status.revision(status.challenger)
    wanted = {"champion": champion.version} if champion else {}
    if challenger and champion and status.phase in MOVING:
        wanted["challenger"] = challenger.version
    return wanted


def _remembered(status: Status) -> tuple[Revision, ...]:
    named = (status.champion, status.challenger, status.previous)
    over = [item for item in status.revisions if item.state not in PROCESS and item.number not in named]
    forgotten = {item.number for item in over[: max(0, len(over) - KEPT_REVISIONS)]}
    return tuple(item for item in status.revisions if item.number not in forgotten)


def _challenger(status: Status) -> Revision:
    revision = status.revision(status.challenger)
    if revision is None:
        raise ValueError("a status in this phase names its challenger")
    return revision


def _named(revision: Revision) -> str:
    return f"version {revision.version} ({revision.label})"


def _update(document: D, **changes: Any) -> D:
    return document.model_copy(update=changes)
