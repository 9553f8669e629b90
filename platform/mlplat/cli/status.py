"""`mlplat status`: what runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.cli import running, standing
from mlplat.cli.console import emit_json, say, table
from mlplat.cli.options import json_option, stack_option
from mlplat.uptime import told

if TYPE_CHECKING:
    from mlplat.targets.local.status import Row


@click.command()
@stack_option
@json_option
def command(stack: str, as_json: bool) -> int:
    """Show every service and model revision: whether it runs and is ready, its restarts, memory and address.

    Below stand, on this computer, the flows that run by a schedule, with the next time of each by the platform's clock,
    and the alerts that are firing; neither changes the exit code.

    On a cluster it asks the cluster: services, add-ons, the gateway and endpoints. On a cloud's target it shows what
    the stack holds there, by component, and then what runs on its cluster. With `--json` every row has `name`, `state`
    and `ready`; on a cluster also `group`, which says what it is, and `said`.

    Exits with 1 when a service of the platform is not ready, or a process runs that nothing keeps.

    \b
    Example:
      mlplat status
      mlplat status --json
    """
    from mlplat.spec.platform import read_stack
    from mlplat.targets.local.status import status

    spec, path = read_stack(stack, Path.cwd())
    if spec.target == "kubernetes":
        return running.status(spec, stack, as_json=as_json)
    if path and spec.target != "local":
        return standing.status(spec, stack, path, as_json=as_json)
    rows = status(spec, stack)
    if as_json:
        emit_json([asdict(row) for row in rows])
    else:
        headers = ["name", "state", "ready", "pid", "for", "restarts", "MiB", "address"]
        table([_cells(row) for row in rows if not row.said], headers)
        if noted := [row for row in rows if row.said]:
            click.echo()
            table([(row.owner, row.name, row.said) for row in noted], ["what", "name", "said"])
    bad = [row for row in rows if row.ready is False]
    if bad:
        say("`mlplat up` starts what does not run; `mlplat doctor` says what is wrong")
    return 1 if bad else 0


def _cells(row: Row) -> list[str]:
    age = told(row.age_seconds) if row.age_seconds is not None else ""
    ready = {True: "yes", False: "no", None: ""}[row.ready]
    memory = f"{row.memory_bytes / 2**20:.0f}" if row.memory_bytes else ""
    return [row.name, row.state.lower(), ready, str(row.pid or ""), age, str(row.restarts), memory, row.address or ""]
