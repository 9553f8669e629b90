"""A preview of the whole AWS platform: the time and memory it takes, and how both grow with the number of teams.

Two ways: the program alone, captured without an engine in a process of its own, and a real `pulumi preview` with the
engine, its language host and stand-ins for the providers. What the real ones need is not in the figures.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench.models import ROOT
from bench.process import memory
from bench.results import Previewed, Results
from bench.speed import Pace, Say
from mlplat.errors import MlplatError
from mlplat.spec.base import read_text, read_yaml
from mlplat.spec.platform import KEY

if TYPE_CHECKING:
    from awsengine import Repository

SUPPORT = ROOT / "tests" / "support"
"""Where the tests keep the capture, the engine and the stand-ins."""
STACK = "prod"
TEAMS = (1, 10, 50)
LOOK_SECONDS = 0.1
COMMAND_SECONDS = 120
PROGRAM = """
import json, resource, sys
sys.path[:0] = sys.argv[1:]
import awsprogram
from mlplat.spec.platform import parse_platform
graph = awsprogram.of(parse_platform(json.load(sys.stdin), "bench"), "prod")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"resources": len(graph), "bytes": peak}))
"""


def look(folder: Path, pace: Pace, results: Results, say: Say) -> None:
    """Preview the stack `prod` with more and more teams into the results. Raises `MlplatError`."""
    if str(SUPPORT) not in sys.path:
        sys.path.insert(0, str(SUPPORT))
    from awsengine import emulation

    with emulation() as running:
        for teams in TEAMS:
            written = platform(teams)
            program = [_declared(written) for _ in range(pace.commands)]
            repository = _repository(folder / str(teams), running, written)
            seconds = [_previewed(repository)[0] for _ in range(pace.commands)]
            found = Previewed(
                teams=teams,
                resources=program[0][2],
                program_seconds=statistics.median(seconds for seconds, _, _ in program),
                program_bytes=max(size for _, size, _ in program),
                engine_seconds=statistics.median(seconds),
                # Apart from those that are timed: weighing takes a processor's time itself.
                engine_bytes=_previewed(repository, weigh=True)[1],
            )
            results.previews.append(found)
            say(
                f"{teams} team{'s' * (teams > 1)}: {found.resources} resources, declared in {found.program_seconds:.1f}"
                f" s, previewed in {found.engine_seconds:.1f} s with {found.engine_bytes / 1e6:.0f} MB"
            )


def platform(teams: int) -> dict[str, Any]:
    """Return what the stack file `prod` says, with so many teams like its own one, as the engine hands it over."""
    path = ROOT / "stacks" / f"Pulumi.{STACK}.yaml"
    written: dict[str, Any] = read_yaml(read_text(path), str(path))["config"][KEY]
    (own,) = written["teams"].values()
    return {**written, "teams": {f"team-{number}": own for number in range(teams)}}


def _declared(written: dict[str, Any]) -> tuple[float, int, int]:
    """Run the program in a process of its own; return its seconds, its peak in bytes, and its resources."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(SUPPORT)],
        input=json.dumps(written, default=str),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise MlplatError(f"the program of `{STACK}` ended with {done.returncode}:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout)
    return seconds, told["bytes"], told["resources"]


def _repository(folder: Path, running: Any, written: dict[str, Any]) -> Repository:
    from awsengine import Repository

    folder.mkdir(parents=True)
    made = Repository(folder, running, stack=STACK, account=str(written["aws"]["account"]))
    made.write({**written, "engine": {"backend": made.backend}})
    made.init()
    return made


def _previewed(repository: Repository, *, weigh: bool = False) -> tuple[float, int]:
    """Run a preview; return its seconds and, if weighed, the most bytes that all its processes had at once."""
    started = time.perf_counter()
    child = repository.pulumi.start("preview", "-s", repository.stack)
    scale = _Scale(psutil.Process(child.pid)) if weigh else None
    said, _ = child.communicate(timeout=COMMAND_SECONDS)
    seconds = time.perf_counter() - started
    if child.returncode:
        raise MlplatError(f"`pulumi preview -s {STACK}` ended with {child.returncode}:\n{said[-2000:]}")
    return seconds, scale.peak() if scale else 0


class _Scale:
    """Weighs a tree of processes again and again while it lives."""

    def __init__(self, root: psutil.Process) -> None:
        self._root, self._peak, self._ended = root, 0, threading.Event()
        self._thread = threading.Thread(target=self._weigh, daemon=True)
        self._thread.start()

    def peak(self) -> int:
        """Stop, and return the most that there was, in bytes."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _weigh(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._peak = max(self._peak, _or_none(lambda: memory(self._tree())) or 0)

    def _tree(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]


def _or_none(ask: Callable[[], int]) -> int | None:
    try:
        return ask()
    except psutil.NoSuchProcess:
        return None
