"""`mlplat retrain`: have an endpoint's model trained anew, unattended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import endpoints
from mlplat.cli.console import emit_json, progress, say
from mlplat.cli.options import json_option, stack_option
from mlplat.errors import NotReadyError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlplat.controller.store import Store
    from mlplat.labels import Name

LOOK_SECONDS = 0.5


@click.command()
@click.argument("endpoint", required=False)
@click.option("--flow", default="train", show_default=True, help="Flow of the project that trains.")
@click.option("--reason", default="", help="Why; recorded.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the controller has begun it.")
@click.option("--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="SECONDS")
@stack_option
@json_option
def command(
    endpoint: str | None, *, flow: str, reason: str, wait: bool, timeout: float, stack: str, as_json: bool
) -> None:
    """Ask for the model of ENDPOINT, by default the project's own, to be trained anew.

    The controller begins a run of the flow as it was published last (`mlplat publish`), once for each time it is
    asked; what comes out goes through the same gate, and is deployed by the same rollout, as anything else. Prints the
    run's name.

    \b
    Example:
      mlplat retrain
      mlplat retrain -s staging --reason "new airport"
      mlplat retrain flights/late -s staging
    """
    from mlplat.controller import retraining
    from mlplat.controller.store import digest

    where = endpoints.place(stack)
    name = where.name(endpoint)
    with where.store() as store:
        endpoints.existing(store, name)
        wish = retraining.wish(flow, by=endpoints.user(), reason=reason, time=where.clock.now())
        text = wish.model_dump_json()
        store.retrain(name, text)
        answer = _answered(store, name, digest(text), timeout) if wait else None
    if answer is None:
        say(f"{name}: `mlplat endpoint show {name} -s {stack}` tells what became of it")
        return
    if as_json:
        emit_json(answer)
    if not answer["run"]:
        raise RefusedError(f"{name}: {answer['message']}", hint="`mlplat publish` puts the project's flows there")
    say(f"{name}: {answer['message']}")
    say(f"`mlplat rollout history {name} -s {stack}` tells what comes of it")
    if not as_json:
        click.echo(answer["run"])


def _answered(store: Store, name: Name, key: str, timeout: float) -> Mapping[str, Any]:
    """Wait for the controller's answer to a wish. Raises `NotReadyError` when none comes."""
    until = time.monotonic() + timeout
    with progress(f"{name}: waiting for the controller"):
        while (answer := store.retraining(name)).get("request") != key:
            if time.monotonic() > until:
                raise NotReadyError(
                    f"{name}: the controller has not taken it up within {timeout:.0f} s",
                    hint="the wish stays: `mlplat status` shows whether the controller runs",
                )
            time.sleep(LOOK_SECONDS)
    return answer
