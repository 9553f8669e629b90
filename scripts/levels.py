# ruff: noqa: INP001, T201 - a script, of no package, that talks to a person
"""Run every level of checks, several at once; what each says is shown whole when it ends.

Levels of one lane run one after the other; two lanes run side by side, since much of what a level does is to wait. The
first has the processor before the other: it judges real latencies. More of them end no sooner on two cores, and starve
each other. What `MLPLAT_REQUIRE` names is built before the levels that need it. No level that fails stops another;
Ctrl-C ends all.

    python scripts/levels.py [LEVEL …]     only those
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOGS = ROOT / ".cache" / "levels"
LANES = (
    (0, ("e2e", "node")),
    (5, ("lint", "types", "imports", "docs-check", "required", "cluster", "engine", "unit")),
)
"""By how much a lane steps back (`nice`), and its levels."""
AWAY_SECONDS = 120.0
"""How long what was interrupted may take to end what it has started: a platform's services, a node's pods."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A session has a share of the processor of its own on most Linux computers, which `nice` alone does not lower.
STEP_BACK = '{ [ "$1" = 0 ] || echo "$1" >/proc/self/autogroup; } 2>/dev/null; exec nice -n "$@"'


@dataclass
class Run:
    """One level that was begun."""

    level: str
    process: subprocess.Popen[bytes]
    begun: float
    seconds: float = 0.0
    processor: float = 0.0
    """Seconds of processor time of all that it waited for."""
    code: int | None = None

    def ended(self) -> bool:
        """Tell whether it has ended; what is known of it then is kept."""
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid:
            self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
            self.seconds, self.processor = time.monotonic() - self.begun, usage.ru_utime + usage.ru_stime
        return bool(pid)


def begin(level: str, back: int) -> Run:
    """Start a level in a session of its own, its output into a file."""
    print(f"{level}: begins (.cache/levels/{level}.log)", flush=True)
    # Of a `make` that runs this: its flags are about its own jobs.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    with (LOGS / f"{level}.log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", STEP_BACK, "sh", str(back), "make", level],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Run(level, process, time.monotonic())


def show(run: Run) -> None:
    """Print all that a level has said."""
    said = (LOGS / f"{run.level}.log").read_text(errors="replace").strip()
    print(f"\n== {run.level}\n{said}\n{run.level}: {verdict(run)}", flush=True)


def verdict(run: Run) -> str:
    """Say how a level ended, and what it took."""
    return f"{'FAILED' if run.code else 'passed'}, {run.seconds:.0f} s, {run.processor:.0f} s of processor time"


def stop(running: list[Run]) -> None:
    """End what runs, all that it has started included: asked first, and killed where it does not."""
    for run in running:
        with suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGINT)
    deadline = time.monotonic() + AWAY_SECONDS
    while running and time.monotonic() < deadline:
        running = [run for run in running if not run.ended()]
        time.sleep(0.1)
    for run in running:
        os.killpg(run.process.pid, signal.SIGKILL)


def play(lanes: list[tuple[int, list[str]]], signals: list[int]) -> list[Run]:
    """Run the lanes to their ends, or until there is a signal; return what has ended by itself."""
    running: dict[int, Run] = {}
    done: list[Run] = []
    while (running or any(levels for _, levels in lanes)) and not signals:
        for number, (back, levels) in enumerate(lanes):
            if number not in running and levels:
                running[number] = begin(levels.pop(0), back)
        time.sleep(0.2)
        for number, run in list(running.items()):
            if run.ended():
                done.append(running.pop(number))
                show(run)
    stop(list(running.values()))
    return done


def main(asked: list[str]) -> int:
    """Run all levels, or those that were asked for; 1 when one of them failed."""
    known = [level for _, levels in LANES for level in levels]
    if unknown := sorted({*asked} - {*known}):
        print(f"error: no level is called {', '.join(unknown)}\nhint: there are {', '.join(known)}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    signals: list[int] = []
    for each in ENDING:
        signal.signal(each, lambda number, _: signals.append(number))
    done = play([(back, [level for level in levels if not asked or level in asked]) for back, levels in LANES], signals)
    print()
    for run in sorted(done, key=lambda run: bool(run.code)):
        print(f"{run.level:>12}  {verdict(run)}{f': .cache/levels/{run.level}.log' if run.code else ''}")
    return 128 + signals[0] if signals else int(any(run.code for run in done))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
