"""What a kind of resource promises to whoever serves it to the engine."""

from __future__ import annotations

from typing import Protocol

from fakecloud.world import Values

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a value that nobody knows yet (pulumi.runtime.rpc.UNKNOWN)."""


class RefusedError(Exception):
    """What a cloud says no to, in its own words."""


class Kind(Protocol):
    """One type of resource."""

    @property
    def replaces(self) -> frozenset[str]:
        """Return the inputs that an existing one cannot change."""

    def foresee(self, inputs: Values) -> Values:
        """Return what a preview may know of one that would be made: `UNKNOWN` for what only a cloud says."""

    def create(self, urn: str, inputs: Values) -> tuple[str, Values]:
        """Make one; return its id and its outputs."""

    def read(self, identity: str, inputs: Values) -> tuple[Values, Values] | None:
        """Return inputs and outputs as they are; None where it is gone. `inputs` are those it was made with."""

    def update(self, identity: str, olds: Values, news: Values) -> Values:
        """Change one; return its outputs."""

    def delete(self, identity: str, inputs: Values) -> None:
        """End one; one that is gone already is no error."""
