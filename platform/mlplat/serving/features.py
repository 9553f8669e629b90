"""Looking features up at the platform's feature server, for all requests that wait at the time.

Keys that wait while a request is under way go together in the next one, each key once: a server of features takes 2 ms
for one key and 4 ms for ten, and callers mostly ask for the same few (airports, shops). Nothing ever waits for company.

Values that are too old, by the platform's clock, count as unknown: Feast hands out what it has (its `ttl` is for
training alone). A server that is away makes requests fail, never guess: nulls that mean "nobody looked" would be
answered like nulls that mean "there is none". While it is away, requests are told so at once, and one a second tries.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import httptools
import orjson

from mlplat.bundle import Contract, LookUp
from mlplat.clock import Clock, moment
from mlplat.errors import MlplatError
from mlplat.serving.caller import Answer, Caller
from mlplat.serving.columns import checked, cut
from mlplat.serving.gaps import Found, Gap, Groups, Key, Sight, key_names
from mlplat.serving.metrics import LookUpMetrics

PATH = "/get-online-features"
PARALLEL = 4
"""Requests under way at a time; one process of Feast's answers fewer of eight than of one (309 and 383 a second)."""
MOST_KEYS = 100
"""Keys of one request: Feast takes 20 ms for them, a fifth of what it is given by default."""
FAILURES = 5
"""Requests in a row, unanswered, after which the server counts as away."""
AWAY_SECONDS = 1.0
"""For which nobody asks it then."""
EARLY = timedelta(minutes=5)
"""By which a value may lie in the future, since clocks differ; one that is further off is from another time."""
OK: Final = 200
_THERE = {"PRESENT", "NULL_VALUE"}


class LookUpError(MlplatError):
    """Features cannot be looked up now."""

    status = 503

    headers = b"retry-after: %d\r\n" % math.ceil(AWAY_SECONDS)

    def __init__(self, message: str, reason: str) -> None:
        self.reason = reason
        """`slow`, `away`, `answer` for one that makes no sense, or `busy`."""
        super().__init__(message)


NOWHERE = "features cannot be looked up: this server was told of no feature server; send their columns with the rows"


class Circuit:
    """Whether a server is asked: after failures in a row it is left alone for a while, and then tried once."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures = 0
        self._until = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Tell whether the server counts as away."""
        return self._failures >= FAILURES

    def admits(self) -> bool:
        """Tell whether to ask; of a server that is away, at most one may until it is known what came of it."""
        if not self.is_open:
            return True
        if self._trying or self._now() < self._until:
            return False
        self._trying = True
        return True

    def answered(self) -> None:
        """Note an answer, whatever it says."""
        self._failures, self._trying = 0, False

    def failed(self) -> None:
        """Note that there was none."""
        self._failures, self._trying = self._failures + 1, False
        self._until = self._now() + AWAY_SECONDS


