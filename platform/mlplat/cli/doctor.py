"""`mlplat doctor`: what is wrong here, and the mend."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.cli import running
from mlplat.cli.console import emit_json, progress, say, table
from mlplat.cli.options import json_option, stack_option
from mlplat.errors import MlplatError

if TYPE_CHECKING:
    from mlplat.spec.platform import PlatformSpec
    from mlplat.targets.findings import Finding


@click.command()
@stack_option
@json_option
def command(stack: str, as_json: bool) -> int:
    """Look at everything the platform needs, here, on its cluster or in its account, and say the mend of what is wrong.

    For a stack on a cluster: whether it is the right one, its version, rights, the class of volumes, definitions of
    add-ons that somebody else keeps, locked images, secrets that people put there, nodes of pools. Whether a network
    enforces policies no cluster tells; what is known of it is said.

    For a stack on AWS: credentials, rights, region, quotas, whether the zones have the machines, names that a lost
    state left behind, whether state and cluster can be reached from here, and the cost. Quotas, offerings and capacity
    are lines of their own, because each is mended in another way.

    Exits with 1 when something is wrong. Changes nothing.

    \b
    Example:
      mlplat doctor
      mlplat doctor -s prod
    """
    from mlplat.spec.platform import read_stack

    spec, path = read_stack(stack, Path.cwd())
    findings = _findings(spec, stack, path)
    wrong = [finding for finding in findings if not finding.ok]
    if as_json:
        emit_json([asdict(finding) for finding in findings])
    else:
        table([("ok" if each.ok else "WRONG", each.what, each.said) for each in findings], ["", "what", "seen"])
        for finding in wrong:
            say(f"{finding.what}: {finding.mend or 'try again; if it stays, say what it says in an issue'}")
        say(f"{len(wrong)} of {len(findings)} need a hand" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def _findings(spec: PlatformSpec, stack: str, path: Path | None) -> list[Finding]:
    if spec.target == "kubernetes":
        return running.findings(spec, stack, path)
    if spec.target == "aws":
        return _account(spec, stack, path)
    from mlplat.targets.local.doctor import examine

    return examine(spec, stack)


def _account(spec: PlatformSpec, stack: str, path: Path | None) -> list[Finding]:
    from mlplat import deployment
    from mlplat.targets.aws.preflight import examine

    identity = deployment.read(path) if path else None
    known, unread = _known(spec, stack, path) if identity and path else (frozenset[str](), None)
    with progress(f"asking the account of `{stack}`"):
        found = examine(spec, stack, identity, known)
    return [*found, *([unread] if unread else [])]


def _known(spec: PlatformSpec, stack: str, path: Path) -> tuple[frozenset[str] | None, Finding | None]:
    """Return what the stack's state knows; where it cannot be read, None and a finding that says why."""
    from mlplat.targets.aws.leftbehind import known_to
    from mlplat.targets.findings import Finding

    try:
        from mlplat.engine import binary
        from mlplat.engine.stack import existing

        # Found, never fetched: a doctor changes nothing.
        found = existing(spec, stack, path, say, engine=binary.find(path.absolute().parent))
        return known_to(found.resources() if found else []), None
    except MlplatError as error:
        return None, Finding("engine", False, f"the stack's state cannot be read: {error.message}", error.hint)
