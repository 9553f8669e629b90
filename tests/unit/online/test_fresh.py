"""What was applied a moment ago is found, and what is nowhere costs little. Feast itself is met in tests/e2e."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mlplat.online import fresh
from mlplat.online.fresh import PATHS, Fresh


@dataclass
class Registry:
    """A registry, and a server's memory of it."""

    applied: set[str] = field(default_factory=set)
    remembered: set[str] = field(default_factory=set)
    readings: int = 0

    def refresh(self) -> None:
        self.readings += 1
        self.remembered = set(self.applied)

    async def answer(self, request: Request) -> Response:
        view = (await request.body()).decode()
        if view == "broken":
            raise RuntimeError(view)
        return PlainTextResponse(view, 200 if view in self.remembered else 404)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@dataclass
class Client:
    """Asks an application, at a time that stands still until it is told otherwise."""

    app: Fresh
    now: float = 100.0

    def post(self, path: str, *, content: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://server") as http:
                return await http.post(path, content=content)

        return asyncio.run(ask())


@pytest.fixture
def client(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Client:
    routes = [Route(path, registry.answer, methods=["POST"]) for path in (*PATHS, "/materialize")]
    made = Client(Fresh(Starlette(routes=routes), registry.refresh))
    monkeypatch.setattr(fresh, "clock", lambda: made.now)
    return made


@pytest.mark.parametrize("path", PATHS)
def test_a_view_that_was_applied_a_moment_ago_is_known(registry: Registry, client: Client, path: str) -> None:
    registry.applied.add("weather")
    answer = client.post(path, content="weather")
    assert (answer.status_code, answer.text, registry.readings) == (200, "weather", 1)
    assert client.post(path, content="weather").status_code == 200
    assert registry.readings == 1


def test_what_is_applied_right_after_is_known_as_well(registry: Registry, client: Client) -> None:
    for name in ("weather", "rates"):
        registry.applied.add(name)
        client.now += 0.01
        assert client.post(PATHS[0], content=name).status_code == 200
    assert registry.readings == 2


def test_who_asks_at_once_waits_for_one_reading(registry: Registry, client: Client) -> None:
    registry.applied |= {"weather", "rates"}

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(client.app), base_url="http://server") as http:
            names = ("weather", "rates", "nowhere", "weather")
            answers = await asyncio.gather(*(http.post(PATHS[0], content=name) for name in names))
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200, 200, 404, 200]
    assert registry.readings == 1


def test_what_is_nowhere_does_not_keep_the_registry_busy(registry: Registry, client: Client) -> None:
    codes = [client.post(PATHS[0], content="nowhere").status_code for _ in range(5)]
    assert (codes, registry.readings) == ([404] * 5, 1)
    client.now += 2 * fresh.PAUSE_SECONDS
    client.post(PATHS[0], content="nowhere")
    assert registry.readings == 2


def test_an_error_is_answered_as_one(client: Client) -> None:
    assert client.post(PATHS[0], content="broken").status_code == 500


def test_what_may_not_be_done_twice_is_done_once(registry: Registry, client: Client) -> None:
    assert client.post("/materialize", content="weather").status_code == 404
    assert registry.readings == 0
