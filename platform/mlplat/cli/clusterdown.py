"""What `mlplat down` does on a cluster: endpoints go while their controller lives, then all that `up` has made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlplat.cli import clouds, clusters, stacks
from mlplat.cli.console import progress, say
from mlplat.errors import MlplatError, UnreachableError, UsageError

if TYPE_CHECKING:
    from mlplat.cluster import Cluster
    from mlplat.spec.platform import PlatformSpec


def down(
    spec: PlatformSpec,
    stack: str,
    file: Path,
    *,
    yes: bool,
    confirm: str | None,
    delete_data: bool,
    skip_drain: bool,
) -> int:
    """Show what would go, ask, end endpoints and then the rest; return 1 where the cluster still holds something."""
    there = clouds.standing(spec, stack, file, delete_data=delete_data)
    if there is None:
        clusters.disconnect(spec, stack)
        return 0
    found, resources, ending = there
    if not delete_data:
        _refuse_with_data(spec)
    _guard(spec, file)
    with clusters.entry(spec, stack).cluster() as cluster:
        clouds.show(resources, ending)
        serving = _serving(cluster)
        clouds.agree(spec, ending, yes=yes, confirm=confirm, delete_data=delete_data)
        _drain(cluster, serving, skip=skip_drain)
        with progress(f"ending `{spec.name}`"):
            found.end(ending, stacks.indented)
        clusters.disconnect(spec, stack)
        say("ended; what stays is in the state, and `mlplat up` goes on with it" if ending.stays else "ended")
        return _left(cluster, spec)


def _refuse_with_data(spec: PlatformSpec) -> None:
    from mlplat.targets.kubernetes import ends

    if ends.holds_data(spec):
        raise UsageError(
            "the small database and object store of the platform are on the cluster, and all runs, models and features"
            " would go with them",
            hint="say `--delete-data`, or move them first: `kubernetes.databases`, `kubernetes.objects`",
        )


def _serving(cluster: Cluster) -> list[str]:
    """Return the endpoints that would go, and say them."""
    from mlplat.targets.kubernetes import ends

    found = ends.serving(cluster)
    for name in found:
        say(f"  ends    the endpoint {name}")
    return found


def _guard(spec: PlatformSpec, file: Path) -> None:
    try:
        clusters.guard(spec, file, write=False)
    except UnreachableError as error:
        raise UnreachableError(
            f"{error.message}, so nothing was ended",
            hint='if it is gone for good: `eval "$(mlplat state env)"`, and `PULUMI_K8S_DELETE_UNREACHABLE=true'
            " pulumi destroy` forgets what was on it",
        ) from error


def _drain(cluster: Cluster, serving: list[str], *, skip: bool) -> None:
    from mlplat.targets.kubernetes import ends

    if not serving:
        return
    if skip:
        ends.release(cluster)
        say("endpoints were let go without their controller: their pods end with their namespaces")
        return
    with progress("ending endpoints"):
        ends.drain(cluster, stacks.indented)


def _left(cluster: Cluster, spec: PlatformSpec) -> int:
    from mlplat.targets.kubernetes import ends

    try:
        left = ends.left(cluster, spec)
    except MlplatError as error:
        say(f"could not look for what is left over: {error.told()}")
        return 1
    for each in left:
        say(f"  left: {each}")
    say("something is left on the cluster" if left else "nothing is left over")
    return 1 if left else 0
