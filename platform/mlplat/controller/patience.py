"""When to try again what failed: ever more rarely, until it succeeds or is no longer wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0

Key = tuple[str, ...]
"""What is tried, and of whom."""


@dataclass
class _Waiting:
    failures: int = 0
    next_try: float = 0.0
    trouble: str = ""
    told: bool = False


class Patience:
    """What has failed, and since when it is waited for."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waiting: dict[Key, _Waiting] = {}

    def due(self, key: Key) -> bool:
        """Tell whether something may be tried now."""
        waiting = self._waiting.get(key)
        return waiting is None or self._now() >= waiting.next_try

    def failed(self, key: Key, trouble: str = "") -> None:
        """Have something wait twice as long as before, and people told of its trouble meanwhile."""
        waiting = self._waiting.setdefault(key, _Waiting())
        waiting.next_try = self._now() + min(FIRST_RETRY_SECONDS * 2**waiting.failures, LAST_RETRY_SECONDS)
        waiting.failures += 1
        waiting.trouble = trouble

    def succeeded(self, key: Key) -> None:
        """Have something wait no more."""
        self._waiting.pop(key, None)

    def trouble(self, key: Key) -> str:
        """Return what people are told of something that waits, else nothing."""
        waiting = self._waiting.get(key)
        return waiting.trouble if waiting else ""

    def tells(self, key: Key) -> bool:
        """Tell whether an event is to say that what waits was tried: what keeps failing is told once."""
        waiting = self._waiting.setdefault(key, _Waiting())
        first, waiting.told = not waiting.told, True
        return first

    def forget(self, name: str) -> None:
        """Drop what is about somebody."""
        for key in [key for key in self._waiting if name in key]:
            del self._waiting[key]
