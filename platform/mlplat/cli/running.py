"""What `status`, `outputs` and `doctor` print of a platform on a cluster: what the cluster itself says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mlplat.cli import clusters
from mlplat.cli.console import emit_json, progress, say, table
from mlplat.errors import MlplatError

if TYPE_CHECKING:
    from mlplat.contracts import Connection
    from mlplat.spec.platform import PlatformSpec
    from mlplat.targets.findings import Finding
    from mlplat.targets.kubernetes.status import Row


def rows(spec: PlatformSpec, stack: str) -> list[Row]:
    """Ask a stack's cluster what runs. Raises `MlplatError` where it does not answer."""
    from mlplat.targets.kubernetes import status

    with clusters.entry(spec, stack).cluster() as cluster:
        return status.rows(cluster, spec)


def status(spec: PlatformSpec, stack: str, *, as_json: bool) -> int:
    """Print what runs; return 1 where a part of the platform is not ready."""
    found = rows(spec, stack)
    if as_json:
        emit_json([asdict(row) for row in found])
    else:
        show(found)
    bad = is_broken(found)
    if not any(row.group == "service" for row in found):
        say(f"no service of the platform is on the cluster: `mlplat up -s {stack}` puts them there")
        return 1
    if bad:
        say(f"`mlplat logs NAME -s {stack}` shows what one wrote; `mlplat doctor -s {stack}` says what is wrong")
    return 1 if bad else 0


def beside(spec: PlatformSpec, stack: str) -> list[Row]:
    """Return what runs on the cluster of an account's stack.

    A cluster that cannot be asked from here is said, and no fault: many are reached from inside their network alone.
    """
    try:
        return rows(spec, stack)
    except MlplatError as error:
        say(f"what runs on the cluster could not be asked: {error.told()}")
        return []


def is_broken(found: list[Row]) -> bool:
    """Tell whether a part of the platform is not ready. An endpoint's trouble is its owner's."""
    return any(not row.ready and row.group != "endpoint" for row in found)


def show(found: list[Row]) -> None:
    """Print rows for people."""
    cells = [(row.group, row.name, "yes" if row.ready else "no", row.state, row.said) for row in found]
    table(cells, ["what", "name", "ready", "state", "said"])


def outputs(spec: PlatformSpec, stack: str, *, as_json: bool) -> None:
    """Print where a platform answers, asked of its cluster, and where projects find that."""
    made = connection(spec, stack)
    endpoints = {"tracking": made.tracking, "gateway": made.gateway}
    if as_json:
        told = {"name": spec.name, "stack": stack, "target": spec.target, "endpoints": endpoints}
        emit_json({**told, "connection": made.document()})
        return
    table([*sorted(endpoints.items()), ("connection", made.path(spec.name, stack))], ["output", "value"])


def connection(spec: PlatformSpec, stack: str) -> Connection:
    """Ask a cluster how projects reach its platform."""
    from mlplat.targets.kubernetes.connection import connection as asked

    way = clusters.entry(spec, stack)
    with way.cluster() as cluster:
        return asked(spec, stack, way, cluster)


def findings(spec: PlatformSpec, stack: str, file: Path | None) -> list[Finding]:
    """Look at everything that the platform needs of its cluster."""
    from mlplat.targets.kubernetes import identity
    from mlplat.targets.kubernetes.doctor import examine

    with progress(f"asking the cluster of `{stack}`"):
        return examine(spec, stack, clusters.entry(spec, stack), identity.read(file) if file else None)
