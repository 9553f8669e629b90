"""A path of the model server, and what answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mlplat.serving.connection import Request

View = Callable[["Route", Request], None]


@dataclass(frozen=True)
class Route:
    """One path: its name in the metrics, and what answers each method."""

    name: str
    views: dict[bytes, View] = field(default_factory=dict)

    @property
    def allowed(self) -> bytes:
        """The methods, for the header `allow`."""
        return b", ".join(self.views)


def get(view: View) -> dict[bytes, View]:
    """Return the methods of a path that is read only."""
    return {b"GET": view, b"HEAD": view}
