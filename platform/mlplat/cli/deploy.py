"""`mlplat deploy`: put a model version behind an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlplat.cli import endpoints
from mlplat.cli.console import emit_json, say
from mlplat.cli.options import json_option, stack_option

if TYPE_CHECKING:
    from mlplat.controller.document import Endpoint, EndpointSpec, Force
    from mlplat.controller.store import Store
    from mlplat.labels import Name
    from mlplat.spec.privacy import LoggedColumns
    from mlplat.spec.project import ProjectSpec
    from mlplat.spec.rollout import RolloutPolicy
    from mlplat.spec.scale import ScaleSpec


@click.command()
@click.argument("model", required=False)
@click.option("--version", "number", metavar="N", help="Version; without it the model's challenger, or the newest.")
@click.option("--endpoint", "endpoint_name", metavar="NAME", help="Endpoint; without it the one named like the model.")
@click.option("--strategy", type=click.Choice(["direct", "canary"]), help="Instead of the project's own.")
@click.option("--force", "forced", is_flag=True, help="Serve a version that the gate did not let pass; recorded.")
@click.option("--reason", default="", help="Why it is forced.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Watch until it serves or was given up.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Longest time to watch.")
@stack_option
@json_option
def command(
    model: str | None,
    *,
    number: str | None,
    endpoint_name: str | None,
    strategy: str | None,
    forced: bool,
    reason: str,
    wait: bool,
    timeout: float | None,
    stack: str,
    as_json: bool,
) -> None:
    """Put a version of MODEL, by default the project's own, behind an endpoint.

    A canary gets growing shares of the traffic while it is compared with the champion, and all of it when it is no
    worse; otherwise the champion goes on. Leaves with 0 when the version serves, with 1 when it was refused, failed, or
    came out worse. Ctrl-C ends the watching only.

    \b
    Example:
      mlplat deploy
      mlplat deploy --version 3 --strategy direct
      mlplat deploy flights/late --endpoint late-eu --no-wait
    """
    from mlplat.controller import follow, wishes
    from mlplat.errors import RefusedError

    where = endpoints.place(stack)
    of = where.name(model)
    name = of if endpoint_name is None else _endpoint(endpoint_name, of)
    force = _force(forced, reason)
    wanted = number or _candidate(where, of)
    policy, log, scale, by = _policy(where, strategy), _log(where, of), _scale(where, of), endpoints.user()
    own = _own(where, of)
    retraining = own.retraining if own else None

    def wish(present: Endpoint | None) -> EndpointSpec:
        return wishes.deploy(
            name, of, wanted, policy, by=by, force=force, log=log, scale=scale, retraining=retraining, present=present
        )

    with where.store() as store:
        after = follow.last_event(store, name)
        text = f"version {wanted} of {of} ({policy.strategy}{', forced' if force else ''})"
        wished = endpoints.wish(where, store, name, wish, text)
        outcome = endpoints.watch(store, wished, after=after, timeout=timeout) if wait else None
        final = store.get(name) or wished
        _remind(store, own)
    if as_json:
        emit_json(final.model_dump(mode="json"))
    if outcome is None:
        say(f"{name}: `mlplat rollout status {name}` shows how it goes")
    elif not outcome.fulfilled:
        raise RefusedError(f"{name}: {outcome.text}", hint=_next(final.status.phase, name))
    else:
        say(f"{name}: {outcome.text}")
        if where.connection.gateway:
            say(f"it answers on {where.address(name)}/predict")


def _next(phase: str, name: Name) -> str:
    hint = f"`mlplat rollout history {name}` shows what happened"
    if phase == "inconclusive":
        return f"{hint}\ndecide it yourself with `mlplat rollout promote {name}`, or deploy again with more traffic"
    return hint


def _endpoint(text: str, model: Name) -> Name:
    from mlplat.labels import Name

    return Name.parse(text, project=model.project)


def _force(forced: bool, reason: str) -> Force | None:
    from mlplat.controller.document import Force
    from mlplat.errors import UsageError

    if forced and not reason:
        raise UsageError("`--force` needs a reason, which is recorded", hint="add `--reason TEXT`")
    if reason and not forced:
        raise UsageError("`--reason` says why a version is forced", hint="add `--force`, or leave it out")
    return Force(reason=reason, by=endpoints.user()) if forced else None


def _policy(where: endpoints.Place, strategy: str | None) -> RolloutPolicy:
    from mlplat.spec.rollout import RolloutPolicy

    policy = where.project.rollout if where.project else RolloutPolicy()
    return policy.model_copy(update={"strategy": strategy}) if strategy else policy


def _own(where: endpoints.Place, model: Name) -> ProjectSpec | None:
    """Return the model's own project; None in any other folder."""
    project = where.project
    return project if project and (project.project, project.model) == (model.project, model.name) else None


def _log(where: endpoints.Place, model: Name) -> LoggedColumns | None:
    """Return what the model's own project says of the log; None in any other folder."""
    project = _own(where, model)
    return project.prediction_log if project else None


def _scale(where: endpoints.Place, model: Name) -> ScaleSpec | None:
    """Return what the model's own project says of its servers; None in any other folder."""
    project = _own(where, model)
    if project is None:
        return None
    scale = project.serving.scale
    if not scale.is_default and where.connection.store.startswith("sqlite:"):
        say("`serving.scale` in mlplat.yaml is for clusters: on this computer one server takes what it needs")
    return scale


def _remind(store: Store, own: ProjectSpec | None) -> None:
    """Say what would not begin by itself on this computer, since the project has not published it."""
    from mlplat.controller.store import SqliteStore
    from mlplat.controller.unattended import published
    from mlplat.errors import RefusedError

    if own is None or not isinstance(store, SqliteStore):
        return
    times = {flow: each.schedule for flow, each in own.pipelines.items() if each.schedule is not None}
    if not times and not own.retraining.on:
        return
    try:
        found = published(store.path.parent, own.project).schedules
    except RefusedError:
        say(f"`{own.project}` has published nothing: before `mlplat publish`, nothing of it runs by itself")
        return
    if found != times:
        say("the schedules in mlplat.yaml are not those that were published: `mlplat publish` puts them in place")


def _candidate(where: endpoints.Place, model: Name) -> str:
    """Return the version that waits to be served: the registry's challenger, or the newest one."""
    from pathlib import Path

    import httpx

    from mlplat.controller.registry import MlflowRegistry

    with where.reach(where.connection.tracking) as tracking, httpx.Client(trust_env=False) as http:
        registry = MlflowRegistry(tracking, Path(), http)
        return registry.alias(model, "challenger") or registry.latest(model)
