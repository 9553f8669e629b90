"""What services and model servers on a cluster have written."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlplat.cluster import Cluster
from mlplat.errors import MlplatError, UsageError
from mlplat.manifests import names
from mlplat.targets.kubernetes import pods
from mlplat.targets.kubernetes.connection import OWNER

Document = Mapping[str, Any]
JOB = "batch.kubernetes.io/job-name"


@dataclass(frozen=True)
class Source:
    """A container that writes a log."""

    pod: Document
    container: str

    @property
    def name(self) -> str:
        """Return the pod's name."""
        return str(self.pod["metadata"]["name"])


def sources(cluster: Cluster, teams: Sequence[str], name: str) -> list[Source]:
    """Return the containers of a service, a job of one, `gateway`, or an endpoint `project/name`, newest first.

    Raises `UsageError` for a name that none of them has.
    """
    found = _endpoint(cluster, teams, name) if "/" in name else _service(cluster, name)
    if not found:
        raise UsageError(f"there is no log of `{name}`", hint=f"there are logs of {', '.join(_known(cluster))}")
    return [Source(each, pods.main_container(each)) for each in found]


def _service(cluster: Cluster, name: str) -> list[Document]:
    if name == "gateway":
        return _newest(cluster.list("v1", "Pod", names.PROXIES, OWNER))
    by_job = cluster.list("v1", "Pod", names.NAMESPACE, {JOB: name})
    return _newest(by_job or cluster.list("v1", "Pod", names.NAMESPACE, {names.APP: name}))


def _endpoint(cluster: Cluster, teams: Sequence[str], name: str) -> list[Document]:
    project, _, own = name.partition("/")
    chosen = {names.PROJECT: project, names.ENDPOINT: own}
    return _newest([each for team in teams for each in cluster.list("v1", "Pod", team, chosen)])


def _newest(found: Sequence[Document]) -> list[Document]:
    return sorted(found, key=lambda each: str(each["metadata"].get("creationTimestamp", "")), reverse=True)


def _known(cluster: Cluster) -> list[str]:
    there = {
        str(each["metadata"]["labels"][names.APP])
        for each in cluster.list("v1", "Pod", names.NAMESPACE)
        if names.APP in (each["metadata"].get("labels") or {})
    }
    return [*sorted(there), "gateway", "an endpoint as `project/name`"]


def last(cluster: Cluster, found: Sequence[Source], lines: int) -> Iterator[tuple[Source, str]]:
    """Yield the last lines of each, oldest pod first; of one that has died, those before it did."""
    for each in reversed(found):
        for line in _ended(cluster, each, lines).splitlines():
            yield each, line


def _ended(cluster: Cluster, source: Source, lines: int) -> str:
    place = (str(source.pod["metadata"]["namespace"]), source.name)
    written = cluster.logs(*place, container=source.container, lines=lines)
    return written or cluster.logs(*place, container=source.container, lines=lines, previous=True)


def followed(cluster: Cluster, found: Sequence[Source], lines: int) -> Iterator[tuple[Source, str]]:
    """Yield what each writes as it comes, until all of them have ended."""
    waiting: queue.Queue[tuple[Source, str | None]] = queue.Queue()
    for each in found:
        threading.Thread(target=_feed, args=(cluster, each, lines, waiting), daemon=True).start()
    left = len(found)
    while left:
        source, line = waiting.get()
        if line is None:
            left -= 1
        else:
            yield source, line


def _feed(cluster: Cluster, source: Source, lines: int, into: queue.Queue[tuple[Source, str | None]]) -> None:
    try:
        for line in pods.follow(cluster, source.pod, source.container, lines=lines):
            into.put((source, line))
    except MlplatError as error:
        into.put((source, error.told()))
    except Exception as error:  # noqa: BLE001 - of the connection, which anything may end
        into.put((source, f"the connection ended: {error}"))
    finally:
        into.put((source, None))
