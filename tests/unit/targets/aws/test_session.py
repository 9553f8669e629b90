"""The right account, and errors of the way there that say what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.exceptions as botocore_errors
import pytest
from botocore.parsers import ResponseParserError
from moto import mock_aws

import awsasked
from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.targets.aws import session


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Have no credentials but those that a test sets."""
    for name in (*awsasked.CREDENTIALS, *awsasked.ELSEWHERE):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def somebody(nobody: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Have the credentials of moto's account."""
    with mock_aws():
        for name, value in awsasked.CREDENTIALS.items():
            nobody.setenv(name, value)
        yield nobody


@pytest.mark.usefixtures("somebody")
def test_the_stacks_account_is_opened_in_its_region() -> None:
    found = session.open(awsasked.of(awsasked.spec()))
    assert found.region_name == "eu-west-1"
    assert session.client(found, "sts").get_caller_identity()["Account"] == awsasked.ACCOUNT


def test_another_account_is_refused_and_both_are_named(somebody: pytest.MonkeyPatch) -> None:
    other = awsasked.of(awsasked.spec({"account": "999988887777"}))
    with pytest.raises(RefusedError, match=f"account {awsasked.ACCOUNT}, and the stack is for account 999988887777"):
        session.open(other)


def test_a_wrong_profile_is_named(somebody: pytest.MonkeyPatch, tmp_path: Any) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile play]\nregion = eu-west-1\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    )
    somebody.setenv("AWS_CONFIG_FILE", str(config))
    somebody.setenv("AWS_PROFILE", "play")
    with pytest.raises(RefusedError, match="credentials of the profile `play` are those of account"):
        session.open(awsasked.of(awsasked.spec({"account": "999988887777"})))


def test_an_unknown_profile_is_named(nobody: pytest.MonkeyPatch) -> None:
    nobody.setenv("AWS_PROFILE", "nowhere")
    with pytest.raises(UnreachableError, match="the AWS profile `nowhere` is nowhere"):
        session.open(awsasked.of(awsasked.spec()))


def test_no_credentials_are_told_as_such() -> None:
    with pytest.raises(UnreachableError, match="there are no AWS credentials here") as caught:
        session.open(awsasked.of(awsasked.spec()))
    assert "AWS_PROFILE" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        ("ExpiredToken", UnreachableError, "have run out"),
        ("InvalidClientTokenId", UnreachableError, "AWS does not know the credentials"),
        ("AccessDenied", RefusedError, "AWS does not allow to ask it: refused"),
        ("Throttling", MlplatError, "cannot ask it: Throttling: refused"),
    ],
)
def test_what_aws_answers_becomes_an_error_that_says_what_to_do(code: str, kind: type[MlplatError], told: str) -> None:
    error = botocore_errors.ClientError({"Error": {"Code": code, "Message": "refused."}}, "Ask")
    with pytest.raises(kind, match=told), session.telling("it"):
        raise error


def test_a_page_of_a_proxy_is_told_as_one_and_not_shown() -> None:
    page = {"Error": {"Code": "404", "Message": "<!doctype html>\n<html><title>Not Found"}}
    with pytest.raises(UnreachableError, match="what answers is not AWS") as caught, session.telling("it"):
        raise botocore_errors.ClientError(page, "Ask")
    assert "html" not in caught.value.told()


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (lambda: botocore_errors.EndpointConnectionError(endpoint_url="https://x"), "AWS does not answer"),
        (lambda: botocore_errors.ConnectTimeoutError(endpoint_url="https://x"), "AWS does not answer"),
        (lambda: ResponseParserError("<!doctype html>"), "what answers is not AWS"),
        (botocore_errors.UnauthorizedSSOTokenError, "have run out"),
        (lambda: botocore_errors.SSOTokenLoadError(profile_name="x", error_msg="gone"), "have run out"),
    ],
)
def test_what_the_sdk_raises_becomes_unreachable(raised: Callable[[], Exception], told: str) -> None:
    with pytest.raises(UnreachableError, match=told), session.telling("it"):
        raise raised()


def test_clients_are_made_one_at_a_time() -> None:
    class Fragile:
        busy = False

        def client(self, *_: object, **__: object) -> str:
            assert not self.busy, "two at a time"
            self.busy = True
            time.sleep(0)  # lets another thread in, if it could come
            self.busy = False
            return "client"

    fragile: Any = Fragile()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: session.client(fragile, "sts"), range(400))) == {"client"}
