"""`mlplat open`: a service's pages in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from mlplat.cli.console import say
from mlplat.cli.options import refuse_elsewhere, stack_option
from mlplat.errors import MlplatError, UsageError


@click.command()
@click.argument("service", default="tracking")
@stack_option
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
def command(service: str, stack: str, only_print: bool) -> None:
    """Open the pages of SERVICE in the browser, and print their address.

    \b
    Example:
      mlplat open tracking
      mlplat open tracking --print
    """
    from mlplat import services
    from mlplat.spec.platform import read_stack
    from mlplat.targets.local.install import is_installed
    from mlplat.targets.local.ports import assigned
    from mlplat.targets.local.ready import address, is_ready

    spec, _ = read_stack(stack, Path.cwd())
    refuse_elsewhere(spec, "open")
    paged = {each.name: each for each in services.of(assigned(spec, stack)) if each.pages is not None}
    if service not in paged:
        raise UsageError(f"`{service}` has no pages", hint=f"these have: {', '.join(paged)}")
    if not (is_installed(spec, stack) and is_ready(paged[service])):
        raise MlplatError(f"`{service}` does not answer", hint=f"`mlplat up -s {stack}` starts it")
    url = address(paged[service]) + (paged[service].pages or "")
    click.echo(url)
    if not only_print and not _browse(url):
        say("no browser could be opened here")


def _browse(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)
