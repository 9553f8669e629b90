"""`mlplat logs`: what a service or a model's revision has written."""

from __future__ import annotations

import difflib
import time
from collections import deque
from pathlib import Path

import click

from mlplat.cli.options import stack_option
from mlplat.errors import UsageError

POLL_SECONDS = 0.2


@click.command()
@click.argument("service")
@stack_option
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is written, until interrupted.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=200, show_default=True, help="Last lines to print.")
def command(service: str, stack: str, follow: bool, lines: int) -> None:
    """Print the log of SERVICE: one of the platform's, or a model's revision as `mlplat status` names it.

    On a cluster SERVICE is one of the platform's, a job of one, `gateway`, or an endpoint as `project/name`.

    \b
    Example:
      mlplat logs tracking
      mlplat logs controller -f
      mlplat logs flights/late -s staging
    """
    from mlplat.spec.platform import read_stack
    from mlplat.targets.local.folders import log_file, state_folder

    spec, _ = read_stack(stack, Path.cwd())
    if spec.target != "local":
        from mlplat.cli import pages

        pages.logs(spec, stack, service, lines=lines, follow=follow)
        return
    state = state_folder(spec, stack)
    known = _known(state)
    if service not in known:
        close = difflib.get_close_matches(service, known, n=1, cutoff=0.4)
        hint = f"did you mean `{close[0]}`?" if close else f"there are logs of {', '.join(known) or 'nothing yet'}"
        raise UsageError(f"there is no log of `{service}`", hint=hint)
    path = log_file(state, service)
    with path.open(errors="replace") as file:
        for line in deque(file, maxlen=lines):
            click.echo(line, nl=False)
        position = file.tell()
    if follow:
        _follow(path, position)


def _known(state: Path) -> list[str]:
    return sorted(path.stem for path in (state / "logs").glob("*.log") if path.stem != "supervisord.start")


def _follow(path: Path, position: int) -> None:
    inode = path.stat().st_ino
    while True:
        time.sleep(POLL_SECONDS)
        if not path.exists():
            continue
        found = path.stat()
        if found.st_ino != inode or found.st_size < position:
            # It was rotated: what follows is in a new file.
            inode, position = found.st_ino, 0
        with path.open(errors="replace") as file:
            file.seek(position)
            click.echo(file.read(), nl=False)
            position = file.tell()
