"""What stands before the lane where a model's features are looked up: requests are read, completed and handed on.

Reading takes the interpreter as computing does, so it goes through a lane of its own, a long one in its thread. Waiting
for the feature server takes nobody: a request that waits is a task of the event loop, and no thread is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlplat.serving.call import Call
from mlplat.serving.features import NOWHERE, Features, LookUpError
from mlplat.serving.gaps import Gap
from mlplat.serving.lane import Busy, Lane
from mlplat.serving.protocol import Served


@dataclass(slots=True)
class Opening:
    """The reading of one call; a task of the lane."""

    call: Call
    served: Served
    """The model, with the rows that a request of this kind may hold."""
    forward: Callable[[Call], None]
    """Has the call computed."""
    kind: int

    def is_wanted(self) -> bool:
        """Tell whether somebody still waits for the answer."""
        return self.call.is_wanted()

    def succeeded(self) -> bool:
        """Tell whether the request could be read."""
        return self.call.opened is not None


class Completion:
    """Reads calls, and looks up what they lack; `fail` answers one that cannot be computed."""

    def __init__(
        self,
        features: Features | None,
        read: Callable[[Call, Served], None],
        fail: Callable[[Call], None],
        *,
        waiting: int,
        seconds: float,
    ) -> None:
        self._features, self._read, self._fail = features, read, fail
        self._limit = waiting
        self._lane: Lane[Opening] = Lane(self._open, self._opened, waiting=waiting, seconds=seconds)
        self._looking: set[asyncio.Task[None]] = set()

    @property
    def admitted(self) -> int:
        """Requests that are read, or wait for their features."""
        return self._lane.admitted + len(self._looking)

    def submit(self, call: Call, served: Served, forward: Callable[[Call], None]) -> None:
        """Take a call, on the loop's thread. Raises `Busy`."""
        if self.admitted >= self._limit:
            raise Busy(1)
        self._lane.submit(Opening(call, served, forward, call.kind))

    def close(self) -> None:
        """End what is under way."""
        self._lane.close()
        for task in self._looking:
            task.cancel()
        if self._features is not None:
            self._features.close()

    def _open(self, openings: Sequence[Opening]) -> None:
        for each in openings:
            self._read(each.call, each.served)

    def _opened(self, openings: Sequence[Opening]) -> None:
        for each in openings:
            opened = each.call.opened
            if opened is not None and opened.gaps and each.is_wanted():
                task = asyncio.get_running_loop().create_task(self._look_up(each, opened.gaps))
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)
            else:
                self._hand_on(each)

    async def _look_up(self, opening: Opening, gaps: Sequence[Gap]) -> None:
        try:
            await self._fill(gaps, opening.call.deadline)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            if opening.is_wanted():
                opening.call.refuse(error)
        self._hand_on(opening)

    async def _fill(self, gaps: Sequence[Gap], deadline: float | None) -> None:
        if self._features is None:
            raise LookUpError(NOWHERE, "away")
        await self._features.fill(gaps, deadline)

    def _hand_on(self, opening: Opening) -> None:
        call = opening.call
        if not call.begun and opening.is_wanted():
            try:
                opening.forward(call)
            except Exception as error:  # noqa: BLE001 - likewise
                call.refuse(error)
            else:
                return
        self._fail(call)
