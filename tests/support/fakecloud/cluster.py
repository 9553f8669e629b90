"""The provider `kubernetes` of the tests: objects and releases are records, by the names that a cluster knows them by.

No API server is asked: what a cluster would refuse, the tests with a real one find.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from fakecloud.kind import Kind, RefusedError
from fakecloud.serve import main
from fakecloud.world import Values, World

REPLACES = frozenset({"apiVersion", "kind"})


@dataclass(frozen=True)
class Recorded:
    """An object of a cluster, or a chart's release."""

    type: str
    world: World
    replaces: frozenset[str] = REPLACES

    def foresee(self, inputs: Values) -> Values:
        return inputs

    def create(self, urn: str, inputs: Values) -> tuple[str, Values]:
        identity = _identity(inputs)
        if self.world.get(self.type, identity):
            raise RefusedError(f'{self.type} "{identity}" already exists')
        outputs = {**inputs, "status": {"status": "deployed"}}
        if "metadata" in inputs:
            outputs["metadata"] = {**inputs["metadata"], "uid": str(uuid.uuid4())}
        self.world.put(self.type, identity, {"urn": urn, "inputs": inputs, "outputs": outputs})
        return identity, outputs

    def read(self, identity: str, inputs: Values) -> tuple[Values, Values] | None:
        found = self.world.get(self.type, identity)
        return (found["inputs"], found["outputs"]) if found else None

    def update(self, identity: str, olds: Values, news: Values) -> Values:
        found = self.world.get(self.type, identity)
        if found is None:
            raise RefusedError(f'{self.type} "{identity}" not found')
        outputs: Values = {**found["outputs"], **news}
        self.world.put(self.type, identity, {**found, "inputs": news, "outputs": outputs})
        return outputs

    def delete(self, identity: str, inputs: Values) -> None:
        self.world.drop(self.type, identity)


def _identity(inputs: Values) -> str:
    about = {**inputs, **inputs.get("metadata", {})}
    return "/".join(filter(None, [about.get("namespace"), about.get("name") or uuid.uuid4().hex[:12]]))


class Cluster:
    """One cluster."""

    def __init__(self, world: World) -> None:
        self._world = world

    def configure(self, settings: Values) -> None:
        """Take the way to the cluster. Raises `RefusedError` for a provider that would use whatever is lying about."""
        if not settings.get("kubeconfig"):
            raise RefusedError("no kubeconfig: this would be the cluster of whoever runs it")

    def kind(self, token: str) -> Kind:
        """Return a kind by its type."""
        if not token.startswith("kubernetes:"):
            raise RefusedError(f"{token} is nothing of a cluster's")
        return Recorded(token, self._world)


if __name__ == "__main__":
    here = World.here()
    main(Cluster(here), here)
