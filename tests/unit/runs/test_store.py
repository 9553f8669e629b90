from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from mlplat.errors import MlplatError, UsageError
from mlplat.runs import process
from mlplat.runs.store import RESULT, Run, Runs, ended


def begin(project: Path, flow: str = "train") -> Run:
    return Runs(project).begin(flow, [], platform="mlplat", stack="local")


def test_runs_are_numbered_and_read_back_newest_first(tmp_path: Path) -> None:
    first, second = begin(tmp_path), begin(tmp_path)
    assert [run.record for run in Runs(tmp_path).all()] == [second.record, first.record]
    assert Runs(tmp_path).get(1).record == first.record


def test_two_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    threads = [threading.Thread(target=begin, args=(tmp_path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.record.id for run in Runs(tmp_path).all()] == list(range(8, 0, -1))


def test_an_unknown_number_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run 7"):
        Runs(tmp_path).get(7)


def test_a_run_whose_process_vanished_is_interrupted_or_what_its_result_says(tmp_path: Path) -> None:
    gone, done = (begin(tmp_path).save(pid=2**22 + 1, pid_started=1.0) for _ in range(2))
    done.result_file.write_text(json.dumps({"status": "registered"}))
    assert Runs(tmp_path).get(gone.record.id).record.status == "interrupted"
    assert Runs(tmp_path).get(done.record.id).record.status == "registered"


def test_a_process_that_took_over_the_number_is_not_the_run_s(tmp_path: Path) -> None:
    alive = begin(tmp_path).started_as(os.getpid())
    assert alive.process() is not None
    assert alive.save(pid_started=1.0).process() is None
    assert alive.save(boot="another start of the computer").process() is None
    former = alive.save(boot=None, pid_started=psutil.Process().create_time())
    assert former.process() is not None
    assert Runs(tmp_path).get(alive.record.id).record.status == "running"


def test_a_run_is_known_by_its_environment_when_its_number_was_never_written_down(tmp_path: Path) -> None:
    run = begin(tmp_path).save(starter=2**22 + 1)
    environment = {**os.environ, RESULT: str(run.result_file)}
    sleeping = [sys.executable, "-c", "import signal; signal.pause()"]
    with subprocess.Popen(sleeping, env=environment, process_group=0) as child:
        try:
            assert Runs(tmp_path).get(run.record.id).record.status == "running"
            assert process.cancel(run)
        finally:
            child.kill()
    assert Runs(tmp_path).get(run.record.id).record.status == "cancelled"


def test_a_run_whose_starter_was_killed_before_it_began_is_interrupted(tmp_path: Path) -> None:
    assert Runs(tmp_path).get(begin(tmp_path).record.id).record.status == "running"
    gone = begin(tmp_path).save(starter=2**22 + 1)
    assert Runs(tmp_path).get(gone.record.id).record.status == "interrupted"


@pytest.mark.parametrize(("name", "content"), [("run.json", '{"id": 1, '), ("run.json", "[]"), ("result.json", "{")])
def test_a_damaged_run_is_named_and_hides_no_other(tmp_path: Path, name: str, content: str) -> None:
    good, bad = begin(tmp_path), begin(tmp_path).save(status="failed")
    (bad.folder / name).write_text(content)
    told: list[MlplatError] = []
    assert [run.record.id for run in Runs(tmp_path).all(told.append)] == [good.record.id]
    assert str(bad.folder / name) in told[0].message
    assert "remove" in (told[0].hint or "")
    with pytest.raises(MlplatError, match=name):
        Runs(tmp_path).all()


def test_a_process_that_has_ended_and_waits_to_be_noticed_is_over(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        run = begin(tmp_path).save(pid=child.pid, pid_started=psutil.Process(child.pid).create_time())
        assert run.process() is None


@pytest.mark.parametrize(
    ("result", "code", "status"),
    [
        ({"status": "registered"}, 0, "registered"),
        ({"status": "registered"}, 1, "failed"),
        ({"status": "refused"}, 1, "refused"),
        ({"status": "failed"}, 1, "failed"),
        (None, 0, "done"),
        (None, 1, "failed"),
        (None, None, "interrupted"),
    ],
)
def test_a_run_is_judged_by_its_result_and_its_exit_code(
    tmp_path: Path, result: dict[str, str] | None, code: int | None, status: str
) -> None:
    run = begin(tmp_path)
    if result:
        run.result_file.write_text(json.dumps(result))
    assert ended(run, code) == status
    run.cancel_file.touch()
    assert ended(run, code) == "cancelled"


def test_only_a_run_that_failed_and_that_metaflow_knows_is_gone_on_from(tmp_path: Path) -> None:
    good, unknown, failed = (begin(tmp_path) for _ in range(3))
    good.save(status="registered").metaflow_file.write_text("1")
    unknown.save(status="failed")
    with pytest.raises(UsageError, match="no failed run of `train`"):
        Runs(tmp_path).last_unfinished("train")
    failed.save(status="failed").metaflow_file.write_text("17\n")
    assert Runs(tmp_path).last_unfinished("train").metaflow_id == "17"


def test_a_record_that_cannot_be_read_names_its_file(tmp_path: Path) -> None:
    run = begin(tmp_path)
    (run.folder / "run.json").write_text("{")
    with pytest.raises(MlplatError, match=r"run\.json"):
        Runs(tmp_path).all()
