"""Runs of flows on a cluster, as `mlplat run` shows them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mlplat.cli import endpoints
from mlplat.cli.console import emit_json, progress, say, table, warn
from mlplat.errors import MlplatError, UsageError

if TYPE_CHECKING:
    from mlplat.cluster import Cluster
    from mlplat.runs.flow import Request
    from mlplat.runs.workflows import ClusterRun, Workflows
    from mlplat.spec.project import ProjectSpec

LOG_LINES = 200
"""Read of each pod that failed."""
SHOWN_LINES = 15


def place(spec: ProjectSpec, stack: str, *, here: bool) -> endpoints.Place | None:
    """Return the project's platform where it is on a cluster, and the run is not to be on this computer all the same.

    Raises `MlplatError` for a platform that nobody knows here; not for one on this computer, whose runs are files.
    """
    from mlplat.contracts import Connection
    from mlplat.controller.stores import entry
    from mlplat.spec.platform import LOCAL

    if here or (stack == LOCAL and not Connection.path(spec.platform, stack).exists()):
        return None
    connection = Connection.read(spec.platform, stack)
    return endpoints.Place(connection, spec) if entry(connection.store) else None


@contextlib.contextmanager
def entered(where: endpoints.Place) -> Iterator[tuple[Cluster, str, str]]:
    """Enter the cluster; yield it, the project's namespace and its name. Raises `RefusedError` for one of no team."""
    from mlplat.controller.stores import entry

    project, into = where.name(None).project, entry(where.connection.store)
    if into is None:
        raise UsageError(f"the platform `{where.connection.platform}` is not on a cluster")
    with into.cluster() as cluster:
        yield cluster, where.connection.namespaces[project], project


@contextlib.contextmanager
def opened(where: endpoints.Place) -> Iterator[Workflows]:
    """Enter the cluster, for the project's runs. Raises `RefusedError` for a project of no team, or without Argo."""
    from mlplat.runs.workflows import Workflows

    with entered(where) as (cluster, namespace, project):
        yield Workflows(cluster, namespace, project)


def start(where: endpoints.Place, request: Request, *, wait: bool, as_json: bool) -> None:
    """Begin a run of a published flow and watch it. Raises `MlplatError` when it fails."""
    from mlplat.manifests import pipeline

    with opened(where) as runs:
        template = runs.template(request.flow)
        run = runs.begin(request.flow, request.values(), reason=f"{endpoints.user()}, by `mlplat run`")
        commit = template["metadata"].get("annotations", {}).get(pipeline.COMMIT, "nobody knows which")
        say(f"run {run.id} of {request.flow}, as it was published from commit {commit[:12]}")
        if not wait:
            _print(where, run, as_json=True) if as_json else click.echo(run.id)
            return
        run = _followed(runs, run.id, where.connection.stack)
        _print(where, run, as_json=as_json)
        _finish(runs, run, where.connection.stack)


def listed(where: endpoints.Place, *, as_json: bool) -> None:
    """Print the project's runs, the newest first."""
    with opened(where) as runs:
        found = runs.all()
    if as_json:
        emit_json([asdict(each) for each in found])
    elif not found:
        say("the cluster lists no runs: `mlplat run train` begins one, once `mlplat publish` has put it there")
    else:
        table([_row(each) for each in found], ["run", "flow", "status", "began", "took", "arguments", "why"])


def show(where: endpoints.Place, name: str | None, *, as_json: bool) -> None:
    """Print what is known of a run; without a name, of the newest."""
    with opened(where) as runs:
        found = runs.get(name) if name else next(iter(runs.all()), None)
        if found is None:
            raise UsageError("the cluster lists no runs", hint="`mlplat run train` begins one")
        _print(where, found, as_json=as_json)
        if found.status == "failed" and not as_json:
            click.echo("\n".join(_words(runs, found)))


