"""`mlplat aws`: what people with credentials of an account ask for beside `up` and `down`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli.console import emit_json, progress, say, table, warn
from mlplat.cli.options import json_option, stack_option, yes_option
from mlplat.errors import UsageError

if TYPE_CHECKING:
    from mlplat.spec.platform import PlatformSpec
    from mlplat.targets.aws.leftovers import Found
    from mlplat.targets.aws.site import Site


TIMEOUT_SECONDS = 600.0
"""A load balancer's network interfaces go some minutes after it."""


@click.group("aws", no_args_is_help=True)
def command() -> None:
    """Ask about a platform's AWS account: the rights it needs, its cluster, what a past one left.

    \b
    Example:
      mlplat aws kubeconfig -s dev --write
      mlplat aws leftovers -s dev
    """


@command.command()
@stack_option
@click.option("--all", "every", is_flag=True, help="For whatever a spec may say, not only for what this one does.")
@json_option
def policy(stack: str, every: bool, as_json: bool) -> None:
    """Print the least IAM policies for whoever runs `up` and `down`: from what the stack's program makes.

    One policy may have 6,144 signs, so there are several; a role takes ten. Before the stack's first `up` its names
    have no id, and the policies are for any deployment of this name: print them again after `mlplat state init`.

    \b
    Example:
      mlplat aws policy -s prod --json | jq -c '.[0]' > deployer-1.json
    """
    from mlplat.targets.aws import deployer

    spec, site = _site(stack, named=False)
    kinds = None if every else _declared(spec, stack)
    documents = deployer.documents(site, kinds, engine=spec.engine)
    if deployer.ANY in site.deployment:
        warn(f"the stack `{stack}` has no deployment id yet, so these are for any deployment of its name")
    if not site.aws.identities.boundary:
        say("no `aws.identities.boundary` is set: whoever has these policies can write roles without a limit")
    if as_json:
        emit_json(documents)
        return
    for number, each in enumerate(documents, start=1):
        say(f"policy {number} of {len(documents)}")
        emit_json(each)


def _declared(spec: PlatformSpec, stack: str) -> frozenset[str]:
    from mlplat.engine import declared

    with progress("looking at what the program makes"):
        return declared.types(spec, stack)


@command.command()
@click.option("--cluster", required=True, help="Name of the EKS cluster.")
@click.option("--region", required=True, help="Region that it is in.")
@click.option("--account", default=None, help="Account whose credentials it must be, 12 digits.")
@click.option("--role", default=None, metavar="ARN", help="Role to take first.")
def token(cluster: str, region: str, account: str | None, role: str | None) -> None:
    """Print a token for a cluster, as Kubernetes' tools ask for it. `mlplat aws kubeconfig` writes the call.

    \b
    Example:
      mlplat aws token --cluster mlplat-dev-1f2e3d --region eu-west-1
    """
    from mlplat.targets.aws import token as tokens

    emit_json(tokens.get(cluster, region, account=account, role=role).credential())


@command.command()
@stack_option
@click.option("--write", is_flag=True, help="Merge it into your kubeconfig instead of printing it.")
@click.option("--file", "path", type=click.Path(dir_okay=False, path_type=Path), help="The file that --write changes.")
def kubeconfig(stack: str, write: bool, path: Path | None) -> None:
    """Print a kubeconfig for the stack's cluster, or merge it into yours; no credential is in it.

    \b
    Example:
      mlplat aws kubeconfig -s dev > /tmp/dev.kubeconfig
      mlplat aws kubeconfig -s dev --write
    """
    from mlplat.targets.aws import access, cluster, session

    if path and not write:
        raise UsageError("`--file` names what `--write` changes", hint="add `--write`, or leave `--file` out")
    _, site = _site(stack)
    found = session.open(site.aws)
    made = access.kubeconfig(access.described(found, site), site, role=cluster.admin_role(site))
    if not write:
        click.echo(access.text(made), nl=False)
        return
    file = path or access.default_file()
    access.write(file, made)
    say(f"wrote the context `{made['current-context']}` to {file}, and made it the current one")


