# ruff: noqa: INP001 - a script, of no package
"""Make every change of one module, and ask its tests about each: what `scripts/mutate.py` runs in its copy.

Tests are imported and collected once. Each change is then tried in a process that is forked off, so that it costs what
the tests cost until one fails, the quick ones first. What limits it is processor time: on a busy computer no change
looks noticed because it was late.

    python mutants.py MODULE TEST …     in the copy, with mutmut on PYTHONPATH; writes `outcomes.json`
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

OUTCOMES = "outcomes.json"
AT_ONCE = os.cpu_count() or 1
TIMES, MORE = 10, 20
"""A change may take so many times the tests' own processor time, and so many seconds more: then it runs for ever."""
ASLEEP = 900
"""Seconds after which one has ended that takes no processor time either."""
FAILED = 1


def main(module: str, tests: list[str]) -> int:
    """Try every change of a module; return pytest's exit code."""
    made = changes(module)
    told = Path(OUTCOMES).absolute()
    # The copy that mutmut has made holds every change; a variable says which of them is the code.
    os.chdir("mutants")
    sys.path.insert(0, str(Path("src").absolute()))
    asked = Asked(made, told)
    # What a change's tests say is said to nobody: without `-s` pytest keeps a way out of its own.
    code = int(pytest.main(["-qq", "-s", "-p", "no:cacheprovider", "-p", "atonce", *tests], plugins=[asked]))
    return code or asked.code


def changes(module: str) -> dict[str, str]:
    """Write the copy that holds every change, and return how each one differs, by its name."""
    from mutmut import __main__ as mutmut
    from mutmut.mutation import diff_apply, mutators

    # Texts are for people, and keys of a report are held by the tests of whoever reads it.
    mutators.mutation_operators[:] = [
        each for each in mutators.mutation_operators if each[1] != mutators.operator_string
    ]
    mutmut.set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir()
    with contextlib.redirect_stdout(None):
        mutmut.copy_src_dir()
        mutmut.copy_also_copy_files()
        mutmut.setup_source_paths()
        mutmut.create_mutants(1)
    source = Path("src", "mlplat", f"{module}.py")
    names = json.loads(Path("mutants", f"{source}.meta").read_text())["exit_code_by_key"]
    mutmut.set_mutant_under_test("")
    return {name: diff_apply.get_diff_for_mutant(name, path=source) for name in names}


class Asked:
    """A plugin: instead of running tests, it runs them once for each change."""

    def __init__(self, made: Mapping[str, str], told: Path) -> None:
        self.made, self.told, self.code = made, told, 0
        self.spent: dict[str, float] = {}
        """Processor time of each test, in seconds."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the code as it is, then every change of it."""
        whole, code = self._as_it_is(session)
        if code:
            self.code = code
            return True
        session.items.sort(key=lambda item: self.spent.get(item.nodeid, 0.0))
        limit = int(whole * TIMES + MORE)
        outcomes = dict(self._tried(session, limit))
        told = [{"name": name, "code": outcomes[name], "diff": diff} for name, diff in self.made.items()]
        self.told.write_text(json.dumps(told))
        return True

    def _as_it_is(self, session: pytest.Session) -> tuple[float, int]:
        """Return how long all tests take, in seconds of processor time, and 1 where one of them fails."""
        reading, writing = os.pipe()
        if not (child := os.fork()):
            os.close(reading)
            code = self._run(session)
            os.write(writing, json.dumps([self.spent, time.process_time()]).encode())
            os._exit(code)
        os.close(writing)
        with os.fdopen(reading) as told:
            self.spent, whole = json.load(told)
        return whole, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _tried(self, session: pytest.Session, limit: int) -> Iterator[tuple[str, int]]:
        """Yield how the tests of each change ended: 1 where one failed, 0 where none did, less than 0 for a signal."""
        running: dict[int, str] = {}
        for name in self.made:
            if len(running) == AT_ONCE:
                yield self._ended(running)
            running[self._begun(session, name, limit)] = name
        while running:
            yield self._ended(running)

    def _begun(self, session: pytest.Session, name: str, limit: int) -> int:
        if child := os.fork():
            return child
        code = FAILED
        try:
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            signal.alarm(ASLEEP)
            from mutmut import __main__ as mutmut

            mutmut.set_mutant_under_test(name)
            code = self._run(session)
        finally:
            # Whatever is registered for the end of a process is the first one's.
            os._exit(code)

    def _ended(self, running: dict[int, str]) -> tuple[str, int]:
        child, status = os.wait()
        return running.pop(child), os.waitstatus_to_exitcode(status)

    def _run(self, session: pytest.Session) -> int:
        """Run the tests until one fails, and return 1 then, otherwise 0."""
        for item, following in zip(session.items, [*session.items[1:], None], strict=True):
            begun = time.process_time()
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self.spent[item.nodeid] = time.process_time() - begun
            if session.testsfailed:
                return FAILED
        return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
