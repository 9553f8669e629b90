"""Tokens for a cluster: what is signed, how long they last, whose they are."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto import mock_aws

from mlplat.errors import RefusedError, UnreachableError
from mlplat.targets.aws import token

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
CLUSTER, REGION = "acme-dev-012345", "eu-west-1"


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in token.WHO:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTING")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    for variable, _ in token.FILES:
        monkeypatch.setenv(variable, str(tmp_path / variable))
    with mock_aws():
        yield


def signed(text: str) -> str:
    """Return the address that is inside a token."""
    assert text.startswith(token.PREFIX)
    body = text.removeprefix(token.PREFIX)
    assert "=" not in body
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()


def test_it_is_a_signed_question_who_asks_for_this_cluster_alone() -> None:
    made = token.get(CLUSTER, REGION, now=NOW)
    url = urlsplit(signed(made.text))
    asked = {key: values[0] for key, values in parse_qs(url.query).items()}
    assert url.netloc == f"sts.{REGION}.amazonaws.com"
    assert asked["Action"] == "GetCallerIdentity"
    assert asked["X-Amz-SignedHeaders"] == f"host;{token.HEADER}"
    assert asked["X-Amz-Credential"].split("/")[2:4] == [REGION, "sts"]
    assert asked["X-Amz-Expires"] == "60"


def test_clusters_sign_differently() -> None:
    one, other = (signed(token.get(name, REGION, now=NOW).text) for name in ("one", "other"))
    assert parse_qs(one)["X-Amz-Signature"] != parse_qs(other)["X-Amz-Signature"]


def test_it_lasts_14_minutes_and_is_said_as_kubernetes_wants_it() -> None:
    told = token.get(CLUSTER, REGION, now=NOW).credential()
    assert told["kind"] == "ExecCredential"
    assert told["apiVersion"] == "client.authentication.k8s.io/v1"
    assert told["status"]["expirationTimestamp"] == "2026-07-01T12:14:00Z"


def test_a_kept_one_is_handed_out_until_shortly_before_its_end() -> None:
    first = token.get(CLUSTER, REGION, now=NOW)
    assert token.get(CLUSTER, REGION, now=NOW + timedelta(minutes=11)).text == first.text
    later = token.get(CLUSTER, REGION, now=NOW + timedelta(minutes=13))
    assert later.expires == NOW + timedelta(minutes=27)


def test_it_is_kept_for_its_owner_alone() -> None:
    token.get(CLUSTER, REGION, now=NOW)
    kept = token.place(CLUSTER, REGION)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert token.forget() == 1
    assert not kept.exists()


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN"])
def test_somebody_else_is_never_handed_anothers_token(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    before = token.place(CLUSTER, REGION)
    monkeypatch.setenv(variable, "another")
    assert token.place(CLUSTER, REGION) != before


def test_a_change_of_the_credentials_file_is_another_identity(tmp_path: Path) -> None:
    before = token.place(CLUSTER, REGION)
    (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text("[default]\n")
    assert token.place(CLUSTER, REGION) != before


def test_roles_clusters_and_regions_are_kept_apart() -> None:
    places = {
        token.place(CLUSTER, REGION),
        token.place("other", REGION),
        token.place(CLUSTER, "eu-central-1"),
        token.place(CLUSTER, REGION, "111122223333"),
        token.place(CLUSTER, REGION, None, "arn:aws:iam::111122223333:role/a"),
    }
    assert len(places) == 5


def test_a_spoiled_file_is_no_token() -> None:
    kept = token.place(CLUSTER, REGION)
    kept.parent.mkdir(parents=True)
    kept.write_text('{"token": "half')
    assert token.get(CLUSTER, REGION, now=NOW).expires == NOW + token.LIFETIME


def test_a_token_ends_with_the_credentials_that_signed_it() -> None:
    session = boto3.Session(region_name=REGION)
    credentials = session.get_credentials()
    credentials._expiry_time = NOW + timedelta(minutes=5)
    assert token.signed(session, CLUSTER, REGION, NOW).expires == NOW + timedelta(minutes=5)


def test_credentials_of_another_account_are_refused_when_one_is_made() -> None:
    with pytest.raises(RefusedError, match=r"123456789012.*999999999999"):
        token.get(CLUSTER, REGION, account="999999999999", now=NOW)
    assert token.get(CLUSTER, REGION, account="123456789012", now=NOW)


def test_a_role_is_taken_first() -> None:
    made = token.get(CLUSTER, REGION, role="arn:aws:iam::123456789012:role/admin", now=NOW)
    asked = parse_qs(urlsplit(signed(made.text)).query)
    assert asked["X-Amz-Credential"][0].split("/")[0].startswith("ASIA")
    assert "X-Amz-Security-Token" in asked


def test_without_credentials_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UnreachableError):
        token.get(CLUSTER, REGION, now=NOW)
