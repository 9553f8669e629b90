"""`scripts/e2e-aws`: a platform's whole life in a real account, a step at a time: made, used, and ended without a rest.

Every step that is done is written down, so that the same command goes on where it stopped. Nothing begins that could
cost more than `--cap` within the hours of `--hours`. When those are over, the step that is running is ended, what is
left of the use is given up, and the platform is taken down.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

HOURS_A_MONTH = 730
GRACE_SECONDS = 900
"""How long a step that is asked to end may take: the engine finishes what it has begun."""
USE, END = ("doctor", "up", "train", "deploy", "predict"), ("down", "leftovers")
PROJECT = "flights"
NEEDS_AWS = ("doctor", "train", "deploy", "predict")
"""Steps that need a real account's quotas, or services on a real cluster, which nothing emulates."""


class StoppedError(Exception):
    """The rehearsal cannot go on; its text says what to do."""


@dataclass
class Record:
    """What is done, and since when money is spent."""

    stack: str
    begun: float = field(default_factory=time.time)
    """Seconds since 1970, of the first step."""
    done: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A command of a step, and the folder that it runs in."""

    argv: tuple[str, ...]
    folder: Path
    idle: bool = False
    """Whether it prints, as JSON, what it would change, and that has to be nothing."""


Run = Callable[[Command, float], int]
"""Runs a command for at most so many seconds; returns its exit code."""
Say = Callable[[str], None]


@dataclass
class Rehearsal:
    """One stack's life."""

    stack: str
    folder: Path
    """Where what is done is written down, and the project is made."""
    repository: Path
    hours: float
    cap: float
    run: Run
    say: Say
    emulated: bool = False
    now: Callable[[], float] = time.time

    def play(self, monthly_usd: float) -> int:
        """Do every step that is not done; return the exit code. Raises `StoppedError`."""
        record = self.record()
        if not record.done:
            self.refuse_dear(monthly_usd)
        for step in USE:
            if step in record.done or (self.emulated and step in NEEDS_AWS):
                continue
            if not self._do(step, record):
                break
        else:
            return self.end(record)
        if self.left(record) > 0:
            hourly = monthly_usd / HOURS_A_MONTH
            self.say(f"it stands, and costs up to {hourly:.2f} USD an hour: the same command goes on, `--end` ends it")
            return 1
        self.say(f"the {self.hours:g} hours are over: it is taken down")
        self.end(record)
        return 1

    def end(self, record: Record) -> int:
        """Take the platform down and look for what is left; return the exit code."""
        for step in END:
            if step not in record.done and not self._do(step, record, bounded=False):
                return 1
        self._file.unlink(missing_ok=True)
        self.say("done: nothing of it is left")
        return 0

    def refuse_dear(self, monthly_usd: float) -> None:
        """Raise `StoppedError` where everything at full use, for all the hours, costs more than the cap."""
        most = monthly_usd / HOURS_A_MONTH * self.hours
        if most > self.cap:
            raise StoppedError(
                f"{self.stack} can cost {most:.2f} USD in {self.hours:g} hours, and the cap is {self.cap:g}: raise it"
                " with `--cap`, take fewer `--hours`, or smaller pools in the stack file"
            )
        self.say(f"at most {most:.2f} USD in {self.hours:g} hours at full use; the cap is {self.cap:g}")

    def record(self) -> Record:
        """Return what is done. Raises `StoppedError` for another stack's."""
        if not self._file.exists():
            return Record(self.stack, self.now())
        found = Record(**json.loads(self._file.read_text()))
        if found.stack != self.stack:
            raise StoppedError(f"the stack `{found.stack}` is not at its end: go on with it, or end it, first")
        return found

    def left(self, record: Record) -> float:
        """Return the seconds that are left of the hours."""
        return record.begun + self.hours * 3600 - self.now()

    def commands(self, step: str) -> Iterator[Command]:
        """Yield what a step types."""
        here, project, stack = self.repository, self.folder / PROJECT, ("-s", self.stack)
        match step:
            case "doctor" | "predict":
                argv = (step, *stack) if step == "doctor" else (step, *stack, "--example")
                yield Command(("mlplat", *argv), here if step == "doctor" else project)
            case "up":
                yield Command(("mlplat", "up", *stack, "--yes"), here)
                # What is up needs nothing: a second `up` that would change something is a fault.
                yield Command(("mlplat", "up", *stack, "--preview", "--json"), here, idle=True)
            case "train":
                if not project.exists():
                    yield Command(("mlplat", "new", PROJECT, "--defaults"), self.folder)
                yield Command(("mlplat", "run", *stack, "--prepare"), project)
                yield Command(("mlplat", "run", "train", *stack, "--until", "2013-05-02"), project)
            case "deploy":
                yield Command(("mlplat", "deploy", *stack, "--strategy", "direct"), project)
            case "down":
                yield Command(("mlplat", "down", *stack, "--delete-data", "--yes", *self._named()), here)
            case "leftovers":
                yield Command(("mlplat", "aws", "leftovers", *stack, "--data"), here)

    def _named(self) -> Sequence[str]:
        from mlplat.spec.platform import read_stack

        return "--confirm", read_stack(self.stack, self.repository)[0].name

    def _do(self, step: str, record: Record, *, bounded: bool = True) -> bool:
        self.say(f"{step}:")
        for command in self.commands(step):
            self.say(f"  $ {' '.join(command.argv)}")
            seconds = self.left(record) if bounded else float("inf")
            if seconds <= 0 or (code := self.run(command, seconds)) != 0:
                self.say(f"{step}: " + ("out of time" if self.left(record) <= 0 and bounded else f"ended with {code}"))
                self._keep(record)
                return False
        record.done.append(step)
        self._keep(record)
        return True

    def _keep(self, record: Record) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(asdict(record)))

    @property
    def _file(self) -> Path:
        return self.folder / "done.json"


