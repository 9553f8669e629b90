"""`mlplat run` as a person meets it, with real Metaflow runs; the project's environment is this one."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from commands import is_gone, until
from mlplat.contracts import Connection

DEADLINE = 240
# The project's environment takes minutes to install; this one holds the same packages.
HERE = """
import sys
from pathlib import Path
from mlplat.runs import prepare
prepare.prepare = lambda folder, progress: Path(sys.executable)
from mlplat.cli import main
main()
"""


@pytest.fixture(autouse=True)
def in_the_project(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the commands of a test that has a project inside it."""
    if "tiny" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("tiny"))


def command(line: str) -> list[str]:
    return [sys.executable, "-c", HERE, *shlex.split(line)]


def mlplat(line: str) -> tuple[int, str, str]:
    done = subprocess.run(command(line), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_registered_model_is_told_with_steps_on_stderr_and_facts_on_stdout(
    tiny: Path, connection: Connection
) -> None:
    code, out, err = mlplat("run train --until 2013-04-01 --set gate.margin=0.02")
    assert code == 0, err
    assert out.splitlines() == [
        "registered tiny/late version 1  sha256:abababababab",
        "",
        "metrics",
        "  auc                  0.75",
        "",
        "gate: passed, 1 of 1 rules",
        "  against its baseline: there is no champion yet",
        "  passed  auc floor: 0.65, required 0.7",
    ]
    assert [line.split()[0] for line in err.splitlines()] == ["run", "start", "fit", "judge", "end"]
    assert f"log in {tiny}/.mlplat/runs/1/log.txt" in err


def test_json_holds_the_record_and_the_result(tiny: Path, connection: Connection) -> None:
    code, out, err = mlplat("run train --until 2013-04-01 --set gate.margin=0.02 --json")
    told = json.loads(out)
    assert code == 0, err
    assert (told["id"], told["status"], told["flow"]) == (1, "registered", "train")
    assert told["result"]["given"] == ["2013-04-01", 0, {"gate.margin": 0.02}]


def test_a_refusal_leaves_with_1_and_says_which_rule_and_by_how_much(tiny: Path, connection: Connection) -> None:
    (tiny / "refuse").touch()
    code, out, err = mlplat("run train")
    assert code == 1
    assert "FAILED  auc floor: 0.65, required 0.7, off by 0.05" in out
    assert err.splitlines()[-3:] == [
        "error: the model is registered nowhere: auc is too low",
        "error: auc floor: 0.65, required 0.7, off by 0.05",
        f"hint: whole log: {tiny}/.mlplat/runs/1/log.txt",
    ]


def test_a_failed_step_is_shown_and_gone_on_from(tiny: Path, connection: Connection) -> None:
    (tiny / "broken").touch()
    code, out, err = mlplat("run train --until 2013-04-01")
    assert (code, out) == (1, "")
    assert "error:   ValueError: the data is broken\nerror:   in two places" in err
    assert "mlplat run train --from STEP" in err
    (tiny / "broken").unlink()
    code, out, err = mlplat("run train --from judge --json")
    assert code == 0, err
    assert json.loads(out)["result"]["given"][0] == "2013-04-01"
    assert "start        reused" in err


def test_runs_are_listed_and_shown(tiny: Path, connection: Connection) -> None:
    assert mlplat("run list") == (0, "", "no runs yet: `mlplat run train` starts one\n")
    assert mlplat("run show")[0] == 2
    mlplat("run train")
    listed = mlplat("run list")[1].splitlines()
    assert listed[0].split() == ["RUN", "FLOW", "STATUS", "STARTED", "TOOK", "ARGUMENTS", "MODEL", "REASON"]
    assert listed[1].split()[:3] == ["1", "train", "registered"]
    assert json.loads(mlplat("run list --json")[1])[0]["id"] == 1
    shown = mlplat("run show")[1]
    assert shown.startswith("run        1\nflow       train\nstatus     registered\n")
    assert "auc floor" in shown
    code, _, err = mlplat("run cancel 1")
    assert code == 1
    assert "run 1 is not going on: it is registered" in err


def test_ctrl_c_ends_the_run_and_leaves_with_130(tiny: Path, connection: Connection) -> None:
    (tiny / "wait").touch()
    with subprocess.Popen(command("run train"), stderr=subprocess.PIPE, text=True) as child:
        until(lambda: (tiny / "waiting").exists() or child.poll() is not None)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 130, err
    assert err.splitlines()[-1] == "error: interrupted"
    assert json.loads((tiny / ".mlplat/runs/1/run.json").read_text())["status"] == "cancelled"


def status_of_first() -> str:
    return str(json.loads(mlplat("run list --json")[1])[-1]["status"])


def test_a_killed_run_says_so_and_is_resumed(tiny: Path, connection: Connection) -> None:
    (tiny / "wait").touch()
    with subprocess.Popen(command("run train"), stderr=subprocess.PIPE, text=True) as child:
        until((tiny / "waiting").exists)
        os.kill(json.loads((tiny / ".mlplat/runs/1/run.json").read_text())["pid"], signal.SIGKILL)
        _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 1
    assert "error: train failed: its process was killed (SIGKILL)" in err
    assert "`mlplat run resume 1` goes on behind the steps that are finished" in err
    (tiny / "wait").unlink()
    code, out, err = mlplat("run resume --json")
    assert code == 0, err
    assert (json.loads(out)["status"], json.loads(out)["origin"]) == ("registered", 1)
    assert "Cloning previously run task" in (tiny / ".mlplat/runs/2/log.txt").read_text()
    assert "there is nothing to go on from" in mlplat("run resume 2")[2]
    assert mlplat("run resume 7")[0] == 2


@pytest.mark.parametrize("with_its_leader", [False, True])
def test_a_run_whose_watcher_was_killed_is_listed_and_cancelled(
    tiny: Path, connection: Connection, *, with_its_leader: bool
) -> None:
    (tiny / "wait").touch()
    with subprocess.Popen(command("run train"), stderr=subprocess.DEVNULL) as child:
        until((tiny / "waiting").exists)
        child.kill()
    leader = json.loads((tiny / ".mlplat/runs/1/run.json").read_text())["pid"]
    if with_its_leader:
        os.kill(leader, signal.SIGKILL)
    try:
        assert status_of_first() == "running"
        code, _, err = mlplat("run cancel 1")
        assert (code, err) == (0, "run 1 is cancelled\n")
        assert status_of_first() == "cancelled"
        until(lambda: is_gone(leader))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


def test_a_damaged_run_is_warned_of_and_the_others_are_listed(tiny: Path, connection: Connection) -> None:
    mlplat("run train")
    (tiny / ".mlplat/runs/2").mkdir()
    (tiny / ".mlplat/runs/2/run.json").write_text("{")
    code, out, err = mlplat("run list")
    assert (code, len(out.splitlines())) == (0, 2)
    assert err.startswith(f"warning: {tiny}/.mlplat/runs/2/run.json: is damaged")


def test_debugging_runs_the_package_in_one_process_with_the_run_s_variables(tiny: Path, connection: Connection) -> None:
    # `python -m` finds it here; in a project it lies in `src`, to which `mlplat.pth` leads.
    package = tiny / "tiny"
    package.mkdir()
    (package / "__main__.py").write_text(
        "import os, sys\nprint(sys.argv[1:], os.environ['MLFLOW_TRACKING_URI'])\nsys.exit(3)"
    )
    code, out, err = mlplat("run train --sample 50 --pdb")
    assert out == f"['train', '--sample', '50', '--pdb'] {connection.tracking}\n"
    assert (code, err.splitlines()[-1]) == (1, "error: `train` ended with exit code 3")


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("run trian", 2, "error: there is no flow `trian` in "),
        ("run train --until soon", 2, "error: --until: `soon` is no date"),
        ("run train --holdout-start x", 2, "error: --holdout-start: `x` is no date"),
        ("run train --set gate.margni=1", 2, "error: --set: gate.margni: unknown key"),
        ("run train --set gate.margin", 2, "error: `--set gate.margin` has no value"),
        ("run train --from judge --sample 5", 2, "error: `--from` goes on with the parameters of the run that failed"),
        ("run train --from judge", 2, "error: no failed run of `train` is left to go on from"),
        ("run train --sample 0", 2, ""),
        ("run --json", 2, "error: no flow was named"),
        ("run show 9", 2, "error: there is no run 9"),
        ("run train -s prod", 1, "error: no platform `mlplat` with a stack `prod` is known on this computer"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    tiny: Path, connection: Connection, line: str, code: int, error: str
) -> None:
    status, out, err = mlplat(line)
    assert (status, out) == (code, "")
    assert err.startswith(error)
    assert not (tiny / ".mlplat").exists()


def test_a_platform_that_is_down_or_of_another_version_is_said(
    tiny: Path, connection: Connection, free_port: int
) -> None:
    replace(connection, tracking=f"http://127.0.0.1:{free_port}", mlplat="0.0.9").write()
    code, _, err = mlplat("run train")
    assert code == 1
    assert err.startswith("warning: the platform `mlplat` was stood up by mlplat 0.0.9, this is mlplat ")
    assert "hint: `mlplat up -s local` starts it" in err


def test_outside_a_project_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = mlplat("run train")
    assert (code, err.startswith("error: there is no mlplat.yaml in ")) == (2, True)


def test_the_help_shows_the_options_of_a_run() -> None:
    assert "--until DATE" in mlplat("run --help")[1]
    assert mlplat("run train --help")[1].startswith("Usage: ")
