"""The document by which projects find the platform, as a resource."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from mlplat.contracts import Connection
from mlplat.targets.local.provider.kind import Difference, Found, Tell, Values, compare
from mlplat.targets.local.resolve import plain


class ConnectionKind:
    """The document by which projects find the platform."""

    inputs: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("platform", "stack", "target", "tracking", "gateway", "store", "clock", "mlplat", "features"), "string"
        ),
        "version": "number",
    }
    outputs: ClassVar[Mapping[str, str]] = {"path": "string"}

    def identity(self, inputs: Values) -> str:
        """Return `<platform>/<stack>`."""
        return f"{inputs['platform']}/{inputs['stack']}"

    def check(self, inputs: Values) -> list[tuple[str, str]]:
        """Return what is wrong with inputs, as property and reason."""
        try:
            Connection(**plain(inputs))
        except TypeError as error:
            return [("platform", f"is no connection: {error}")]
        return []

    def diff(self, identity: str, olds: Values, news: Values) -> Difference:
        """Hold what is wanted against the document that projects find."""
        moved = ("platform",) if self.identity(news) != identity else ()
        found, known = self.read(identity, olds), dict(compare(olds, news))
        if found is None:
            return Difference({"path": "update", **known}, moved, "is not written")
        return Difference({**known, **dict(compare(found.inputs, news))}, moved)

    def create(self, news: Values, tell: Tell, *, preview: bool) -> tuple[str, Values]:
        """Write the document."""
        return self.identity(news), self.update(news, tell, preview=preview)

    def update(self, news: Values, _tell: Tell, *, preview: bool) -> Values:
        """Write the document again."""
        connection = Connection(**plain(news))
        if not preview:
            connection.write()
        return {**news, "path": str(Connection.path(connection.platform, connection.stack))}

    def read(self, identity: str, _inputs: Values) -> Found | None:
        """Return the document as it is."""
        path = Connection.path(*identity.split("/"))
        try:
            inputs = plain(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            return None
        return Found(identity, inputs, {**inputs, "path": str(path)})

    def delete(self, identity: str, _outputs: Values) -> None:
        """Remove the document."""
        Connection.path(*identity.split("/")).unlink(missing_ok=True)
