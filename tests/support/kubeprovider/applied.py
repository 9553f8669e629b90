"""An object of a real cluster: made, changed, read and ended as pulumi-kubernetes does it with server-side apply.

What was made is awaited where a cluster has nodes; elsewhere nothing could become ready, and only definitions are. What
was deleted has to be gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fakecloud.kind import RefusedError
from fakecloud.world import Values
from kubeprovider import awaiting, immutable
from mlplat.cluster import Cluster, ConflictError, UnknownKindError
from mlplat.errors import MlplatError

MANAGER = "pulumi-kubernetes"
SECONDS = 90.0
READY_SECONDS = 600.0
"""As long as pulumi-kubernetes waits for most kinds."""
PAUSE_SECONDS = 0.05
DEFINITION = "CustomResourceDefinition"
SERVERS = ("managedFields", "resourceVersion", "generation")
"""Metadata that changes without anybody meaning it."""
PATCH = "Patch"
"""Ends the types that change an object which is somebody else's."""


@dataclass(frozen=True)
class Applied:
    """A type of objects."""

    token: str
    cluster: Cluster
    has_nodes: Callable[[], bool]
    """Asked only once something was made."""

    @property
    def replaces(self) -> frozenset[str]:
        return immutable.of(self.token)

    @property
    def api_version(self) -> str:
        return self.token.split(":")[1].removeprefix("core/")

    @property
    def is_patch(self) -> bool:
        return self.token.endswith(PATCH)

    @property
    def kind(self) -> str:
        return self.token.split(":")[2].removesuffix(PATCH if self.is_patch else "")

    def foresee(self, inputs: Values) -> Values:
        return inputs

    def create(self, urn: str, inputs: Values) -> tuple[str, Values]:
        document = self._document(inputs)
        identity = _identity(document)
        if not self.is_patch and self._get(identity):
            raise RefusedError(f'{self.kind} "{identity}" already exists: this provider takes nothing over')
        made = self._apply(document)
        if self.kind == DEFINITION:
            self._until(identity, self._is_served, "is not established and served")
        return identity, _outputs(self._ready(identity, made))

    def update(self, identity: str, olds: Values, news: Values) -> Values:
        return _outputs(self._ready(identity, self._apply(self._document(news))))

    def read(self, identity: str, inputs: Values) -> tuple[Values, Values] | None:
        found = self._get(identity)
        if found is None:
            return None
        document = self._document(inputs) if inputs else _named(found)
        would = self._apply(document, dry_run=True)
        return (document if _meant(would) == _meant(found) else _seen(document, found)), _outputs(found)

    def delete(self, identity: str, inputs: Values) -> None:
        namespace, name = _parts(identity)
        try:
            if self.is_patch:
                # Fields that only this one wanted go; the object is somebody else's.
                self._apply(_named(self._document(inputs)))
                return
            self.cluster.delete(self.api_version, self.kind, name, namespace, propagation="Foreground")
            self._until(identity, lambda found: found is None, "is not gone")
        except UnknownKindError:
            return  # gone with its definition
        except MlplatError as error:
            raise RefusedError(error.told()) from error

    def _document(self, inputs: Values) -> Values:
        return {**inputs, "apiVersion": self.api_version, "kind": self.kind}

    def _apply(self, document: Values, *, dry_run: bool = False) -> Values:
        metadata = document["metadata"]
        manager = f"{MANAGER}-{metadata['name']}" if self.is_patch else MANAGER
        forced = dry_run or metadata.get("annotations", {}).get("pulumi.com/patchForce") == "true"
        try:
            return self.cluster.apply(document, manager=manager, force=forced, dry_run=dry_run)
        except ConflictError as error:
            raise RefusedError(f"{self.kind} {metadata['name']}: somebody else owns fields of it: {error}") from error
        except MlplatError as error:
            raise RefusedError(f"{self.kind} {metadata['name']}: {error.told()}") from error

    def _get(self, identity: str) -> Values | None:
        namespace, name = _parts(identity)
        try:
            return self.cluster.get(self.api_version, self.kind, name, namespace)
        except UnknownKindError:
            return None
        except MlplatError as error:
            raise RefusedError(error.told()) from error

    def _ready(self, identity: str, found: Values) -> Values:
        """Wait for an object as far as that is possible here, and return it."""
        deadline = time.monotonic() + READY_SECONDS
        while self.has_nodes() and not self.is_patch and (lacks := awaiting.lacking(self.cluster, found)):
            if awaiting.failed(found) or time.monotonic() > deadline:
                raise RefusedError(f"{self.kind} {identity}: {lacks}")
            time.sleep(PAUSE_SECONDS)
            found = self._get(identity) or found
        return found

    def _is_served(self, found: Values | None) -> bool:
        """Tell whether a definition holds, and is found: the API server says the one a moment before the other."""
        if found is None or not _established(found):
            return False
        group, kind = found["spec"]["group"], found["spec"]["names"]["kind"]
        try:
            for version in found["spec"]["versions"]:
                if version["served"]:
                    self.cluster.list(f"{group}/{version['name']}", kind)
        except UnknownKindError:
            return False
        return True

    def _until(self, identity: str, holds: Any, fault: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds(found := self._get(identity)):
            if time.monotonic() > deadline:
                held = (found or {}).get("metadata", {}).get("finalizers")
                raise RefusedError(f"{self.kind} {identity} {fault} after {SECONDS:.0f} s; finalizers: {held}")
            time.sleep(PAUSE_SECONDS)


def _established(found: Values | None) -> bool:
    # The list is null until the first of them.
    conditions = ((found or {}).get("status") or {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _identity(document: Mapping[str, Any]) -> str:
    metadata = document["metadata"]
    return "/".join(filter(None, [metadata.get("namespace"), metadata["name"]]))


def _parts(identity: str) -> tuple[str | None, str]:
    namespace, _, name = identity.rpartition("/")
    return namespace or None, name


def _named(document: Mapping[str, Any]) -> Values:
    """Return what says which object a document is, and nothing of what is in it."""
    names = {key: value for key, value in document["metadata"].items() if key in ("name", "namespace")}
    return {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": names}


def _meant(document: Mapping[str, Any]) -> Values:
    metadata = {key: value for key, value in document["metadata"].items() if key not in SERVERS}
    return {**{key: value for key, value in document.items() if key != "status"}, "metadata": metadata}


def _outputs(document: Mapping[str, Any]) -> Values:
    """Return an object as the state keeps it: whoever manages which field is no part of it, nor is a secret's value."""
    metadata = {key: value for key, value in document["metadata"].items() if key != "managedFields"}
    kept = {key: value for key, value in document.items() if not (document["kind"] == "Secret" and key == "data")}
    return {**kept, "metadata": metadata}


def _seen(wanted: Any, found: Any) -> Any:
    """Return what is wanted with the values that are really there, so that a refresh shows what somebody changed."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return {key: _seen(value, found[key]) for key, value in wanted.items() if key in found}
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [_seen(*pair) for pair in zip(wanted, found, strict=True)]
    return found
