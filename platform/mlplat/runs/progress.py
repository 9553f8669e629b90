"""From Metaflow's output to what a person wants to see: each step once, with how long it took.

The lines it reads are Metaflow 2.19's: `<date> <time> [<run>/<step>/<task> (pid <n>)] <text>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

_LINE = re.compile(r"(\S+ \S+) \[\d+/(?P<step>[^/]+)/(?P<task>\d+)[^\]]*\] ?(?P<text>.*)")
_HEAD = re.compile(r"\[\d+/(?P<step>[^/\]]+)/\d+[^\]]*\]")
_CLONED = "Cloning previously run task"
_TASK = re.compile(r"\S+ \S+ \[\d+/[^\]]+\] ?|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ ?")
_FRAME = re.compile(r'File "(?P<path>[^"]+)", line \d+')


@dataclass
class Steps:
    """Follows a run line by line."""

    started: Callable[[str], None]
    """Called with a step's name when its first task starts."""
    ended: Callable[[str], None]
    """Called with one line when a step is over."""
    failed: str | None = None
    """Step whose task failed."""
    _open: dict[str, _Step] = field(default_factory=dict)

    def read(self, line: str) -> None:
        """Take one line of output, whatever it is."""
        if _CLONED in line:
            self._reuse(line)
            return
        if not (match := _LINE.match(line)):
            return
        step, text, when = match["step"], match["text"], datetime.fromisoformat(match[1])
        if text.startswith("Task is starting"):
            self._start(step, when)
        elif text.startswith("Task finished successfully"):
            self._open.setdefault(step, _Step(when)).finish(when)
        elif text.startswith("Task failed"):
            self.failed = step

    def close(self) -> None:
        """Tell of the steps that are still open: the run is over."""
        for name in list(self._open):
            self._tell(name)

    def _reuse(self, line: str) -> None:
        # Metaflow takes tasks over on threads and writes time, task and text apart, so that two lines may mix.
        for head in _HEAD.finditer(line):
            self._open.setdefault(head["step"], _Step(reused=True))

    def _start(self, step: str, when: datetime) -> None:
        for name in [name for name, each in self._open.items() if name != step and each.is_done]:
            self._tell(name)
        if step not in self._open:
            self._open[step] = _Step(when)
            self.started(step)
        self._open[step].tasks += 1

    def _tell(self, name: str) -> None:
        self.ended(f"{name:<12} {self._open.pop(name).line(failed=name == self.failed)}")


@dataclass
class _Step:
    began: datetime | None = None
    reused: bool = False
    tasks: int = 0
    finished: int = 0
    last: datetime | None = None

    @property
    def is_done(self) -> bool:
        return self.reused or self.finished >= self.tasks

    def finish(self, when: datetime) -> None:
        self.finished, self.last = self.finished + 1, when

    def line(self, *, failed: bool) -> str:
        if self.reused:
            return "reused"
        if failed or not (self.began and self.last):
            return "failed" if failed else "not finished"
        many = f"  ({self.tasks} tasks)" if self.tasks > 1 else ""
        # Metaflow's times are the computer's clock's, which may have been set back meanwhile.
        return f"{max(0.0, (self.last - self.began).total_seconds()):.1f} s{many}"


def plain(line: str) -> str:
    """Return a line of output without Metaflow's time and task."""
    return _TASK.sub("", line, count=1).rstrip()


def tail(lines: Iterable[str], count: int = 15) -> list[str]:
    """Return the last lines of what a failed step itself said: without Metaflow's frames and its closing words."""
    said = [(match["step"], match["text"].rstrip()) for line in lines if (match := _LINE.match(line))]
    step = next((name for name, text in reversed(said) if text == "Task failed."), None)
    texts = [
        text for name, text in said if step in (None, name) and text not in ("", "Task failed.", "Task is starting.")
    ]
    frames = [index for index, text in enumerate(texts) if (at := _FRAME.match(text)) and "/metaflow/" in at["path"]]
    if frames:
        own = (index for index in range(frames[-1] + 1, len(texts)) if _FRAME.match(texts[index]))
        texts = texts[next(own, frames[-1] + 1) :]
    return texts[-count:] or [plain(line) for line in lines][-count:]
