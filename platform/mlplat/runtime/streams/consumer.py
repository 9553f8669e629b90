"""Reading a stream on from where it was left, whenever the reader was killed.

What was read and how far are written down in one file, in one step: so a record may be read twice, after a crash in
between, and counts once all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlplat.errors import StateError
from mlplat.files import write_atomic, writing
from mlplat.locking import lock
from mlplat.runtime.streams.memory import Memory
from mlplat.runtime.streams.port import Stream

BATCH = 5000
Deliver = Callable[[Memory], None]


class Consumer:
    """One reader of one stream."""

    def __init__(self, stream: Stream, memory: Memory, place: Path) -> None:
        self._stream = stream
        self._place = place
        self._positions: dict[str, str] = {}
        self.memory = memory

    def poll(self, deliver: Deliver | None = None) -> bool:
        """Take in the next records; tell whether there are more.

        `deliver` is given the memory before the positions are written down, so at least once. Raises `StateError`.
        """
        batch = self._stream.read(self._positions, BATCH)
        if batch.records or batch.lost or batch.positions != self._positions:
            self.memory.counts["lost"] += batch.lost
            if self.memory.take(batch.records) and deliver:
                deliver(self.memory)
            self._positions = dict(batch.positions)
            self._save()
        return batch.more

    def drain(self, deliver: Deliver | None = None) -> None:
        """Take in all there is."""
        while self.poll(deliver):
            pass

    def _save(self) -> None:
        document = {"version": 1, "positions": self._positions, "memory": self.memory.described()}
        with writing(self._place.parent):
            write_atomic(self._place, json.dumps(document, separators=(",", ":")), mode=0o600)

    def _restore(self) -> None:
        try:
            document = json.loads(self._place.read_bytes())
            self.memory.restore(document["memory"])
            self._positions = {str(shard): str(position) for shard, position in document["positions"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            hint = f"remove {self._place} to read the stream from its oldest event again"
            raise StateError(f"{self._place}: cannot be read: {error}", hint=hint) from error


@contextmanager
def consuming(stream: Stream, memory: Memory, place: Path) -> Iterator[Consumer]:
    """Be the one reader whose progress is kept at `place`. Raises `StateError` where another is, or it is broken."""
    with writing(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
    with lock(place.with_suffix(".lock"), "a reader of the stream", timeout=0):
        consumer = Consumer(stream, memory, place)
        consumer._restore()  # noqa: SLF001 - under the lock only
        yield consumer
