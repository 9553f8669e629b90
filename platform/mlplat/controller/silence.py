"""Telling a revision that hangs from one that starts, by when its process last answered."""

from __future__ import annotations

from dataclasses import dataclass

from mlplat.controller.actuator import Condition

HANG_SECONDS = 5.0
"""Without an answer, of a process that has answered before. A busy one answers its health check within milliseconds,
and one whose computer was suspended before it is looked at three times."""
HANG_LOOKS = 3
FIRST_SECONDS = 90.0
"""For a process that was never heard of: it loads its model."""

Key = tuple[str, str]
"""Endpoint and revision."""


@dataclass
class _Heard:
    pid: int
    since: float
    """When it last answered, or was first seen."""
    answered: bool = False
    looks: int = 0
    """In vain, one after the other."""


class Silence:
    """What was heard of each process; another controller takes an old process for one that it has heard of."""

    def __init__(self) -> None:
        self._heard: dict[Key, _Heard] = {}

    def lasts(self, key: Key, condition: Condition, now: float) -> float | None:
        """Take note of a look at `now` seconds; return for how long a process that hangs was silent, or else None."""
        if not condition.pid or condition.state == "dead":
            self._heard.pop(key, None)
            return None
        heard = self._heard.get(key)
        if heard is None or heard.pid != condition.pid:
            heard = self._heard[key] = _Heard(condition.pid, now, answered=condition.age > FIRST_SECONDS)
        if not condition.silent:
            heard.since, heard.answered, heard.looks = now, heard.answered or condition.state == "ready", 0
            return None
        heard.looks += 1
        lasted = now - heard.since
        hangs = heard.looks >= HANG_LOOKS and lasted >= (HANG_SECONDS if heard.answered else FIRST_SECONDS)
        return lasted if hangs else None

    def is_suspected(self, key: Key) -> bool:
        """Tell whether a process that has answered before did not answer the last look."""
        heard = self._heard.get(key)
        return heard is not None and heard.answered and heard.looks > 0
