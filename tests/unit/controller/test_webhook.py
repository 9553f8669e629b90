"""A receiver's address is a secret: messages go there, and it goes nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlplat.controller import webhook
from mlplat.errors import MlplatError, RefusedError, StateError, UnreachableError
from receiver import Receiver, receiving

SIGNS = "T0PSECRET"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def path(tmp_path: Path, receiver: Receiver) -> Path:
    return written(tmp_path, f"http://127.0.0.1:{receiver.port}/hook/{SIGNS}\n")


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "webhook"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_message_arrives_with_its_name(path: Path, receiver: Receiver) -> None:
    webhook.send(path, {"version": "4"}, "m1")
    ((where, headers, body),) = receiver.taken
    assert (where, headers[webhook.KEY], body) == (f"/hook/{SIGNS}", "m1", {"version": "4"})


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, RefusedError), (404, RefusedError), (302, UnreachableError), (408, UnreachableError),
     (429, UnreachableError), (500, UnreachableError)],
)  # fmt: skip
def test_what_may_pass_is_told_from_what_lasts_and_the_address_from_neither(
    path: Path, receiver: Receiver, status: int, error: type[MlplatError]
) -> None:
    receiver.status = status
    with pytest.raises(error, match=f"answers with {status}") as raised:
        webhook.send(path, {}, "m1")
    assert SIGNS not in raised.value.told()
    assert len(receiver.taken) == 1, "nobody is followed elsewhere"


def test_a_receiver_that_is_away_is_not_named(tmp_path: Path, free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, f"http://127.0.0.1:{free_port}/hook/{SIGNS}\n")
    with pytest.raises(UnreachableError, match="does not answer") as raised:
        webhook.send(path, {}, "m1")
    assert SIGNS not in f"{raised.value.told()} {raised.value!r} {caplog.text}"


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (f"http://hooks.example.com/{SIGNS}", 0o600, "is neither an https address nor one of this computer"),
        (f"ftp://127.0.0.1/{SIGNS}", 0o600, "is neither an https address"),
        (f"https://hooks.example.com/{SIGNS}", 0o644, "others than its owner may read it"),
        (f"https://x\x01{SIGNS}", 0o600, "holds no address"),
        ("", 0o600, "is neither an https address"),
    ],
)
def test_an_address_that_would_not_stay_secret_is_refused_unsaid(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    with pytest.raises(StateError, match=said) as raised:
        webhook.address(written(tmp_path, text, mode))
    assert SIGNS not in raised.value.told()


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="webhook: No such file"):
        webhook.address(tmp_path / "webhook")


def test_an_encrypted_address_may_be_anywhere(tmp_path: Path) -> None:
    assert webhook.address(written(tmp_path, "https://hooks.example.com/x\n")).host == "hooks.example.com"
