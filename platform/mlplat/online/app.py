"""Feast's feature server for several projects, each below its own name, and whether they can be answered."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from feast import FeatureStore, RepoConfig
from feast.feature_server import get_app
from feast.permissions.security_manager import no_security_manager
from feast.permissions.server.utils import AuthManagerType, ServerType, init_auth_manager
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from mlplat.online.fresh import Fresh
from mlplat.online.store import answers

REFRESH_SECONDS = 60
"""After which a view that was applied anew is known as it is now; one that was not known at all is looked for."""


class Store(FeatureStore):  # type: ignore[misc]  # Feast ships no types
    """A project's feature store that takes rows as Feast's own clients send them."""

    def _get_feature_view_and_df_for_online_write(self, *given: Any, **named: Any) -> tuple[Any, Any]:
        view, rows = super()._get_feature_view_and_df_for_online_write(*given, **named)
        source = getattr(view, "batch_source", None)
        if rows is None or source is None:
            return view, rows
        # They call a row's times so whatever the view does, and Feast's server then looks for the view's own names.
        sent = {"event_timestamp": source.timestamp_field, "created": source.created_timestamp_column}
        own = {name: field for name, field in sent.items() if field and name in rows and field not in rows}
        return view, rows.rename(columns=own)


def application(file: Path, projects: Sequence[str]) -> Starlette:
    """Return the application of projects whose `feature_store.yaml` is `file`, as JSON, but for the project's name.

    Raises what Feast does where the registry's database does not answer or lacks its tables.
    """
    given: dict[str, Any] = json.loads(os.path.expandvars(file.read_text()))
    stores = {name: Store(config=RepoConfig(**{**given, "project": name})) for name in projects}
    # Who may ask is the network's to say, as for the registry.
    no_security_manager()
    init_auth_manager(auth_type=AuthManagerType.NONE, server_type=ServerType.REST, auth_config=None)
    apps = {name: get_app(store, REFRESH_SECONDS) for name, store in stores.items()}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # Those of applications below are not begun by themselves.
        async with AsyncExitStack() as begun:
            for each in apps.values():
                await begun.enter_async_context(each.router.lifespan_context(each))
            yield

    async def alive(_: Request) -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    async def ready(_: Request) -> PlainTextResponse:
        # Feast's own `/health` reads a cache, and is well on a database that is gone.
        well = await run_in_threadpool(answers, given["online_store"]["url"])
        return PlainTextResponse("ready\n" if well else "the database does not answer\n", 200 if well else 503)

    below = [Mount(f"/{name}", app=Fresh(app, stores[name].refresh_registry)) for name, app in apps.items()]
    return Starlette(routes=[Route("/alive", alive), Route("/ready", ready), *below], lifespan=lifespan)
