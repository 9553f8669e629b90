"""A person's kubeconfig: what is written into it, and what stays as it was."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from ruamel.yaml import YAML

from mlplat.errors import RefusedError, SpecError, StateError
from mlplat.spec.aws import AwsSpec
from mlplat.targets.aws import access
from mlplat.targets.aws.site import Site

SITE = Site("acme", "dev", "0123456789abcdef", AwsSpec(account="123456789012", region="eu-west-1"))
CLUSTER = {"name": SITE.base, "endpoint": "https://x.eks", "certificateAuthority": {"data": "Y2E="}}
OTHER = """\
apiVersion: v1
kind: Config
current-context: theirs
clusters: [{name: theirs, cluster: {server: https://theirs}}]
contexts: [{name: theirs, context: {cluster: theirs, user: theirs}}]
users: [{name: theirs, user: {token: keep-me}}]
extensions: [{name: x, extension: 1}]
"""


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "KUBECONFIG", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return found


def test_no_credential_is_in_it_and_the_call_is_whole() -> None:
    made = access.kubeconfig(CLUSTER, SITE, role="arn:aws:iam::123456789012:role/admin")
    (user,) = made["users"]
    asked = user["user"]["exec"]
    assert set(user["user"]) == {"exec"}
    assert Path(asked["command"]).is_absolute()
    assert asked["args"] == [
        *("aws", "token", "--cluster", SITE.base, "--region", "eu-west-1", "--account", "123456789012"),
        *("--role", "arn:aws:iam::123456789012:role/admin"),
    ]
    assert asked["env"] is None


def test_the_profile_that_it_was_made_with_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "acme-dev")
    asked = access.kubeconfig(CLUSTER, SITE)["users"][0]["user"]["exec"]
    assert asked["env"] == [{"name": "AWS_PROFILE", "value": "acme-dev"}]


def test_what_others_wrote_stays_and_ours_becomes_the_current_one(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(OTHER)
    access.write(file, access.kubeconfig(CLUSTER, SITE))
    found = read(file)
    assert found["current-context"] == SITE.base
    assert [each["name"] for each in found["users"]] == ["theirs", SITE.base]
    assert found["users"][0]["user"] == {"token": "keep-me"}
    assert found["extensions"] == [{"name": "x", "extension": 1}]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_time_replaces_ours_alone(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(OTHER)
    access.write(file, access.kubeconfig(CLUSTER, SITE))
    access.write(file, access.kubeconfig({**CLUSTER, "endpoint": "https://new"}, SITE))
    found = read(file)
    assert [each["cluster"]["server"] for each in found["clusters"]] == ["https://theirs", "https://new"]


def test_a_link_stays_a_link_and_a_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(OTHER)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    access.write(tmp_path / "link", access.kubeconfig(CLUSTER, SITE))
    assert (tmp_path / "link").is_symlink()
    access.write(tmp_path / "new" / "config", access.kubeconfig(CLUSTER, SITE))
    assert read(tmp_path / "new" / "config")["kind"] == "Config"


@pytest.mark.parametrize(("text", "error"), [("just words", StateError), ("users: 3", StateError), ("a: [", SpecError)])
def test_a_file_that_is_none_is_left_alone(tmp_path: Path, text: str, error: type[Exception]) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(error):
        access.write(file, access.kubeconfig(CLUSTER, SITE))
    assert file.read_text() == text


def test_the_file_is_the_first_that_kubernetes_own_tools_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.default_file() == Path.home() / ".kube" / "config"
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(["/a/b", "/c"]))
    assert access.default_file() == Path("/a/b")


def test_what_is_printed_is_what_is_written(tmp_path: Path) -> None:
    made = access.kubeconfig(CLUSTER, SITE)
    access.write(tmp_path / "config", made)
    assert YAML(typ="safe").load(access.text(made)) == read(tmp_path / "config")


def test_a_cluster_that_is_not_there_is_said_with_the_way_to_one() -> None:
    session = boto3.Session(region_name="eu-west-1")
    with pytest.raises(RefusedError, match=SITE.base) as refused:
        access.described(session, SITE)
    assert "mlplat up -s dev" in (refused.value.hint or "")
    session.client("eks").create_cluster(
        name=SITE.base, roleArn="arn:aws:iam::123456789012:role/x", resourcesVpcConfig={"subnetIds": []}
    )
    assert access.described(session, SITE)["name"] == SITE.base
