"""Which cluster a stack is on: the id of its namespace `kube-system`, which no other cluster has.

A context is a name on one computer. On another one it may lead elsewhere, and an `up` would then make the platform a
second time, a `down` end what is somebody else's. So the first `up` writes the id to the stack file.
"""

from __future__ import annotations

from pathlib import Path

from mlplat.cluster import Cluster
from mlplat.errors import MlplatError, RefusedError
from mlplat.spec import rewrite

KEY = "mlplat:cluster"


def of(cluster: Cluster) -> str:
    """Ask a cluster for its id. Raises `MlplatError`."""
    found = cluster.get("v1", "Namespace", "kube-system")
    if found is None:
        raise MlplatError(f"{cluster.described} has no namespace `kube-system`, so it cannot be told from others")
    return str(found["metadata"]["uid"])


def read(file: Path) -> str | None:
    """Return the id that a stack file names. Raises `SpecError` for a file that cannot be read."""
    return rewrite.written(file, KEY)


def write(file: Path, identity: str) -> None:
    """Name a cluster in a stack file; nothing else in it changes."""
    rewrite.write(file, KEY, identity)


def refuse_other(written: str | None, found: str, *, source: str, context: str | None) -> None:
    """Raise `RefusedError` for a cluster that is not the one which a stack file names."""
    if written is None or written == found:
        return
    raise RefusedError(
        f"the context `{context}` leads to the cluster {found}, and {source} is of the cluster {written}",
        hint="choose the context that leads there (`kubernetes.context`, `kubernetes.kubeconfig`); if the cluster was"
        f" made anew and nothing of the old one is left, remove `{KEY}` from the file",
    )
