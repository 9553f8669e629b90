"""What `open` and `logs` do on a platform that has a cluster."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from mlplat.cli import clusters
from mlplat.cli.console import emit_json, say

if TYPE_CHECKING:
    from mlplat.spec.platform import PlatformSpec

HOST = "127.0.0.1"


def forward(spec: PlatformSpec, stack: str, name: str, *, port: int, as_json: bool) -> str | None:
    """Forward a port to a service's pages, print its address, and go on until Ctrl-C."""
    from mlplat.targets.kubernetes import pages
    from mlplat.targets.kubernetes.forward import forwarding

    with clusters.entry(spec, stack).cluster() as cluster:
        target, scheme = pages.find(cluster, name)
        with forwarding(cluster, target, say, port) as local:
            url = f"{scheme}://{HOST}:{local}"
            _print(url, name, as_json=as_json)
            say(f"forwarded to {target}, for this computer alone, until Ctrl-C")
            _until_interrupted()
    return None


def _print(url: str, name: str, *, as_json: bool) -> None:
    if as_json:
        emit_json({"service": name, "url": url})
    else:
        click.echo(url)


def _until_interrupted() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        say("ended")


def logs(spec: PlatformSpec, stack: str, name: str, *, lines: int, follow: bool) -> None:
    """Print what a service, or an endpoint's model servers, have written; several pods' lines begin with the pod."""
    from mlplat.targets.kubernetes import logs as written

    with clusters.entry(spec, stack).cluster() as cluster:
        found = written.sources(cluster, sorted(spec.teams), name)
        told = written.followed if follow else written.last
        try:
            for source, line in told(cluster, found, lines):
                click.echo(f"{source.name}: {line}" if len(found) > 1 else line)
        except KeyboardInterrupt:
            return
