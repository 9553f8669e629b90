"""The feature server: what projects tell of their features and push, and Feast's own application for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from feast.errors import FeastError
from feast.permissions.security_manager import no_security_manager
from feast.permissions.server.utils import AuthManagerType, ServerType, init_auth_manager
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from mlplat.online import definitions, erasing, memory, values
from mlplat.online.definitions import ConflictError, Definitions
from mlplat.online.erasing import Entity, Erasure
from mlplat.online.projects import BrokenProjectError, Home, Projects, UnknownProjectError
from mlplat.online.values import RowError, UnknownGroupError, Values

Document = TypeVar("Document", bound=BaseModel)
Answer = Callable[[Request], Awaitable[Response]]
STATUS: dict[type[Exception], int] = {
    UnknownProjectError: 404,
    UnknownGroupError: 404,
    ConflictError: 409,
    ValidationError: 422,
    RowError: 422,
    BrokenProjectError: 503,
}
"""What the caller is told by; whatever else goes wrong is a 500, and in the log."""


def application(home: Home) -> Starlette:
    """Return the application of the projects of a place.

    Raises what Feast does where the registry's database does not answer or lacks its tables.
    """
    # Who may ask is the network's to say, as for the registry.
    no_security_manager()
    init_auth_manager(auth_type=AuthManagerType.NONE, server_type=ServerType.REST, auth_config=None)
    memory.forget_addresses()
    projects = Projects(home)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with projects:
            yield

    async def alive(_: Request) -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    async def ready(_: Request) -> PlainTextResponse:
        # Feast's own `/health` reads a cache, and is well on a database that is gone.
        well = await run_in_threadpool(home.answers)
        return PlainTextResponse("ready\n" if well else "the database does not answer\n", 200 if well else 503)

    async def define(request: Request) -> Response:
        given = await _read(request, Definitions)
        project = await projects.begin(request.path_params["project"])
        return JSONResponse(await run_in_threadpool(definitions.put, project.store, given))

    def asked(do: Callable[[Any, Any], object], kind: type[BaseModel]) -> Answer:
        async def answer(request: Request) -> Response:
            project = projects.find(request.path_params["project"])
            return JSONResponse(await run_in_threadpool(do, project.store, await _read(request, kind)))

        return _told(answer)

    async def below(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answering: Any = projects.find(scope["path_params"]["project"]).app
        except (UnknownProjectError, BrokenProjectError) as error:
            answering = _refused(error)
        await answering(scope, receive, send)

    routes = [
        Route("/alive", alive),
        Route("/ready", ready),
        Route("/{project}/definitions", _told(define), methods=["PUT"]),
        Route("/{project}/values", asked(values.write, Values), methods=["POST"]),
        Route("/{project}/findings", asked(erasing.find, Entity), methods=["POST"]),
        Route("/{project}/erasures", asked(erasing.erase, Erasure), methods=["POST"]),
        Mount("/{project}", app=below),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _read(request: Request, kind: type[Document]) -> Document:
    return kind.model_validate_json(await request.body())


def _told(answer: Answer) -> Answer:
    async def told(request: Request) -> Response:
        try:
            return await answer(request)
        except (*STATUS, FeastError) as error:
            return _refused(error)

    return told


def _refused(error: Exception) -> JSONResponse:
    status = STATUS.get(type(error)) or (error.http_status_code() if isinstance(error, FeastError) else 500)
    if isinstance(error, ValidationError):
        first, *others = error.errors(include_url=False, include_context=False)
        place = ".".join(str(part) for part in first["loc"])
        more = f" (and {len(others)} more)" if others else ""
        return JSONResponse({"error": f"{place}: {first['msg']}{more}".removeprefix(": ")}, status)
    return JSONResponse({"error": str(error)}, status)
