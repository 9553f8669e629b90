"""Calls that may take long, made beside the controller's one loop, so that no rollout waits for somebody else's server.

An errand is asked for by its key on pass after pass, until it brings its result or its error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Key = tuple[str, ...]
Start = Callable[[Callable[[], None]], None]
"""Has a call made, now or on a thread."""


def on_thread(call: Callable[[], None]) -> None:
    """Make a call on a thread of its own, which does not keep the process from ending."""
    threading.Thread(target=call, name="errand", daemon=True).start()


@dataclass
class _Errand(Generic[T]):
    call: Callable[[], T]
    result: T | None = None
    error: BaseException | None = None
    is_done: bool = False

    def run(self) -> None:
        try:
            self.result = self.call()
        except BaseException as error:  # noqa: BLE001 - raised where it is asked for
            self.error = error
        self.is_done = True


class Errands:
    """What is under way. Used from one thread."""

    def __init__(self, start: Start = on_thread) -> None:
        self._start = start
        self._errands: dict[Key, _Errand[object]] = {}
        self._left: list[_Errand[object]] = []

    def ask(self, key: Key, call: Callable[[], T]) -> T | None:
        """Return what `call` returned, once, or None while it is under way. Raises what it raised, once.

        The first time, and after it was answered, the call is made anew.
        """
        errand = self._errands.get(key)
        if errand is None:
            errand = self._errands[key] = _Errand(call)
            self._start(errand.run)
        if not errand.is_done:
            return None
        del self._errands[key]
        if errand.error is not None:
            raise errand.error
        return errand.result  # type: ignore[return-value]  # of the call under this key

    def forget(self, first: str) -> None:
        """Drop the errands whose key begins with `first`; those that are under way end unheard."""
        for key in [key for key in self._errands if key[0] == first]:
            self._left.append(self._errands.pop(key))

    @property
    def idle(self) -> bool:
        """Tell whether nothing is under way, forgotten errands included."""
        self._left = [errand for errand in self._left if not errand.is_done]
        return not self._left and not self._errands
