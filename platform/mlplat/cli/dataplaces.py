"""Where a project's data lie, by the stack: on this computer, or in a cluster's bucket and behind its feature server.

A cluster says itself where its bucket is (`mlplat.manifests.flows`), and a store that only the cluster reaches is
reached by a forwarded port. It is entered with the keys of whoever asks: those of the environment, otherwise those of
the team's secret, which its admins may read.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlplat.cli import workflows
from mlplat.errors import MlplatError, NotReadyError, RefusedError

if TYPE_CHECKING:
    from mlplat.cluster import Cluster
    from mlplat.manifests.flows import Terms
    from mlplat.spec.project import ProjectSpec


@dataclass(frozen=True)
class Log:
    """Prediction logs, and the key of the hashes in them."""

    address: str | None = None
    """A folder or an `s3://` address; None where nobody knows."""
    key: bytes | None = None


@dataclass(frozen=True)
class Here:
    """On this computer."""

    spec: ProjectSpec
    stack: str
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the project's own code is told besides."""

    def log(self, unreached: list[str]) -> Log:
        """Return the platform's prediction logs; what cannot be looked into is put into words."""
        from mlplat.contracts import Connection
        from mlplat.runs import data

        try:
            folder, key = data.log(Connection.read(self.spec.platform, self.stack))
        except MlplatError as error:
            unreached.append(f"the prediction log: {error.message}")
            return Log()
        return Log(str(folder), key.read_bytes() if key.exists() else None)

    @contextlib.contextmanager
    def features(self, unreached: list[str]) -> Iterator[str | None]:
        """Yield the feature server's URL, None where there is none; what cannot be reached is put into words."""
        from mlplat.contracts import Connection

        found = None
        try:
            found = Connection.read(self.spec.platform, self.stack).features
        except MlplatError as error:
            unreached.append(f"the online store: {error.message}")
        yield found


@dataclass(frozen=True)
class There:
    """In the bucket of a cluster."""

    cluster: Cluster
    namespace: str
    variables: Mapping[str, str]
    address: str
    """Below which the team's prediction logs lie."""
    server: Callable[[], AbstractContextManager[str | None]] = contextlib.nullcontext
    """Enters the feature server's URL as it is reached from here; None where there is none."""

    def log(self, unreached: list[str]) -> Log:
        """See `Here.log`. The key is a secret of the team's."""
        from mlplat.manifests.revision import KEY_FILE, LOG_KEY

        try:
            found = self.cluster.get("v1", "Secret", LOG_KEY, self.namespace)
        except RefusedError as error:
            unreached.append(f"hashed columns of the prediction log: {error.message}")
            return Log(self.address)
        return Log(self.address, base64.b64decode((found or {}).get("data", {}).get(KEY_FILE, "")) or None)

    @contextlib.contextmanager
    def features(self, unreached: list[str]) -> Iterator[str | None]:
        """See `Here.features`."""
        with contextlib.ExitStack() as ends:
            found = None
            try:
                found = ends.enter_context(self.server())
            except MlplatError as error:
                unreached.append(f"the online store: {error.message}")
            yield found


@contextlib.contextmanager
def reach(spec: ProjectSpec, stack: str) -> Iterator[Here | There]:
    """Yield where a project's data are, for as long as they are asked for. Raises `MlplatError`."""
    where = workflows.place(spec, stack, here=False)
    if where is None:
        yield Here(spec, stack)
        return
    from mlplat.runs import publish

    with workflows.entered(where) as (cluster, namespace, project):
        told = publish.terms(cluster, namespace)
        places = _known(told, stack)
        with where.reach(told.endpoint) if told.endpoint else contextlib.nullcontext() as address:
            stored = publish.storage(cluster, namespace, told, address, os.environ)
            keys = {"AWS_ACCESS_KEY_ID": stored.access_key, "AWS_SECRET_ACCESS_KEY": stored.secret_key}
            known = {name: value for name, value in keys.items() if value is not None}
            variables = {**told.places(project), **told.entry(address), **known}
            server = functools.partial(where.reach, told.features) if told.features else contextlib.nullcontext
            yield There(cluster, namespace, variables, places, server)


def _known(told: Terms, stack: str) -> str:
    from mlplat.contracts import PREDICTIONS

    if told.data is None:
        raise NotReadyError(
            f"the platform of the stack `{stack}` does not say where its projects keep their data",
            hint=f"its keepers run `mlplat up -s {stack}` with this version of mlplat",
        )
    return f"{told.data}/{PREDICTIONS}"