class _Batch:
    """Keys that are asked for together, and what comes of it."""

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self.keys: dict[Key, None] = {}
        self.outcome: asyncio.Future[Found | LookUpError] = asyncio.get_running_loop().create_future()

    def end(self, outcome: Found | LookUpError) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Features:
    """The look-ups of one model; only on the loop's thread."""

    def __init__(
        self,
        url: str,
        contract: Contract,
        metrics: LookUpMetrics,
        *,
        clock: Clock,
        timeout: float = 0.1,
        wait_seconds: float = 1.0,
    ) -> None:
        self._caller, self._url = Caller(url), url
        self._contract, self._clock = contract, clock
        self.metrics = metrics
        self._timeout, self._wait = timeout, wait_seconds
        self._columns = {column.name: column for column in contract.columns}
        self._circuit = Circuit()
        self._waiting: deque[_Batch] = deque()
        self._joinable: dict[tuple[str, ...], _Batch] = {}
        """Of those that wait, the newest of each set of groups."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def fill(self, gaps: Sequence[Gap], deadline: float | None) -> None:
        """Set what was found in each gap, by `deadline` (`time.monotonic()`) if there is one. Raises `LookUpError`."""
        begun = time.monotonic()
        try:
            if not self._circuit.admits():
                raise self._away()
            parts = [(gap, self._join(gap)) for gap in gaps]
            batches = {batch for _, part in parts for batch in part}
            patience = self._wait + self._timeout * len(batches)
            if deadline is not None:
                patience = min(patience, deadline - begun)
            await asyncio.wait([batch.outcome for batch in batches], timeout=patience)
            for gap, part in parts:
                gap.found = {key: sights for batch in part for key, sights in _outcome(batch).items()}
        except LookUpError as error:
            self.metrics.failures.labels(error.reason).inc()
            raise
        finally:
            self.metrics.seconds.observe(time.monotonic() - begun)

    def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        self._caller.close()

    def _join(self, gap: Gap) -> list[_Batch]:
        """Have a gap's keys asked for, with others' where those still wait."""
        name = tuple(each.group for each in gap.groups)
        used: list[_Batch] = []
        for key in dict.fromkeys(gap.keys):
            batch = self._joinable.get(name)
            if batch is None or (len(batch.keys) >= MOST_KEYS and key not in batch.keys):
                batch = self._joinable[name] = _Batch(gap.groups)
                self._waiting.append(batch)
            batch.keys[key] = None
            if batch not in used[-1:]:
                used.append(batch)
        self._send()
        return used

    def _send(self) -> None:
        while self._waiting and len(self._tasks) < PARALLEL:
            batch = self._next()
            task = asyncio.create_task(self._answer(batch))
            self._tasks.add(task)
            task.add_done_callback(self._sent)

    def _next(self) -> _Batch:
        batch = self._waiting.popleft()
        self._joinable = {name: each for name, each in self._joinable.items() if each is not batch}
        return batch

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._send()

    async def _answer(self, batch: _Batch) -> None:
        try:
            answer = await asyncio.wait_for(self._caller.post(PATH, self._asked(batch)), self._timeout)
            self._circuit.answered()
            batch.end(self._read(batch, answer))
        except LookUpError as error:
            batch.end(error)
        except (OSError, httptools.HttpParserError) as error:
            self._circuit.failed()
            batch.end(self._away("slow" if isinstance(error, TimeoutError) else "away"))
            while self._circuit.is_open and self._waiting:
                self._next().end(self._away())
        finally:
            batch.end(self._away())  # whatever ended it, nobody waits for it any longer

    def _away(self, reason: str = "away") -> LookUpError:
        within = f"within {self._timeout * 1000:.0f} ms"
        return LookUpError(f"features cannot be looked up: {self._url} does not answer {within}", reason)

    def _asked(self, batch: _Batch) -> bytes:
        names = key_names(batch.groups)
        values = zip(*batch.keys, strict=True)
        entities = {name: list(column) for name, column in zip(names, values, strict=True)}
        if batch.groups == self._contract.lookups:
            return orjson.dumps({"feature_service": self._contract.features, "entities": entities})
        features = [f"{each.group}:{name}" for each in batch.groups for name in each.columns]
        return orjson.dumps({"features": features, "entities": entities})

    def _read(self, batch: _Batch, answer: Answer) -> Found:
        """Read what Feast says of the keys of a request, which is in their order. Raises `LookUpError`."""
        if answer.status != OK:
            said = cut(answer.body.decode(errors="replace"))
            raise LookUpError(f"features cannot be looked up: the server answers {answer.status}: {said}", "answer")
        try:
            document = orjson.loads(answer.body)
            places = {name: place for place, name in enumerate(document["metadata"]["feature_names"])}
            groups = [
                self._sights(each, [document["results"][places[name]] for name in each.columns], len(batch.keys))
                for each in batch.groups
            ]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise LookUpError(
                f"features cannot be looked up: the answer is not as it should be: {why}", "answer"
            ) from error
        return dict(zip(batch.keys, zip(*groups, strict=True), strict=True))

    def _sights(self, group: LookUp, vectors: Sequence[Any], count: int) -> list[Sight]:
        """Judge what is known of each key in one group: its columns count together, as they were learned from."""
        now = self._clock.now()
        ages: dict[str, float] = {}
        found: list[Sight] = []
        for place in range(count):
            for text in (stamps := [vector["event_timestamps"][place] for vector in vectors]):
                if text not in ages:
                    ages[text] = (now - moment(text)).total_seconds()
            if not _THERE.issuperset(vector["statuses"][place] for vector in vectors):
                found.append(Sight("absent", ()))
            elif any(not -EARLY.total_seconds() <= ages[text] <= group.ttl_seconds for text in stamps):
                found.append(Sight("stale", ()))
            else:
                values = (vector["values"][place] for vector in vectors)
                found.append(Sight("found", tuple(map(self._value, group.columns, values))))
        return found

    def _value(self, name: str, value: Any) -> Any:
        column = self._columns[name]
        # Feast writes what is no number so, and a table that it was filled from has it for null.
        if value is None or (value == "NaN" and column.type == "double"):
            return None
        return checked(column, value)


def _outcome(batch: _Batch) -> Found:
    if not batch.outcome.done():
        raise LookUpError("features cannot be looked up in the time that there is: the server is busy", "busy")
    outcome = batch.outcome.result()
    if isinstance(outcome, LookUpError):
        raise outcome
    return outcome
