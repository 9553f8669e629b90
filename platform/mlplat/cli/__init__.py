"""The command line: one module a verb, loaded when its verb is typed."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

import mlplat
from mlplat.errors import MlplatError

GROUPS = {
    "Platform": {
        "init": "Make a platform's repository",
        "up": "Stand the platform up, or bring it to what its stack file says",
        "down": "End the platform's processes",
        "status": "Show what runs",
        "outputs": "Print the platform's addresses",
        "logs": "Print a service's log",
        "open": "Open a service's pages in the browser",
        "state": "See, mend and move what a stack's engine knows",
        "doctor": "Find what is wrong here, and say the mend",
        "images": "Build, push and lock the images that a cluster runs",
        "cost": "Show what a stack costs a month, before anything is made",
        "aws": "Ask for an AWS account's rights, cluster and leftovers",
        "explain": "Say what a key of a stack file or of mlplat.yaml means",
        "version": "Print the version",
    },
    "Project": {
        "new": "Make a project from a template",
        "run": "Run a project's pipeline, or look at past runs",
        "data": "List, show, compare and erase training sets",
        "publish": "Put a project's flows where they run unattended",
        "deploy": "Put a model version behind an endpoint",
        "predict": "Ask an endpoint",
        "retrain": "Have an endpoint's model trained anew, unattended",
    },
    "Models": {
        "endpoint": "List, show, roll back and delete endpoints",
        "rollout": "Watch, promote and abort rollouts",
        "model": "List, show, export and promote registered models",
    },
}
"""Every verb and its line in the help, by group. The lines stand here so that `mlplat --help` imports no verb."""


class Verbs(click.Group):
    """A group whose commands are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click hands it over
        """Return every verb."""
        return [verb for verbs in GROUPS.values() for verb in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb's module and return its command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"mlplat.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Suggest the nearest verb for one that does not exist."""
        verb = args[0] if args else ""
        if verb and not verb.startswith("-") and verb not in self.list_commands(ctx):
            import difflib

            close = difflib.get_close_matches(verb, self.list_commands(ctx), n=1)
            hint = f"did you mean `mlplat {close[0]}`?" if close else "`mlplat --help` lists the commands"
            raise click.UsageError(f"there is no command `{verb}`; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        """Write the verbs by group."""
        for group, verbs in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(list(verbs.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(mlplat.__version__, "--version", message="%(version)s")
def cli() -> None:
    """Stand a machine-learning platform up, and run a project's whole life on it.

    \b
    Example:
      mlplat up                  a platform on this computer
      mlplat new flights         a project with real data
      cd flights
      mlplat run train           a gated, registered model
      mlplat deploy              behind an endpoint
      mlplat predict --example   an answer
    """


def main() -> None:
    """Run the command line and leave with 0 (done), 1 (could not), 2 (wrong usage or file) or 130 (interrupted)."""
    try:
        status = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except MlplatError as error:
        sys.exit(_report(error.message, error.hint, error.exit_code))
    except click.Abort:
        sys.exit(_report("interrupted", None, 130))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone: say nothing more, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _report(message: str, hint: str | None, status: int) -> int:
    for line in message.splitlines() or [""]:
        click.echo(click.style("error: ", fg="red", bold=True) + line, err=True)
    for line in (hint or "").splitlines():
        click.echo(click.style("hint: ", fg="cyan") + line, err=True)
    return status