def runner(env: Mapping[str, str]) -> Run:
    """Return what runs commands with some variables, each in a group of its own, so that all of it can be ended."""

    def run(command: Command, seconds: float) -> int:
        out = subprocess.PIPE if command.idle else None
        child = subprocess.Popen(command.argv, cwd=command.folder, env=dict(env), start_new_session=True, stdout=out)
        try:
            told, _ = child.communicate(timeout=None if seconds == float("inf") else seconds)
            return child.returncode or (1 if command.idle and json.loads(told)["changes"] else 0)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(child.pid, signal.SIGINT)
            return child.wait(GRACE_SECONDS) or 1

    return run


def monthly_usd(stack: str, repository: Path, env: Mapping[str, str]) -> float:
    """Return what a stack costs a month at full use. Raises `StoppedError` where that is not known."""
    argv = ["mlplat", "cost", "-s", stack, "--json"]
    told = subprocess.run(argv, cwd=repository, env=dict(env), capture_output=True, text=True, check=False)
    if not told.stdout:
        raise StoppedError(told.stderr.strip())
    found = json.loads(told.stdout)
    if found["unknown"]:
        raise StoppedError(f"nobody knows what {', '.join(found['unknown'])} costs: write it under `cost.prices`")
    return float(found["full"])


@contextmanager
def emulated() -> Iterator[tuple[Path, dict[str, str]]]:
    """Give a repository with the stack `dev`, and the variables of an account that only moto has; both go again."""
    from awsengine import Platform, emulation

    with tempfile.TemporaryDirectory(prefix="mlplat-e2e-") as folder, emulation() as running:
        made = Platform(Path(folder), running)
        yield made.repository.folder, made.mlplat.env


def main(argv: Sequence[str] | None = None) -> int:
    """Take a stack through its life; return the exit code."""
    from commands import ROOT

    parser = argparse.ArgumentParser(prog="scripts/e2e-aws", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("-s", "--stack", default="dev", help="stack of this repository (default: dev)")
    parser.add_argument("--cap", type=float, default=25, metavar="USD", help="most it may cost (default: 25)")
    parser.add_argument("--hours", type=float, default=4, help="time for all of the use (default: 4)")
    parser.add_argument("--end", action="store_true", help="take it down now")
    parser.add_argument("--emulated", action="store_true", help="in an account that is moto's, as far as that goes")
    asked = parser.parse_args(argv)
    folder = Path(os.environ.get("MLPLAT_E2E_DIR", ROOT / ".e2e-aws"))
    try:
        if not asked.emulated:
            return _play(asked, folder, ROOT, {**os.environ, "MLPLAT_STACK": asked.stack})
        with emulated() as (repository, env):
            say(f"emulated: no quota and no cluster answers, so {', '.join(NEEDS_AWS)} are left out")
            return _play(asked, repository / "e2e", repository, env)
    except StoppedError as error:
        say(f"error: {error}")
        return 1


def _play(asked: argparse.Namespace, folder: Path, repository: Path, env: dict[str, str]) -> int:
    env = {**env, "PATH": os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])}
    rehearsal = Rehearsal(
        asked.stack, folder, repository, asked.hours, asked.cap, runner(env), say, emulated=asked.emulated
    )
    if asked.end:
        return rehearsal.end(rehearsal.record())
    return rehearsal.play(monthly_usd(asked.stack, repository, env))


def say(text: str) -> None:
    """Tell people how it goes."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
