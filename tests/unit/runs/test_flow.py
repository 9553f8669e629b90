from __future__ import annotations

from pathlib import Path

import pytest

from mlplat.contracts import FEATURES, Connection
from mlplat.errors import UsageError
from mlplat.runs import flow
from mlplat.runs.flow import Request
from mlplat.runs.store import Runs

PYTHON = Path("/p/.venv/bin/python")
CONNECTION = Connection("mlplat", "local", "local", "http://127.0.0.1:5000", "http://127.0.0.1:80", "sqlite:////e.db")


def test_a_flow_gets_only_the_options_that_were_given(tmp_path: Path) -> None:
    run = Runs(tmp_path).begin("train", [], platform="mlplat", stack="local")
    base = [str(PYTHON), "flows/train.py", "--no-pylint", "--datastore", "local", "--metadata", "local"]
    number = ["--run-id-file", str(run.metaflow_file)]
    request = Request("train", "2013-04-01", 5000, {"gate.margin": 0.02}, {"train-start": "2013-01-01"})
    assert flow.command(PYTHON, Path("flows/train.py"), Request("train"), run, None) == [*base, "run", *number]
    assert flow.command(PYTHON, Path("flows/train.py"), request, run, None) == [
        *[*base, "run", *number, "--until", "2013-04-01", "--sample", "5000"],
        *["--train-start", "2013-01-01", "--set-json", '{"gate.margin": 0.02}'],
    ]


def test_going_on_names_the_step_and_the_run_that_failed(tmp_path: Path) -> None:
    run = Runs(tmp_path).begin("train", [], platform="mlplat", stack="local")
    command = flow.command(PYTHON, Path("flows/train.py"), Request("train", step="judge"), run, "17")
    assert command[-6:] == ["resume", "judge", "--origin-run-id", "17", "--run-id-file", str(run.metaflow_file)]


def test_debugging_is_the_package_s_own_command() -> None:
    command = flow.debug_command(PYTHON, "late_flights", Request("train", sample=10))
    assert command == [str(PYTHON), "-m", "late_flights", "train", "--sample", "10", "--pdb"]


def test_an_unknown_flow_is_answered_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    for name in ("train.py", "score.py", "_shared.py"):
        (tmp_path / "flows" / name).touch()
    with pytest.raises(UsageError) as refusal:
        flow.find(tmp_path, "trian")
    assert refusal.value.hint == "flows here: `score`, `train`"


def test_settings_of_metaflow_that_lie_around_do_not_reach_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("METAFLOW_PROFILE", "METAFLOW_DATASTORE_SYSROOT_LOCAL", "METAFLOW_DEFAULT_DATASTORE"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("METAFLOW_USER", "ada")
    variables = flow.variables(CONNECTION, PYTHON, result=tmp_path / ".mlplat" / "runs" / "1" / "result.json")
    ours = {"METAFLOW_HOME", "METAFLOW_USER", "METAFLOW_DATASTORE_SYSROOT_LOCAL"}
    assert {name for name in variables if name.startswith("METAFLOW")} == ours
    assert variables["METAFLOW_DATASTORE_SYSROOT_LOCAL"] == str(tmp_path)
    assert variables["METAFLOW_USER"] == "ada"


def test_the_platform_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "example.org")
    variables = flow.variables(CONNECTION, PYTHON, result=tmp_path / "result.json")
    assert variables["NO_PROXY"] == variables["no_proxy"] == "example.org,127.0.0.1,localhost"


def test_a_set_clock_reaches_the_run(tmp_path: Path) -> None:
    timed = Connection(**{**vars(CONNECTION), "clock": "2013-04-01T00:00:00Z"})
    assert flow.variables(timed, PYTHON, result=tmp_path / "r")["MLPLAT_CLOCK"] == "2013-04-01T00:00:00Z"
    assert "MLPLAT_CLOCK" not in flow.variables(CONNECTION, PYTHON, result=tmp_path / "r")


def test_the_feature_server_of_the_platform_reaches_the_run_and_no_other_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served = Connection(**{**vars(CONNECTION), "features": "http://127.0.0.1:6566"})
    assert flow.variables(served, PYTHON, result=tmp_path / "r")[FEATURES] == "http://127.0.0.1:6566"
    monkeypatch.setenv(FEATURES, "http://elsewhere")
    assert flow.variables(CONNECTION, PYTHON, result=tmp_path / "r")[FEATURES] == ""


def test_a_user_without_a_name_still_has_one_for_metaflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container's user has no entry, and Metaflow takes `root` for no name at all."""

    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.setenv("METAFLOW_USER", "root")
    assert flow.variables(CONNECTION, PYTHON, result=tmp_path / "r")["METAFLOW_USER"] == "mlplat"
    monkeypatch.delenv("METAFLOW_USER")
    monkeypatch.setattr("getpass.getuser", nobody)
    assert flow.variables(CONNECTION, PYTHON, result=tmp_path / "r")["METAFLOW_USER"] == "mlplat"


@pytest.mark.parametrize("text", ["april", "2013-13-01", "01.04.2013"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--until"):
        flow.check_time(text, "--until")


def test_a_server_that_is_killed_is_asked_again_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    assert int(flow.variables(CONNECTION, PYTHON, result=tmp_path / "r")["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) >= 5
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "9")
    assert flow.variables(CONNECTION, PYTHON, result=tmp_path / "r")["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "9"


def test_every_process_of_a_run_has_its_key(tmp_path: Path) -> None:
    assert flow.variables(CONNECTION, PYTHON, result=tmp_path / "r", key="k")["MLPLAT_RUN"] == "k"
