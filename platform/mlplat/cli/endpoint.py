"""`mlplat endpoint`: what serves, and ending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import endpoints
from mlplat.cli.console import emit_json, say, table
from mlplat.cli.options import json_option, stack_option, yes_option

if TYPE_CHECKING:
    from mlplat.clock import Clock
    from mlplat.controller.document import Endpoint

SHOWN_EVENTS = 5
SHOWN_DIGEST = 19


@click.group("endpoint", no_args_is_help=True)
def command() -> None:
    """List, show, roll back and delete endpoints.

    \b
    Example:
      mlplat endpoint list
      mlplat endpoint rollback flights/late
    """


@command.command("list")
@stack_option
@json_option
def list_(stack: str, *, as_json: bool) -> None:
    """List the endpoints of the platform, of all projects.

    \b
    Example:
      mlplat endpoint list
    """
    where = endpoints.place(stack)
    with where.store() as store:
        found = store.endpoints()
    if as_json:
        emit_json([item.model_dump(mode="json") for item in found])
    elif not found:
        say("no endpoint exists yet: `mlplat deploy` makes one")
    else:
        headers = ["endpoint", "phase", "for", "champion", "weight", "challenger", "weight", "trouble"]
        table([_row(item, where.clock) for item in found], headers)


def _row(endpoint: Endpoint, clock: Clock) -> list[str]:
    status = endpoint.status
    champion = [endpoints.version_of(endpoint, status.champion), f"{100 - status.weight} %" if status.champion else "-"]
    challenger = [endpoints.version_of(endpoint, status.challenger), f"{status.weight} %" if status.challenger else "-"]
    age = endpoints.age(status.since, clock)
    return [endpoint.spec.name, status.phase, age, *champion, *challenger, status.trouble or "-"]


@command.command("show")
@click.argument("endpoint", required=False)
@stack_option
@json_option
def show(endpoint: str | None, *, stack: str, as_json: bool) -> None:
    """Show an endpoint: what was wished, what serves, its revisions and what happened last.

    \b
    Example:
      mlplat endpoint show flights/late
    """
    where = endpoints.place(stack)
    with where.store() as store:
        name = where.name(endpoint)
        found = endpoints.existing(store, name)
        events, now = store.events(name)[-SHOWN_EVENTS:], store.seconds()
    if as_json:
        emit_json({**found.model_dump(mode="json"), "url": where.address(name)})
        return
    for key, text in _facts(found, where, now).items():
        click.echo(f"{key:<12} {text}")
    click.echo()
    table(_revisions(found, where.clock), ["revision", "version", "state", "for", "port", "digest", "role"])
    click.echo()
    for event in events:
        click.echo(endpoints.event_line(event))


def _facts(endpoint: Endpoint, where: endpoints.Place, now: float) -> dict[str, str]:
    spec, status = endpoint.spec, endpoint.status
    facts = {
        "endpoint": spec.name,
        "url": f"{where.address(endpoint.name)}/predict",
        "model": spec.model,
        "wished": f"{spec.action} version {spec.version}, by {spec.by} (generation {spec.generation})",
        "strategy": spec.policy.strategy,
        "phase": f"{status.phase} for {endpoints.age(status.since, where.clock)}",
        "message": status.message,
    }
    if status.bake_until is not None:
        facts["bake ends in"] = f"{max(0.0, status.bake_until - now):.0f} s"
    if status.standing_in is not None:
        facts["answering"] = f"version {endpoints.version_of(endpoint, status.standing_in)}, until the champion does"
    if spec.force:
        facts["forced"] = f"by {spec.force.by}: {spec.force.reason}"
    return {**facts, "trouble": status.trouble} if status.trouble else facts


def _revisions(endpoint: Endpoint, clock: Clock) -> list[list[Any]]:
    status = endpoint.status
    roles = {status.previous: "previous", status.challenger: "challenger", status.champion: "champion"}
    return [
        [
            *(item.label, item.version, item.state, endpoints.age(item.created, clock)),
            *(item.port or "-", item.digest[:SHOWN_DIGEST] or "-", roles.get(item.number, "-")),
        ]
        for item in reversed(status.revisions)
    ]


@command.command("rollback")
@click.argument("endpoint", required=False)
@click.option("--reason", default="", help="Why; recorded.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Watch until it serves.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Longest time to watch.")
@stack_option
def rollback(endpoint: str | None, *, reason: str, wait: bool, timeout: float | None, stack: str) -> None:
    """Return to the version that served before; during a rollout, to the champion.

    It takes seconds while the version before is kept running, and as long as a start when it is not.

    \b
    Example:
      mlplat endpoint rollback flights/late --reason "complaints from the desk"
    """
    from mlplat.controller import follow, wishes
    from mlplat.errors import RefusedError

    where = endpoints.place(stack)
    name = where.name(endpoint)
    with where.store() as store:
        after = follow.last_event(store, name)
        wished = endpoints.wish(
            where, store, name,
            lambda present: wishes.rollback(present, name, by=endpoints.user(), reason=reason),
            "to return to the version before",
        )  # fmt: skip
        outcome = endpoints.watch(store, wished, after=after, timeout=timeout) if wait else None
    if outcome and not outcome.fulfilled:
        raise RefusedError(f"{name}: {outcome.text}", hint=f"`mlplat rollout history {name}` shows what happened")
    say(f"{name}: {outcome.text if outcome else 'returns to the version before'}")


@command.command("delete")
@click.argument("endpoint")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Watch until nothing of it runs.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Longest time to watch.")
@yes_option
@stack_option
def delete(endpoint: str, *, wait: bool, timeout: float | None, yes: bool, stack: str) -> None:
    """End an endpoint and its model servers. Its predictions and the registry's models stay.

    Its history stays as well on this computer; on a cluster it goes with the endpoint's resource.

    \b
    Example:
      mlplat endpoint delete flights/late --yes
    """
    from mlplat.controller import follow, wishes

    where = endpoints.place(stack)
    name = where.name(endpoint)
    with where.store() as store:
        endpoints.existing(store, name)
        _confirm(str(name), yes=yes)
        after = follow.last_event(store, name)
        wished = endpoints.wish(
            where, store, name, lambda present: wishes.delete(present, name, by=endpoints.user()), "to delete it"
        )
        if wait:
            say(endpoints.watch(store, wished, after=after, timeout=timeout).text)


def _confirm(name: str, *, yes: bool) -> None:
    import sys

    from mlplat.errors import UsageError

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"deleting {name} asks for a yes", hint="add `--yes`")
    click.confirm(f"Delete the endpoint {name}? Its requests will be refused", abort=True, err=True)
