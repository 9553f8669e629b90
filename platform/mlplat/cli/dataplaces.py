"""Where a project's training sets and prediction logs lie, by the stack: on this computer, or in a cluster's bucket.

A cluster says itself where its bucket is (`mlplat.manifests.flows`), and a store that only the cluster reaches is
reached by a forwarded port. It is entered with the keys of whoever asks: those of the environment, otherwise those of
the team's secret, which its admins may read.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True)
class There:
    """In the bucket of a cluster."""

    cluster: Cluster
    namespace: str
    variables: Mapping[str, str]
    address: str
    """Below which the team's prediction logs lie."""

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
def reach(spec: ProjectSpec, stack: str) -> Iterator[Here | There]:
    """Yield where a project's data are, for as long as they are asked for. Raises `MlplatError`."""
    where = workflows.place(spec, stack, here=False)
    if where is None:
        yield Here(spec, stack)
        return
    from mlplat.runs import publish

    with workflows.opened(where) as runs:
        told = publish.terms(runs.cluster, runs.namespace)
        places = _known(told, stack)
        with where.reach(told.endpoint) if told.endpoint else contextlib.nullcontext() as address:
            stored = publish.storage(runs.cluster, runs.namespace, told, address, os.environ)
            keys = {"AWS_ACCESS_KEY_ID": stored.access_key, "AWS_SECRET_ACCESS_KEY": stored.secret_key}
            known = {name: value for name, value in keys.items() if value is not None}
            variables = {**told.places(runs.project), **told.entry(address), **known}
            yield There(runs.cluster, runs.namespace, variables, places)


def _known(told: Terms, stack: str) -> str:
    from mlplat.contracts import PREDICTIONS

    if told.data is None:
        raise NotReadyError(
            f"the platform of the stack `{stack}` does not say where its projects keep their data",
            hint=f"its keepers run `mlplat up -s {stack}` with this version of mlplat",
        )
    return f"{told.data}/{PREDICTIONS}"