def _site(stack: str, identity: str | None = None, *, named: bool = True) -> tuple[PlatformSpec, Site]:
    """Return a stack's platform and site; one without an id is refused only where `named` wants one."""
    from mlplat import deployment
    from mlplat.spec.platform import read_stack
    from mlplat.targets.aws.deployer import UNNAMED
    from mlplat.targets.aws.site import Site

    spec, file = read_stack(stack, Path.cwd())
    if spec.target != "aws" or file is None:
        raise UsageError(
            f"the stack `{stack}` is not on AWS", hint="name one whose `target` is `aws` with `-s`, or `MLPLAT_STACK`"
        )
    written = identity or deployment.read(file)
    return spec, Site.of(spec, stack, written or (None if named else UNNAMED))


@command.command()
@stack_option
@click.option("--deployment", metavar="ID", help="Id of a deployment that the stack file no longer names.")
@click.option("--data", is_flag=True, help="Count what is kept on purpose as left over, too.")
@click.option("--delete", is_flag=True, help="Delete what a cluster's controllers left; the rest is only listed.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=TIMEOUT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for which --delete tries again.",
)
@yes_option
@json_option
def leftovers(
    stack: str, deployment: str | None, data: bool, delete: bool, timeout: float, yes: bool, as_json: bool
) -> int:
    """List what a deployment left in its account, and exit with 1 if there is anything.

    It is found by the deployment's tag and names, with or without a state. What the state knows is no leftover, and
    neither is what `mlplat down` keeps on purpose, which is listed apart.

    \b
    Example:
      mlplat aws leftovers -s dev
      mlplat aws leftovers -s dev --delete
    """
    from mlplat.targets.aws import leftovers as left
    from mlplat.targets.aws import session

    spec, site = _site(stack, deployment)
    account = session.open(site.aws)
    known = None if deployment else _known(spec, stack)
    with progress(f"looking for what deployment {site.deployment} left in {site.account}, {site.region}"):
        found = left.find(account, site, known=known, data=data)
    if delete:
        found = _sweep(account, site, found, timeout, yes=yes) or left.find(account, site, known=known, data=data)
    _print(found, as_json)
    return int(any(each.counts for each in found))


def _known(spec: PlatformSpec, stack: str) -> Any:
    """Return what the stack's state knows; None, which is said, where there is no state to ask."""
    from mlplat.cli import stacks
    from mlplat.errors import MlplatError
    from mlplat.spec.platform import stack_file
    from mlplat.targets.aws.leftovers import known

    file = stack_file(stack, Path.cwd())
    try:
        held = stacks.find(spec, stack, file) if file else None
    except MlplatError as error:
        warn(f"the stack's state cannot be read, so everything of the deployment counts: {error.message}")
        return None
    return known(held.resources()) if held else None


def _sweep(account: Any, site: Site, found: list[Found], timeout: float, *, yes: bool) -> list[Found] | None:
    """Delete what may be; return the list as it was where there was nothing to delete."""
    from mlplat.targets.aws import sweep

    doomed = [each for each in found if each.fate == "sweep"]
    if not doomed:
        return found
    sweep.refuse_standing(account, site)
    for each in doomed:
        say(f"  {each.kind} {each.name}" + (f": {each.note}" if each.note else ""))
    if not yes and not sys.stdin.isatty():
        raise UsageError(f"{len(doomed)} things would be deleted, and nobody can be asked", hint="say `--yes`")
    if not yes:
        click.confirm(f"delete these {len(doomed)}?", abort=True, err=True)
    with progress("deleting"):
        left = sweep.sweep(account, doomed, say, timeout=timeout)
    if left:
        raise sweep.failed(left, timeout)
    return None


def _print(found: list[Found], as_json: bool) -> None:
    now = datetime.now(UTC)
    if as_json:
        rows = [
            {**asdict(each), "age": each.age(now), "left_over": each.counts, "what_to_do": each.advice()}
            for each in found
        ]
        emit_json(rows)
        return
    if found:
        table(
            [[each.kind, each.name, each.age(now) or "", each.fate, each.advice()] for each in found],
            ["kind", "name", "age", "is", "what to do"],
        )
    counted = sum(each.counts for each in found)
    say(f"{counted} left over" if counted else "nothing is left over")
