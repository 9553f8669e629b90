"""`mlplat doctor`: what is wrong here, and the mend."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from mlplat.cli.console import emit_json, say, table
from mlplat.cli.options import json_option, stack_option


@click.command()
@stack_option
@json_option
def command(stack: str, as_json: bool) -> int:
    """Look at everything the platform needs on this computer, and say the mend of what is wrong.

    Exits with 1 when something is wrong. Changes nothing.

    \b
    Example:
      mlplat doctor
    """
    from mlplat.spec.platform import read_stack
    from mlplat.targets.local.doctor import examine

    spec, _ = read_stack(stack, Path.cwd())
    findings = examine(spec, stack)
    wrong = [finding for finding in findings if not finding.ok]
    if as_json:
        emit_json([asdict(finding) for finding in findings])
    else:
        table([("ok" if each.ok else "WRONG", each.what, each.said) for each in findings], ["", "what", "seen"])
        for finding in wrong:
            say(f"{finding.what}: {finding.mend}")
        say(f"{len(wrong)} of {len(findings)} need a hand" if wrong else "nothing is wrong")
    return 1 if wrong else 0
