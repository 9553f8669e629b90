"""What every kind of resource tells the engine of: what is there, what differs, what was made half."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from mlplat.errors import MlplatError
from mlplat.targets.local.resolve import plain

Values = Mapping[str, Any]
"""A resource's properties: JSON, with `UNKNOWN` where only an apply will know."""
Tell = Callable[[str], None]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a value that is not known in a preview (pulumi.runtime.rpc.UNKNOWN)."""
WHO = "pulumi"
"""Holder of the platform's lock while the engine works."""


class PartlyMadeError(MlplatError):
    """A resource exists and does not work yet: the engine keeps it, and tries again."""

    def __init__(self, error: MlplatError, identity: str, inputs: Values, outputs: Values) -> None:
        super().__init__(error.message, hint=error.hint)
        self.identity, self.inputs, self.outputs = identity, inputs, outputs


@dataclass(frozen=True)
class Found:
    """A resource as it is."""

    identity: str
    inputs: Values
    outputs: Values


@dataclass(frozen=True)
class Difference:
    """What an update would change."""

    paths: Mapping[str, str]
    """`add`, `delete` or `update` by property path."""
    replaces: tuple[str, ...] = ()
    why: str | None = None
    """What was seen here that the engine does not know."""


class Kind(Protocol):
    """One kind of resource. Every method may raise `MlplatError`."""

    inputs: ClassVar[Mapping[str, str]]
    """Type by input, for the provider's schema."""
    outputs: ClassVar[Mapping[str, str]]
    """Likewise, what is known once it is made."""

    def identity(self, inputs: Values) -> str:
        """Return the id that it is imported by."""

    def check(self, inputs: Values) -> list[tuple[str, str]]:
        """Return what is wrong with inputs, as property and reason."""

    def diff(self, identity: str, olds: Values, news: Values) -> Difference:
        """Hold what is wanted against what is here; `olds` are the inputs that the engine remembers."""

    def create(self, news: Values, tell: Tell, *, preview: bool) -> tuple[str, Values]:
        """Make it, or take over what is there already; return its id and all its properties."""

    def update(self, news: Values, tell: Tell, *, preview: bool) -> Values:
        """Bring it to what is wanted; return all its properties."""

    def read(self, identity: str, inputs: Values) -> Found | None:
        """Return it as it is here, or None; `inputs` are empty for an import."""

    def delete(self, identity: str, outputs: Values) -> None:
        """End it."""


def compare(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the property path and `add`, `delete` or `update` of every leaf that differs.

    What is null and what is missing are the same: the SDK leaves a property out that is null.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from compare(old.get(key), new.get(key), _join(path, key))
    elif plain(old) != plain(new):
        yield path, "add" if old is None else "delete" if new is None else "update"


def _join(path: str, key: str) -> str:
    if not key.replace("_", "").isalnum():
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key
