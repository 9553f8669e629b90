"""How a flow is compiled: the command, its variables, and what its end means."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlplat.errors import MlplatError, UsageError
from mlplat.runs import compiled
from mlplat.runs.compiled import Storage

HERE = Storage("s3://pipelines/team/metaflow", "http://127.0.0.1:1", access_key="key", secret_key="word")  # noqa: S106


def test_a_flow_that_may_be_tried_again_counts_its_attempts() -> None:
    argv = compiled.command(Path("/env/bin/python"), Path("flows/train.py"), "shop", retries=2)
    assert argv[argv.index("--with") + 1] == "retry:times=2,minutes_between_retries=1"
    assert argv[argv.index("--name") + 1] == "shop-train"
    assert argv[-2:] == ["create", "--only-json"]


def test_without_retries_nothing_is_tried_again() -> None:
    assert "--with" not in compiled.command(Path("python"), Path("flows/train.py"), "shop", retries=0)


def test_settings_of_metaflow_that_lie_around_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_PROFILE", "somebody's")
    monkeypatch.setenv("METAFLOW_ARGO_EVENTS_WEBHOOK_URL", "http://example.com")
    found = compiled.variables(HERE, namespace="team", account="pipeline")
    assert not {"METAFLOW_PROFILE", "METAFLOW_ARGO_EVENTS_WEBHOOK_URL"} & set(found)
    assert found["METAFLOW_DATASTORE_SYSROOT_S3"] == HERE.root


def test_without_keys_the_environments_own_identity_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    found = compiled.variables(Storage("s3://a/b"), namespace="team", account="pipeline")
    assert found["AWS_ACCESS_KEY_ID"] == "mine"
    assert "METAFLOW_S3_ENDPOINT_URL" not in found


def test_an_unknown_flow_is_said_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "train.py").touch()
    with pytest.raises(UsageError, match="there is no flow `score`") as caught:
        compiled.compile_flow(
            tmp_path, Path("python"), "score", title="shop", storage=HERE, namespace="team", retries=0
        )
    assert caught.value.hint == "flows here: `train`"


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (subprocess.CompletedProcess([], 1, "", "one\n  Flow failed:\n  no step `end`\n"), "no step `end`"),
        (subprocess.CompletedProcess([], 0, "not json", ""), "to no document"),
    ],
    ids=["refused", "garbled"],
)
def test_a_compiler_that_refuses_is_quoted(done: subprocess.CompletedProcess[str], said: str) -> None:
    with pytest.raises(MlplatError, match=said):
        compiled._read(done, "train")
