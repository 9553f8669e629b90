from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from mlplat import definitions
from mlplat.errors import RefusedError, StateError, UnreachableError
from mlplat.versions import Definitions, File

TEXT = b"""---
kind: CustomResourceDefinition
operators: [=, "!="]
---
# nothing
---
kind: ValidatingAdmissionPolicy
"""
FILE = File("https://example.com/v1.0.0/all.yaml", definitions.digest(TEXT))
DEFINITIONS = Definitions("all", "1.0.0", (FILE,), ("example.com",), ("1.35",), "a test")
Answers = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], list[str]]:
    """Return what answers requests by a function, and gives back the addresses that were asked for."""
    return functools.partial(_answered, monkeypatch)


def _answered(monkeypatch: pytest.MonkeyPatch, answer: Answers) -> list[str]:
    seen: list[str] = []

    def noted(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return answer(request)

    @contextmanager
    def stream(method: str, address: str, **told: Any) -> Iterator[httpx.Response]:
        client = httpx.Client(transport=httpx.MockTransport(noted), timeout=told.pop("timeout"))
        with client, client.stream(method, address, **told) as response:
            yield response

    monkeypatch.setattr(httpx, "stream", stream)
    return seen


def served(data: bytes = TEXT, code: int = 200) -> Answers:
    return lambda _: httpx.Response(code, content=data)


def kept() -> list[str]:
    return [each.name for each in definitions.folder().iterdir()] if definitions.folder().is_dir() else []


def test_a_file_is_fetched_once(asked: Callable[[Answers], list[str]]) -> None:
    seen = asked(served())
    first = definitions.documents(DEFINITIONS)
    assert [each["kind"] for each in first] == ["CustomResourceDefinition", "ValidatingAdmissionPolicy"]
    assert first[0]["operators"] == ["=", "!="]
    assert definitions.documents(DEFINITIONS) == first
    assert seen == [FILE.address]
    assert kept() == [f"{FILE.sha256}.yaml"]


def test_what_was_put_by_hand_needs_no_network(asked: Callable[[Answers], list[str]]) -> None:
    seen = asked(served(code=500))
    definitions.folder().mkdir(parents=True)
    definitions.place(FILE).write_bytes(TEXT)
    assert definitions.documents(DEFINITIONS)
    assert seen == []


def test_another_file_is_refused_and_not_kept(asked: Callable[[Answers], list[str]]) -> None:
    asked(served(b"kind: Namespace"))
    with pytest.raises(RefusedError, match=f"{FILE.address}: has the SHA-256 [0-9a-f]+, not {FILE.sha256}"):
        definitions.documents(DEFINITIONS)
    assert kept() == []


def test_a_kept_file_that_was_changed_is_refused(asked: Callable[[Answers], list[str]]) -> None:
    seen = asked(served())
    definitions.documents(DEFINITIONS)
    definitions.place(FILE).write_bytes(TEXT + b"# and more")
    with pytest.raises(RefusedError, match=f"{FILE.sha256}.yaml: is not what {FILE.address} was"):
        definitions.documents(DEFINITIONS)
    assert len(seen) == 1


def test_without_a_network_it_says_where_the_file_may_be_put(asked: Callable[[Answers], list[str]]) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host", request=request)

    seen = asked(broken)
    with pytest.raises(UnreachableError, match="no route to host") as raised:
        definitions.documents(DEFINITIONS)
    assert FILE.address in raised.value.message
    assert str(definitions.place(FILE)) in str(raised.value.hint)
    assert len(seen) == definitions.TRIES


def test_one_connection_that_breaks_is_made_again(asked: Callable[[Answers], list[str]]) -> None:
    answers = iter([httpx.Response(503), httpx.Response(200, content=TEXT)])
    seen = asked(lambda _: next(answers))
    assert definitions.documents(DEFINITIONS)
    assert len(seen) == 2


@pytest.mark.parametrize("code", [302, 404, 500])
def test_a_page_that_is_no_file_is_not_taken(code: int, asked: Callable[[Answers], list[str]]) -> None:
    asked(lambda _: httpx.Response(code, content=TEXT, headers={"location": "http://example.com/sign-in"}))
    with pytest.raises(UnreachableError, match=str(code)):
        definitions.documents(DEFINITIONS)
    assert kept() == []


def test_a_file_without_an_end_is_given_up(asked: Callable[[Answers], list[str]]) -> None:
    asked(served(b"#" * (definitions.MOST_BYTES + 1)))
    with pytest.raises(RefusedError, match="is larger than 4194304 bytes"):
        definitions.documents(DEFINITIONS)
    assert kept() == []


def test_nothing_is_fetched_in_the_clear(asked: Callable[[Answers], list[str]]) -> None:
    seen = asked(served())
    with pytest.raises(RefusedError, match="by https only"):
        definitions.content(File("http://example.com/all.yaml", FILE.sha256))
    assert seen == []


def test_a_folder_that_cannot_be_written_is_named_with_its_variable(asked: Callable[[Answers], list[str]]) -> None:
    asked(served())
    definitions.folder().parent.mkdir(parents=True, exist_ok=True)
    definitions.folder().write_text("a file in the place of the folder")
    with pytest.raises(StateError, match="cannot be written") as raised:
        definitions.documents(DEFINITIONS)
    assert "MLPLAT_DATA_DIR" in str(raised.value.hint)
