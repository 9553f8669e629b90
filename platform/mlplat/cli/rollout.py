"""`mlplat rollout`: watch, promote and abort rollouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import endpoints
from mlplat.cli.console import emit_json, say, table
from mlplat.cli.options import json_option, stack_option

if TYPE_CHECKING:
    from mlplat.controller.document import Endpoint, EndpointSpec, Figures, Range


@click.group("rollout", no_args_is_help=True)
def command() -> None:
    """Watch, promote and abort rollouts.

    \b
    Example:
      mlplat rollout status
      mlplat rollout abort flights/late --reason "wrong month"
    """


@command.command("status")
@click.argument("endpoint", required=False)
@stack_option
@json_option
def status(endpoint: str | None, *, stack: str, as_json: bool) -> None:
    """Show the rollout that is going on, or the last one: step, weight, and both versions' figures with intervals.

    \b
    Example:
      mlplat rollout status flights/late
    """
    where = endpoints.place(stack)
    with where.store() as store:
        found = endpoints.existing(store, where.name(endpoint))
    if as_json:
        emit_json(_document(found))
        return
    for line in _lines(found, where):
        click.echo(line)
    rollout = found.status.rollout
    if rollout and rollout.judgement:
        click.echo()
        table(_figures(found, rollout.judgement.figures), _headers(rollout.judgement.figures))


def _document(endpoint: Endpoint) -> dict[str, Any]:
    facts = endpoint.status.model_dump(mode="json")
    shown = ("phase", "message", "trouble", "since", "champion", "challenger", "weight", "rollout")
    steps = list(endpoint.spec.policy.steps)
    return {"endpoint": endpoint.spec.name, "steps": steps, **{key: facts[key] for key in shown}}


def _lines(endpoint: Endpoint, where: endpoints.Place) -> list[str]:
    state, policy = endpoint.status, endpoint.spec.policy
    lines = [
        f"endpoint     {endpoint.spec.name}",
        f"phase        {state.phase} for {endpoints.age(state.since, where.clock)}",
        f"message      {state.message}",
    ]
    if state.rollout:
        steps = " → ".join(
            f"[{share}]" if index == state.rollout.step else str(share) for index, share in enumerate(policy.steps)
        )
        lines += [f"steps        {steps} %", f"weight       {state.weight} % to the challenger"]
    return [*lines, f"trouble      {state.trouble}"] if state.trouble else lines


def _headers(figures: Figures) -> list[str]:
    return ["", "version", "requests", "errors", "error share", f"p{figures.quantile * 100:g}"]


def _figures(endpoint: Endpoint, figures: Figures) -> list[list[str]]:
    state, policy = endpoint.status, endpoint.spec.policy
    promoted = state.phase in ("baking", "serving")
    champion = state.previous if promoted else state.champion
    challenger = state.champion if promoted else state.challenger
    limit = _milliseconds(figures.latency_limit)
    return [
        [
            *("champion", endpoints.version_of(endpoint, champion), str(figures.champion_requests)),
            *(str(figures.champion_errors), _shares(figures.champion_error_share)),
            _milliseconds(figures.champion_latency),
        ],
        [
            *("challenger", endpoints.version_of(endpoint, challenger), str(figures.challenger_requests)),
            *(str(figures.challenger_errors), _shares(figures.challenger_error_share)),
            _milliseconds(figures.challenger_latency),
        ],
        ["increase", "", "", "", _shares(figures.error_increase), ""],
        ["allowed", "", str(policy.min_requests), "", f"{100 * policy.max_error_increase:.2f} %", limit],
    ]


def _shares(share: Range) -> str:
    return f"{100 * share.low:.2f} … {100 * (1 if share.high is None else share.high):.2f} %"


def _milliseconds(latency: Range) -> str:
    return f"{latency.low:.4g} … {'?' if latency.high is None else format(latency.high, '.4g')} ms"


def _decision(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a person's decision takes."""
    for option in (
        click.option("--wait/--no-wait", default=True, show_default=True, help="Watch until it is done."),
        click.option("--reason", default="", help="Why; recorded."),
        click.argument("endpoint", required=False),
    ):
        function = option(function)
    return function


@command.command("promote")
@_decision
@stack_option
def promote(endpoint: str | None, *, reason: str, wait: bool, stack: str) -> None:
    """Give the challenger all traffic now, without the remaining steps. It is recorded as a person's decision.

    \b
    Example:
      mlplat rollout promote flights/late --reason "too little traffic at night"
    """
    from mlplat.controller import wishes

    _decide(endpoint, stack, wishes.promote, "to promote the challenger", reason=reason, wait=wait)


@command.command("abort")
@_decision
@stack_option
def abort(endpoint: str | None, *, reason: str, wait: bool, stack: str) -> None:
    """Return all traffic to the champion. The challenger is kept running, without traffic, for diagnosis.

    \b
    Example:
      mlplat rollout abort flights/late --reason "wrong month"
    """
    from mlplat.controller import wishes

    _decide(endpoint, stack, wishes.abort, "to abort the rollout", reason=reason, wait=wait)


def _decide(
    endpoint: str | None, stack: str, make: Callable[..., EndpointSpec], text: str, *, reason: str, wait: bool
) -> None:
    from mlplat.controller import follow
    from mlplat.errors import RefusedError

    where = endpoints.place(stack)
    name = where.name(endpoint)
    with where.store() as store:
        after = follow.last_event(store, name)
        wished = endpoints.wish(
            where, store, name, lambda present: make(present, name, by=endpoints.user(), reason=reason), text
        )
        outcome = endpoints.watch(store, wished, after=after, timeout=None) if wait else None
    if outcome and not outcome.fulfilled:
        raise RefusedError(f"{name}: {outcome.text}", hint=f"`mlplat rollout history {name}` shows what happened")
    if outcome:
        say(f"{name}: {outcome.text}")


@command.command("history")
@click.argument("endpoint", required=False)
@stack_option
@json_option
def history(endpoint: str | None, *, stack: str, as_json: bool) -> None:
    """Show everything that happened to an endpoint, oldest first; also to one that was deleted.

    \b
    Example:
      mlplat rollout history flights/late
    """
    from mlplat.controller.wishes import no_endpoint

    where = endpoints.place(stack)
    name = where.name(endpoint)
    with where.store() as store:
        events = store.events(name)
    if not events:
        raise no_endpoint(name)
    if as_json:
        emit_json([event.model_dump(mode="json") for event in events])
        return
    for event in events:
        click.echo(endpoints.event_line(event))
