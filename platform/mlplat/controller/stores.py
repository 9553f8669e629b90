"""Where endpoint documents are found, by the address that a connection carries.

`sqlite:///<absolute path>` is a file on this computer. `kubernetes:<context>` is a cluster, entered by that context of
the kubeconfig, `kubernetes:<context>?kubeconfig=<path>` by that of another file; both parts are percent-encoded, since
contexts hold any sign (EKS names them by ARN).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote

from mlplat.cluster import Cluster
from mlplat.controller.store import SqliteStore
from mlplat.errors import StateError

if TYPE_CHECKING:
    from mlplat.controller.kubernetes.store import KubernetesStore

SCHEME = "kubernetes:"


@dataclass(frozen=True)
class Entry:
    """The way into a cluster."""

    context: str | None
    """None for the kubeconfig's current one."""
    kubeconfig: str | None = None
    """Path of the file; None for `KUBECONFIG` or `~/.kube/config`."""

    def address(self) -> str:
        """Return the address of the endpoint documents there."""
        query = f"?kubeconfig={quote(self.kubeconfig, safe='/')}" if self.kubeconfig else ""
        return f"{SCHEME}{quote(self.context or '', safe=':/@')}{query}"

    def cluster(self) -> Cluster:
        """Return the cluster's API. Raises `MlplatError` where the kubeconfig has no such context."""
        return Cluster.of_context(self.context, self.kubeconfig)


def entry(address: str) -> Entry | None:
    """Return the way into the cluster that an address is of; None for one that is no cluster's."""
    if not address.startswith(SCHEME):
        return None
    context, _, query = address.removeprefix(SCHEME).partition("?")
    kubeconfig = parse_qs(query).get("kubeconfig", [None])[0]
    return Entry(unquote(context) or None, kubeconfig)


@contextlib.contextmanager
def opened(address: str, namespaces: Mapping[str, str]) -> Iterator[SqliteStore | KubernetesStore]:
    """Open the endpoint documents at an address. Raises `StateError` for one that is neither kind."""
    if found := entry(address):
        from mlplat.controller.kubernetes.store import KubernetesStore

        with found.cluster() as cluster, KubernetesStore(cluster, namespaces) as store:
            yield store
        return
    if not address.startswith("sqlite:"):
        raise StateError(
            f"`{address}` is no endpoint store", hint=f"it is written as `sqlite:///<path>` or `{SCHEME}<context>`"
        )
    with SqliteStore.open(address, create=False) as kept:
        yield kept
