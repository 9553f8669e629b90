"""`mlplat images`: the container images of a cluster's services and of projects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlplat.cli.console import emit_json, progress, say, table
from mlplat.cli.options import PROJECT_FILE, json_option, stack_option
from mlplat.errors import MlplatError, UsageError

if TYPE_CHECKING:
    from mlplat.images.builder import Build
    from mlplat.images.stack import StackImages
    from mlplat.images.work import Worker
    from mlplat.spec.platform import PlatformSpec

    Building = Callable[[Worker], AbstractContextManager[Build]]

F = TypeVar("F", bound=Callable[..., Any])


def builder_option(function: F) -> F:
    """Add `--builder`."""
    return click.option(
        "--builder",
        envvar="MLPLAT_BUILDER",
        metavar="PROGRAM",
        help="docker, podman or buildah; by default the first of them that works here.",
    )(function)


def project_argument(function: F) -> F:
    """Add `[PROJECT]`, a folder."""
    return click.argument(
        "project", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path), default=None
    )(function)


@click.group("images", no_args_is_help=True)
def command() -> None:
    """Build, push and lock the images that a cluster runs.

    An image's tag is a hash of what it is made of, so it never means two things. `push` writes digests to
    stacks/images.STACK.lock.json, which belongs into the repository: a production stack runs what stands there.

    \b
    Example:
      mlplat images build -s prod
      mlplat images push -s prod
      mlplat images list -s prod
    """


@command.command()
@project_argument
@click.option(
    "--pip-config",
    envvar="PIP_CONFIG_FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="pip's configuration, such as an index of one's own; mounted while building, in no layer.",
)
@click.option(
    "--ca",
    envvar="PIP_CERT",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Authorities that pip trusts; mounted likewise.",
)
@click.option("--again", is_flag=True, help="Build also what is here already.")
@stack_option
@builder_option
@json_option
def build(
    project: Path | None,
    pip_config: Path | None,
    ca: Path | None,
    again: bool,
    stack: str,
    builder: str | None,
    as_json: bool,
) -> None:
    """Build the images of a stack's services, or that of the project in the folder PROJECT.

    \b
    Example:
      mlplat images build -s prod
      mlplat images build . -s prod --pip-config ~/.config/pip/pip.conf
    """
    images = _images(stack, project)
    worker = _worker(builder, {name: path for name, path in {"pip": pip_config, "ca": ca}.items() if path})
    made = [_built(worker, *each, again=again) for each in _wanted(images, project).items()]
    _tell(made, as_json)


@command.command()
@project_argument
@stack_option
@builder_option
@json_option
def push(project: Path | None, stack: str, builder: str | None, as_json: bool) -> None:
    """Send the images of a stack's services to its registry and lock their digests, or send PROJECT's.

    \b
    Example:
      mlplat images push -s prod
      mlplat images push . -s prod
    """
    from mlplat.images.work import refuse_local

    images = _images(stack, project)
    worker = _worker(builder)
    if project:
        reference = images.project_reference(project, _project_name(project))
        refuse_local(reference)
        with progress(f"pushing {reference}"):
            pushed = worker.push(reference)
        _tell([pushed], as_json)
        return
    sent = []
    for name in images.names:
        with progress(f"pushing {images.reference(name)}"):
            sent.append(images.push(name, worker).reference)
    _say_locked(images)
    _tell(sent, as_json)


@command.command()
@stack_option
@builder_option
@json_option
def lock(stack: str, builder: str | None, as_json: bool) -> None:
    """Write down the digests of what the registry has, when somebody else has pushed.

    Asks with skopeo where it is installed, otherwise with the builder; podman and buildah fetch the images for it.

    \b
    Example:
      mlplat images lock -s prod
    """
    images = _images(stack, None)
    worker = _worker(builder)
    with progress("asking the registry"):
        found, lacking = images.found(images.names, worker)
    made = images.locking(found)
    _say_locked(images)
    if lacking:
        missing = "\n".join(f"{images.reference(name)} is not in the registry" for name in lacking)
        raise MlplatError(missing, hint=f"`mlplat images build -s {stack}`, then `mlplat images push -s {stack}`")
    _tell([each.reference for each in made.values()], as_json)


@command.command("list")
@stack_option
@builder_option
@json_option
def list_(stack: str, builder: str | None, as_json: bool) -> None:
    """List the images of a stack's services, and where each stands.

    `locked` ones are in the registry, and their digest is written down; `outdated` are locked as another mlplat built
    them; `built` are on this computer; `absent` are nowhere; `unknown` ones may be somewhere, and no builder is here.

    \b
    Example:
      mlplat images list -s prod
    """
    images = _images(stack, None)
    try:
        worker = _worker(builder)
    except UsageError:
        raise
    except MlplatError as error:
        say(error.message)
        worker = None
    rows = list(images.standing(worker))
    if as_json:
        emit_json([asdict(row) for row in rows])
    else:
        shown = [[row.name, row.tag, row.state, row.digest or "-", row.reference.rpartition(":")[0]] for row in rows]
        table(shown, ["image", "tag", "state", "digest", "repository"])


def _wanted(images: StackImages, project: Path | None) -> dict[str, Building]:
    """Return what writes the context of each image that was asked for, by its reference."""
    if project is None:
        return {images.reference(name): partial(images.building, name) for name in images.names}
    name = _project_name(project)
    return {images.project_reference(project, name): partial(images.building_project, project, name)}


def _built(worker: Worker, reference: str, building: Building, *, again: bool) -> str:
    if not again and worker.has(reference):
        say(f"{reference} is built already")
        return reference
    with progress(f"building {reference}") as update, building(worker) as wanted:
        replace(worker, line=lambda line: update(f"  {line}")).build(wanted)
    return reference


def _worker(builder: str | None, secrets: dict[str, Path] | None = None) -> Worker:
    from mlplat.images import work

    return work.Worker(work.find(builder), secrets=secrets or {})


def _images(stack: str, project: Path | None) -> StackImages:
    """Return a stack's images; a project may be built for no stack."""
    from mlplat.images.stack import StackImages
    from mlplat.spec.platform import read_stack

    spec, file = read_stack(stack, Path.cwd())
    if spec.target == "local":
        if project is None:
            raise UsageError(
                f"the stack `{stack}` runs processes of this computer, and no images",
                hint="name one on a cluster with `-s`, or `MLPLAT_STACK`",
            )
        return StackImages(spec)
    return StackImages(spec, file, _account_registry(spec, stack, file))


def _account_registry(spec: PlatformSpec, stack: str, file: Path | None) -> str | None:
    if spec.target != "aws" or spec.kubernetes.images.registry:
        return None
    from mlplat import deployment
    from mlplat.targets.aws.site import Site

    site = Site.of(spec, stack, deployment.read(file) if file else None)
    return f"{site.registry}/{site.path()}"


def _project_name(folder: Path) -> str:
    from mlplat.spec.project import read

    return read(folder / PROJECT_FILE).project


def _say_locked(images: StackImages) -> None:
    from mlplat.images import lock_file

    if images.file:
        say(f"{lock_file(images.file)} has their digests: keep it in the repository")


def _tell(references: list[str], as_json: bool) -> None:
    if as_json:
        emit_json(references)
    else:
        click.echo("\n".join(references))
