"""A provider of things that take as long as a test wants: mlplat's own provider, with one kind more.

A thing is a file. Its making waits for the file `go` in the same folder, and every making is written down.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, cast

from mlplat import provider
from mlplat.targets.local.provider import KINDS
from mlplat.targets.local.provider.kind import Difference, Found, Kind, Tell, Values, compare


class Thing:
    """A file that holds a text."""

    inputs: ClassVar[Mapping[str, str]] = {"folder": "string", "name": "string", "text": "string"}
    outputs: ClassVar[Mapping[str, str]] = {}

    def identity(self, inputs: Values) -> str:
        return str(Path(inputs["folder"]) / inputs["name"])

    def check(self, inputs: Values) -> list[tuple[str, str]]:
        return [("text", "`bad` is no text\nhint: write `good`")] if inputs["text"] == "bad" else []

    def diff(self, _identity: str, olds: Values, news: Values) -> Difference:
        return Difference(dict(compare(olds, news)), tuple(key for key in ("folder", "name") if olds[key] != news[key]))

    def create(self, news: Values, tell: Tell, *, preview: bool) -> tuple[str, Values]:
        return self.identity(news), self.update(news, tell, preview=preview)

    def update(self, news: Values, tell: Tell, *, preview: bool) -> Values:
        path = Path(self.identity(news))
        if not preview and not (path.exists() and path.read_text() == news["text"]):
            with (path.parent / "made").open("a") as made:
                made.write(f"{news['name']}\n")
            path.write_text(news["text"])
            tell(f"{news['name']}: waits")
        while not preview and not (path.parent / "go").exists():
            time.sleep(0.02)
        return news

    def read(self, identity: str, inputs: Values) -> Found | None:
        path = Path(identity)
        if not path.exists():
            return None
        found = {"folder": str(path.parent), "name": path.name, "text": path.read_text()}
        return Found(identity, found, found)

    def delete(self, identity: str, _outputs: Values) -> None:
        Path(identity).unlink(missing_ok=True)


if __name__ == "__main__":
    cast("dict[str, Kind]", KINDS)["slow:index:Thing"] = Thing()
    provider.main()
