"""The one tree of errors a person can meet. Whatever is not in it is a bug in mlplat.

An error says what failed, where, and why in its message, and what to do next in its hint. The command line prints both
and leaves with `exit_code`: 1 when something could not be done, 2 when the command or a file it was given is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass


class MlplatError(Exception):
    """Something could not be done."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def told(self) -> str:
        """Return message and hint as one text, for whoever shows an error in its own way."""
        return "\n".join(filter(None, [self.message, self.hint and f"hint: {self.hint}"]))


class UsageError(MlplatError, ValueError):
    """The command, or a value given to it, is wrong."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file: where it stands, what is wrong, and what would be right."""

    path: str
    """Dotted path of the key, such as `pools.gpu.max_size`; empty for the file as a whole."""
    message: str
    hint: str | None = None
    line: int | None = None
    """Line in the file, counted from 1, where it is known."""


class SpecError(UsageError):
    """A file that a person wrote does not hold what it should; every problem is listed at once."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join(self._lines()), hint="\n".join(self._hints()) or None)

    def _lines(self) -> list[str]:
        return [": ".join(filter(None, [self._place(p), p.path, p.message])) for p in self.problems]

    def _place(self, problem: Problem) -> str:
        return f"{self.source}:{problem.line}" if problem.line else self.source

    def _hints(self) -> list[str]:
        return list(dict.fromkeys(p.hint for p in self.problems if p.hint))


class NotReadyError(MlplatError):
    """A service did not become ready, or stopped while it was waited for."""


class StateError(MlplatError):
    """The platform's state on this computer cannot be read, written or locked."""


class UnreachableError(MlplatError, OSError):
    """The platform, or one of its services, does not answer."""


class RefusedError(MlplatError):
    """A rule said no: a gate, a guard, or the controller."""