def cancel(where: endpoints.Place, name: str) -> None:
    """Have a run end. Raises `MlplatError` for one that is over."""
    with opened(where) as runs:
        if not runs.cancel(name):
            raise MlplatError(
                f"run {name} is not going on: it is {runs.get(name).status}", hint="`mlplat run list` lists them"
            )
    say(f"run {name} is told to end")


def _followed(runs: Workflows, name: str, stack: str) -> ClusterRun:
    told: set[str] = set()
    found = None
    try:
        with progress(f"{name} …") if sys.stderr.isatty() else contextlib.nullcontext(_nothing) as display:
            for found in runs.follow(name, lambda text: warn(f"{text} (it is asked again; the run goes on)")):
                for step in found.steps:
                    if step.status in ("done", "failed") and step.name not in told:
                        told.add(step.name)
                        say(f"  {step.line()}")
                going = [step.name for step in found.steps if step.status == "running"]
                display(f"{', '.join(going) or found.status} …")
    except KeyboardInterrupt:
        say(f"it goes on: `mlplat run show {name} -s {stack}` shows it, `mlplat run cancel {name} -s {stack}` ends it")
        raise click.Abort from None
    return found or runs.get(name)


def _nothing(_text: str) -> None:
    """Show nothing: where no line can move, a step is worth a line when it is over."""


def _print(where: endpoints.Place, run: ClusterRun, *, as_json: bool) -> None:
    version = _registered(where, run) if run.status == "done" else ""
    if as_json:
        emit_json({**asdict(run), "version": version or None})
        return
    rows = dict(zip(["run", "flow", "status", "began", "took", "arguments", "why"], _row(run), strict=True))
    known = {"message": run.message, "version": version and f"{where.name(None)} {version}"}
    facts = {**rows, **{name: text for name, text in known.items() if text}}
    click.echo("\n".join(f"{name:<10} {text}" for name, text in facts.items()))
    if run.steps:
        click.echo("\n".join(["", *(f"  {step.line()}" for step in run.steps)]))


def _registered(where: endpoints.Place, run: ClusterRun) -> str:
    """Return the version that a run has registered; empty where it has none, or nobody can be asked."""
    from pathlib import Path

    import httpx

    from mlplat.controller.registry import MlflowRegistry

    try:
        with where.reach(where.connection.tracking) as tracking, httpx.Client(trust_env=False) as http:
            return MlflowRegistry(tracking, Path(), http).registered_by(where.name(None), run.id)
    except MlplatError as error:
        warn(f"what it registered cannot be asked: {error.message}")
        return ""


def _row(run: ClusterRun) -> list[str]:
    took = "-" if run.seconds is None else f"{run.seconds:.0f} s"
    given = " ".join(f"--{name} {value}" for name, value in run.arguments.items())
    return [run.id, run.flow, run.status, run.started or run.created, took, given or "-", run.reason or "-"]


def _finish(runs: Workflows, run: ClusterRun, stack: str) -> None:
    if run.status == "done":
        say(f"`mlplat model list -s {stack}` shows what it has registered")
        return
    if run.status == "cancelled":
        raise click.Abort
    failed = next((step for step in run.steps if step.status == "failed"), None)
    at = f" in step `{failed.name}`" if failed else ""
    why = (failed and failed.message) or run.message
    raise MlplatError(
        "\n".join([f"{run.flow} failed{at}{f': {why}' if why else ''}", *_words(runs, run)]),
        hint=f"`mlplat run show {run.id} -s {stack}` says it again; `mlplat open workflows -s {stack}` shows its graph",
    )


def _words(runs: Workflows, run: ClusterRun) -> Sequence[str]:
    """Return what the pods that failed wrote last; what cannot be read is said in its place."""
    from mlplat.runs.progress import tail

    try:
        found = runs.last_words(run.id, LOG_LINES)
    except MlplatError as error:
        return [f"  its log cannot be read: {error.message}"]
    return [f"  {line}" for _, lines in found for line in tail(lines, SHOWN_LINES)]
