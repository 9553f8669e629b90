"""`mlplat open`: a service's pages in the browser; those on a cluster by a forwarded port."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from mlplat.cli.console import emit_json, say, warn
from mlplat.cli.options import current_project, json_option, stack_option
from mlplat.errors import MlplatError, UsageError

if TYPE_CHECKING:
    from mlplat.spec.platform import PlatformSpec

DRIFT, PAGE, THEIRS = "drift", "drift.html", "evidently-*.html"
"""What is opened of a project and not of a platform, and the files that a monitor leaves beside its result: its own
page, and Evidently's, one a window."""


@click.command()
@click.argument("service", default="tracking")
@stack_option
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
@click.option("--port", type=click.IntRange(1, 65_535), help="On a cluster: port of this computer, instead of any.")
@click.option("--evidently", is_flag=True, help="With `drift`: Evidently's page of the latest window.")
@json_option
def command(service: str, stack: str, only_print: bool, port: int | None, evidently: bool, as_json: bool) -> None:
    """Open the pages of SERVICE in the browser, and print their address.

    `drift` is the newest report of this project's monitor on this computer, whoever began it: a file.

    On a cluster nobody outside of it reaches them: a port of this computer is forwarded until Ctrl-C, and its address
    printed. SERVICE is then `tracking`, `grafana`, `prometheus`, `alertmanager`, `workflows`, `costs` or `gateway`.

    \b
    Example:
      mlplat open tracking
      mlplat open tracking --print
      mlplat open drift
      mlplat open drift --evidently
      mlplat open grafana -s staging --port 3000
    """
    from mlplat.spec.platform import read_stack

    if evidently and service != DRIFT:
        raise UsageError("`--evidently` is for `mlplat open drift`")
    if service == DRIFT:
        _show(DRIFT, _drift(stack, evidently=evidently), only_print=only_print, as_json=as_json)
        return
    spec, _ = read_stack(stack, Path.cwd())
    if spec.target != "local":
        from mlplat.cli import pages

        pages.forward(spec, stack, service, port=port or 0, as_json=as_json)
        return
    if port:
        raise UsageError("`--port` is for a platform on a cluster", hint="`mlplat explain ports` says who chooses here")
    _show(service, _local(spec, stack, service), only_print=only_print, as_json=as_json)


def _show(service: str, url: str, *, only_print: bool, as_json: bool) -> None:
    if as_json:
        emit_json({"service": service, "url": url})
    else:
        click.echo(url)
    if not only_print and not _browse(url):
        say("no browser could be opened here")


def _drift(stack: str, *, evidently: bool) -> str:
    """Return the address of the newest page that a monitor has left, whoever began it, beside its result.

    Raises `MlplatError` where there is none.
    """
    from mlplat.contracts import Connection
    from mlplat.runs.begun import begun
    from mlplat.runs.store import Runs

    folder, spec = current_project(None)
    runs = Runs(folder).all(lambda error: warn(error.message))
    with contextlib.suppress(MlplatError):
        runs += [each.run for each in begun(Connection.read(spec.platform, stack), spec.project)]
    newest = sorted(runs, key=lambda run: run.record.started, reverse=True)
    pattern = THEIRS if evidently else PAGE
    page = next((max(found) for run in newest if (found := list(run.folder.glob(pattern)))), None)
    if page is None:
        what, more = ("a page of Evidently's", " --set monitoring.evidently=true") if evidently else ("a report", "")
        raise MlplatError(
            f"no run of this project's monitor has left {what}", hint=f"`mlplat run monitor{more}` writes one"
        )
    return page.absolute().as_uri()


def _local(spec: PlatformSpec, stack: str, service: str) -> str:
    from mlplat import services
    from mlplat.targets.local.install import is_installed
    from mlplat.targets.local.ports import assigned
    from mlplat.targets.local.ready import Answering, address, is_ready

    paged = {each.name: each for each in services.of(assigned(spec, stack)) if each.pages is not None}
    if service not in paged:
        raise UsageError(f"`{service}` has no pages", hint=f"these have: {', '.join(paged)}")
    # Whatever has pages here is asked by HTTP.
    asked = cast("Answering", paged[service])
    if not (is_installed(spec, stack) and is_ready(asked)):
        raise MlplatError(f"`{service}` does not answer", hint=f"`mlplat up -s {stack}` starts it")
    return address(paged[service]) + (paged[service].pages or "")


def _browse(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)
