"""Real Metaflow runs of a flow with four steps."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import is_gone, until
from mlplat.contracts import Connection
from mlplat.errors import UnreachableError, UsageError
from mlplat.runs import process, start
from mlplat.runs.flow import Request
from mlplat.runs.progress import Steps, tail
from mlplat.runs.store import Run, Runs

PYTHON = Path(sys.executable)


def carry_out(project: Path, connection: Connection, request: Request) -> tuple[Run, list[str]]:
    told: list[str] = []
    steps = Steps(lambda _: None, told.append)
    run, origin = start.begin(project, connection, request)
    return start.carry_out(run, project, PYTHON, connection, request, origin=origin, steps=steps), told


def names(told: list[str]) -> list[str]:
    return [line.split()[0] for line in told]


def test_a_run_hands_its_parameters_over_and_reports_its_steps(
    tiny: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAFLOW_PROFILE", "absent")
    run, told = carry_out(tiny, connection, Request("train", "2013-04-01", 7, {"gate.margin": 0.5}))
    result = run.result() or {}
    assert run.record.status == "registered", run.log.read_text()
    assert names(told) == ["start", "fit", "judge", "end"]
    assert told[1].endswith("(2 tasks)")
    assert result["given"] == ["2013-04-01", 7, {"gate.margin": 0.5}]
    assert result["seen"] == {
        "MLFLOW_TRACKING_URI": connection.tracking,
        "MLPLAT_CLOCK": connection.clock,
        "METAFLOW_PROFILE": None,
    }
    assert run.metaflow_id
    assert "reading" in run.log.read_text()
    assert (tiny / ".metaflow/TinyFlow").is_dir()


def test_the_store_is_the_project_s_own_even_inside_another_s(tiny: Path, connection: Connection) -> None:
    (tiny.parent / ".metaflow").mkdir()
    carry_out(tiny, connection, Request("train"))
    assert list((tiny.parent / ".metaflow").iterdir()) == []


def test_a_failed_run_goes_on_from_a_step_with_its_inputs(tiny: Path, connection: Connection) -> None:
    (tiny / "broken").touch()
    failed, told = carry_out(tiny, connection, Request("train", sample=3))
    assert (failed.record.status, failed.record.exit_code) == ("failed", 1)
    assert told[-1].split() == ["judge", "failed"]
    assert tail(failed.log.read_text().splitlines())[-2:] == ["ValueError: the data is broken", "in two places"]
    (tiny / "broken").unlink()
    mended, told = carry_out(tiny, connection, Request("train", step="judge"))
    assert mended.record.status == "registered"
    # Metaflow takes them over on threads, and may say so only when the next step runs already.
    assert sum(line.split()[1] == "reused" for line in told) == 2
    assert (mended.result() or {})["given"][1] == 3


def test_nothing_is_gone_on_from_without_a_failed_run(tiny: Path, connection: Connection) -> None:
    with pytest.raises(UsageError, match="no failed run"):
        start.begin(tiny, connection, Request("train", step="judge"))
    assert Runs(tiny).all() == []


def test_a_refusal_is_told_from_a_failure(tiny: Path, connection: Connection) -> None:
    (tiny / "refuse").touch()
    assert carry_out(tiny, connection, Request("train"))[0].record.status == "refused"


def waiting(tiny: Path, act: Callable[[Run], Any]) -> threading.Thread:
    """Act on the newest run of a project once it waits in its step."""

    def wait() -> None:
        until((tiny / "waiting").exists)
        # From when its process is on record, signals are passed on; before, they would end the tests.
        until(lambda: Runs(tiny).all()[0].record.pid)
        act(Runs(tiny).all()[0])

    (tiny / "wait").touch()
    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_is_passed_on_and_the_run_is_cancelled_with_all_its_tasks(
    tiny: Path, connection: Connection, number: signal.Signals
) -> None:
    groups: list[int] = []

    def interrupt(run: Run) -> None:
        groups.append(run.record.pid or 0)
        os.kill(os.getpid(), number)

    thread = waiting(tiny, interrupt)
    run, _ = carry_out(tiny, connection, Request("train"))
    thread.join()
    assert run.record.status == "cancelled"
    until(lambda: is_gone(groups[0]))


def test_a_signal_is_passed_on_as_soon_as_the_process_is_on_record(
    tiny: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended the one that watches, and the run went on."""
    started_as = Run.started_as

    def ended_at_once(run: Run, pid: int) -> Run:
        found = started_as(run, pid)
        os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(Run, "started_as", ended_at_once)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert carry_out(tiny, connection, Request("train"))[0].record.status == "cancelled"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_run_is_cancelled_from_elsewhere(tiny: Path, connection: Connection) -> None:
    thread = waiting(tiny, process.cancel)
    run, _ = carry_out(tiny, connection, Request("train"))
    thread.join()
    assert run.record.status == "cancelled"
    assert process.cancel(run) is False


def test_a_killed_run_goes_on_behind_its_finished_steps(tiny: Path, connection: Connection) -> None:
    thread = waiting(tiny, lambda run: os.kill(run.record.pid or 0, signal.SIGKILL))
    killed, _ = carry_out(tiny, connection, Request("train", sample=3))
    thread.join()
    assert (killed.record.status, killed.record.exit_code) == ("failed", -signal.SIGKILL)
    (tiny / "wait").unlink()
    run, told = carry_out(tiny, connection, Request("train", resumes=True))
    assert run.record.status == "registered", run.log.read_text()
    assert sum(line.split()[1] == "reused" for line in told) == 2
    assert ((run.result() or {})["given"][1], run.record.arguments) == (3, ["resume", "1"])
    assert (run.record.origin, run.record.key) == (1, killed.record.key)
    with pytest.raises(UsageError, match="run 2 is registered"):
        Runs(tiny).unfinished(2)


def test_a_run_with_nothing_left_to_do_comes_to_what_was_done_before(tiny: Path, connection: Connection) -> None:
    # Its result is written, and its model registered, a step before the last.
    path = tiny / "flows" / "train.py"
    text = path.read_text().replace("self.total =", "self.write(); self.total =")
    head, _, end = text.partition("    @step\n    def end(self):\n")
    body, mark, rest = end.partition("\n\nif __name__")
    last = '    @step\n    def end(self):\n        if pathlib.Path("late").exists():\n            sys.exit(9)\n'
    path.write_text(f"{head}    def write(self):\n{body}\n{last}{mark}{rest}")
    (tiny / "late").touch()
    failed, _ = carry_out(tiny, connection, Request("train", sample=3))
    assert (failed.record.status, (failed.result() or {})["status"]) == ("failed", "registered"), failed.log.read_text()
    (tiny / "late").unlink()
    run, _ = carry_out(tiny, connection, Request("train", resumes=True))
    assert (run.record.status, run.result()) == ("registered", failed.result())


def test_signals_mean_afterwards_what_they_meant_before(tiny: Path, connection: Connection) -> None:
    before = signal.getsignal(signal.SIGINT)
    carry_out(tiny, connection, Request("train"))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_platform_that_answers_is_taken_even_with_a_proxy_around(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    start.check_answers(connection)


def test_a_platform_that_does_not_answer_is_told_with_the_command_that_starts_it(
    connection: Connection, free_port: int
) -> None:
    with pytest.raises(UnreachableError) as failure:
        start.check_answers(replace(connection, tracking=f"http://127.0.0.1:{free_port}"))
    assert "`mlplat up -s local`" in str(failure.value.hint)
