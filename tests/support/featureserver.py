"""A server of features that speaks HTTP for real, as Feast's answers, and fails as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
Entity = tuple[Any, ...]
Rows = dict[Entity, tuple[datetime, Mapping[str, Any]]]
"""When a key's values were observed, and the values."""


@dataclass(frozen=True)
class View:
    """One feature view."""

    keys: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Rows = field(default_factory=dict)


class FeatureServer:
    """Answers `POST /flights/get-online-features` of some views, all of which are in one feature service."""

    def __init__(self, service: str, views: Mapping[str, View]) -> None:
        self.service, self.views = service, dict(views)
        self.asked: list[dict[str, Any]] = []
        """The requests, in order."""
        self.gate = asyncio.Event()
        """Answers wait until it is set; it is."""
        self.gate.set()
        self.fault = ""
        """What it answers instead: `status`, `garbage`, `hang up`."""
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.url = ""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[FeatureServer]:
        """Listen as long as the block lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/flights"
        try:
            yield self
        finally:
            server.close()
            await self.drop()

    async def drop(self) -> None:
        """End every connection, as a server that restarts does."""
        for writer in tuple(self.open):
            writer.close()
        for writer in tuple(self.open):
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length: ")[1].split("\r\n")[0])
        request = json.loads(await reader.readexactly(size))
        assert head.startswith("post /flights/get-online-features http/1.1\r\n")
        self.asked.append(request)
        await self.gate.wait()
        if self.fault == "hang up":
            return False
        status, body = self._answer(request)
        written = json.dumps(body).encode() if self.fault != "garbage" else b"no JSON"
        # In two pieces, as a network may bring it.
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(written)))
        await writer.drain()
        writer.write(written)
        return True

    def _answer(self, request: dict[str, Any]) -> tuple[int, Any]:
        if self.fault == "status":
            return 500, "the store failed"
        if "feature_service" in request:
            if request["feature_service"] != self.service:
                return 404, {"detail": "Feature service does not exist"}
            wanted = [(view, column) for name, view in self.views.items() for column in view.columns]
        else:
            pairs = [each.split(":") for each in request["features"]]
            wanted = [(self.views[view], column) for view, column in pairs]
        entities: dict[str, Sequence[Any]] = request["entities"]
        count = len(next(iter(entities.values())))
        results = [{"values": list(values)} for values in entities.values()]
        results += [_vector(view, column, entities, count) for view, column in wanted]
        names = [*entities, *(column for _, column in wanted)]
        return 200, {"metadata": {"feature_names": names}, "results": results}


def _vector(view: View, column: str, entities: Mapping[str, Sequence[Any]], count: int) -> dict[str, list[Any]]:
    found = [view.rows.get(tuple(entities[key][place] for key in view.keys)) for place in range(count)]
    return {
        "values": [row and row[1].get(column) for row in found],
        "statuses": ["PRESENT" if row else "NOT_FOUND" for row in found],
        "event_timestamps": [(row[0] if row else NEVER).strftime("%Y-%m-%dT%H:%M:%SZ") for row in found],
    }
