"""`mlplat publish`: put a project's flows where they run unattended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import endpoints, workflows
from mlplat.cli.console import emit_json, progress, say, table
from mlplat.cli.images import builder_option
from mlplat.cli.options import PROJECT_FILE, current_project, json_option, project_option, stack_option
from mlplat.errors import NotReadyError, UsageError

if TYPE_CHECKING:
    from mlplat.cluster import Cluster
    from mlplat.contracts import Connection
    from mlplat.controller.unattended import Published
    from mlplat.manifests.flows import Terms
    from mlplat.runs.compiled import Storage
    from mlplat.spec.pipelines import PipelineSpec
    from mlplat.spec.project import ProjectSpec


@click.command()
@click.option(
    "--image", metavar="REFERENCE", help="The project's image by its digest, instead of the one it is asked for."
)
@project_option
@stack_option
@builder_option
@json_option
def command(image: str | None, project: Path | None, stack: str, builder: str | None, as_json: bool) -> None:
    """Put this project's flows and their schedules on a platform, as they are committed.

    Each flow of `flows/` is compiled for Argo Workflows and runs in the project's image, which `mlplat images build .`
    and `mlplat images push .` bring to the registry. What `mlplat run`, a schedule or a retraining then runs is this,
    whatever somebody's folder holds meanwhile. Flows and schedules that the project does not have any more go.

    On this computer the platform keeps a copy of the commit, with an environment of its own, for its retrainings and
    for what has a schedule; a schedule counts from when it was published.

    Code goes to the object store with the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, otherwise with those of
    the team's secret, which its admins may read.

    \b
    Example:
      mlplat publish
      mlplat publish -s staging
      mlplat publish -s staging --image registry.example.com/projects/flights@sha256:4f0c…
    """
    from mlplat.runs import commit as commits
    from mlplat.runs import publish

    folder, spec = current_project(project)
    where = workflows.place(spec, stack, here=False)
    if where is None:
        if image:
            raise UsageError(
                "`--image` is for a platform on a cluster", hint="leave it out, or name its stack with `-s`"
            )
        _publish_here(folder, spec, stack, as_json=as_json)
        return
    if image:
        publish.refuse_moving(image)
    commit = commits.commit(folder)
    with workflows.opened(where) as runs, commit.unpacked() as tree:
        told = publish.terms(runs.cluster, runs.namespace)
        wanted = _wanted(tree, told)
        site = told.site(runs.namespace, runs.project, image or _image(tree, runs.project, told, builder, stack))
        with _storage(where, runs.cluster, runs.namespace, told) as storage:
            compiled = _compiled(folder, tree, wanted, storage, runs.project, runs.namespace)
        changes = publish.put(runs.cluster, publish.documents(wanted, site, commit, compiled), site)
    if as_json:
        emit_json({"commit": commit.id, "image": site.image, "objects": [asdict(each) for each in changes]})
        return
    table([[each.flow, each.kind, each.name, each.change] for each in changes], ["flow", "kind", "name", "now"])
    say(f"published from commit {commit} with {site.image}")


def _publish_here(folder: Path, spec: ProjectSpec, stack: str, *, as_json: bool) -> None:
    from mlplat.contracts import Connection
    from mlplat.controller.store import SqliteStore
    from mlplat.runs import commit as commits
    from mlplat.runs import published

    connection = Connection.read(spec.platform, stack)
    with SqliteStore.open(connection.store, create=False) as store:
        state = store.path.parent
    commit = commits.commit(folder)
    done = published.publish(commit, state, connection, progress=say)
    if as_json:
        told = done.published.model_dump(mode="json", include={"id", "folder", "flows", "schedules"})
        emit_json({"commit": commit.id, **told})
        return
    table([[flow, "published" if done.is_new else "unchanged"] for flow in done.published.flows], ["flow", "now"])
    say(f"published from commit {commit}, as {done.published.id}")
    _say_schedules(done.published, connection)


def _say_schedules(published: Published, connection: Connection) -> None:
    from mlplat.clock import Clock
    from mlplat.controller import schedules

    now = Clock.of(connection.clock).now()
    for flow, schedule in published.schedules.items():
        if first := schedules.following(schedule, now):
            say(f"{flow} runs by itself, next at {first:%Y-%m-%d %H:%M} UTC by the platform's clock")
        if schedule.overlapping != "forbid":
            say(f"`pipelines.{flow}.schedule.overlapping` is for clusters: here a flow has one run at a time")


def _wanted(tree: Path, told: Terms) -> dict[str, PipelineSpec]:
    from mlplat.runs import publish
    from mlplat.spec.project import read

    wanted = publish.found_in(tree, read(tree / PROJECT_FILE))
    publish.refuse_pools(wanted, told)
    return wanted


def _image(tree: Path, project: str, told: Terms, builder: str | None, stack: str) -> str:
    """Return the image of what is committed as the registry has it, by its digest."""
    from mlplat.images import project as images
    from mlplat.images import work

    reference = images.reference(tree, project, registry=told.registry, base=told.base, platform=told.processors)
    work.refuse_local(reference)
    with progress(f"asking for {reference}"):
        found = work.Worker(work.find(builder)).in_registry(reference)
    if found is None:
        raise NotReadyError(
            f"{reference}, the image of what is committed, is not in the registry",
            hint=f"`mlplat images build . -s {stack}`, then `mlplat images push . -s {stack}`; it is made of the files"
            " that the Dockerfile copies, so those must all be committed",
        )
    return found


@contextlib.contextmanager
def _storage(where: endpoints.Place, cluster: Cluster, namespace: str, told: Terms) -> Iterator[Storage]:
    from mlplat.runs import publish

    with where.reach(told.endpoint) if told.endpoint else contextlib.nullcontext() as reached:
        yield publish.storage(cluster, namespace, told, reached, os.environ)


def _compiled(
    folder: Path, tree: Path, wanted: Mapping[str, PipelineSpec], storage: Storage, project: str, namespace: str
) -> dict[str, Mapping[str, Any]]:
    """Compile each flow of the unpacked commit, with the project's own environment, and upload its code."""
    from mlplat.runs import prepare
    from mlplat.runs.compiled import compile_flow

    python = prepare.prepare(folder, progress=say)
    made = {}
    for flow, spec in wanted.items():
        with progress(f"compiling {flow}"):
            made[flow] = compile_flow(
                tree, python, flow, title=project, storage=storage, namespace=namespace, retries=spec.retries
            )
    return made
