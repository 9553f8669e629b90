"""The projects of a feature server, each with Feast's own application, and where what they keep lies.

On a cluster they are listed, and all are in one database; on one computer a project is there once it has told of its
features, in a folder of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sqlite3
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from feast import FeatureStore, RepoConfig
from feast.feature_server import get_app
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from mlplat.online import dynamodb, memory, sqlite, store
from mlplat.online.fresh import Fresh

REFRESH_SECONDS = 60
"""After which a view that was applied anew is known as it is now; one that was not known at all is looked for."""
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,62}")
"""As Feast takes a project's name."""
KEYS = 3
"""Version of the form in which Feast writes keys down."""
FILES = ("registry.db", "online.db")
"""Of a project on one computer."""


class UnknownProjectError(Exception):
    """There is no such project here."""


class BrokenProjectError(Exception):
    """What a project keeps cannot be read."""


class Store(FeatureStore):  # type: ignore[misc]  # Feast ships no types
    """A project's feature store that takes rows as Feast's own clients send them, and knows what was read last."""

    def __init__(self, config: RepoConfig) -> None:
        super().__init__(config=config)
        memory.read_in_turn(self.registry)

    def _get_feature_view_and_df_for_online_write(self, *given: Any, **named: Any) -> tuple[Any, Any]:
        view, rows = super()._get_feature_view_and_df_for_online_write(*given, **named)
        source = getattr(view, "batch_source", None)
        if rows is None or source is None:
            return view, rows
        # They call a row's times so whatever the view does, and Feast's server then looks for the view's own names.
        sent = {"event_timestamp": source.timestamp_field, "created": source.created_timestamp_column}
        own = {name: field for name, field in sent.items() if field and name in rows and field not in rows}
        return view, rows.rename(columns=own)


class Home(Protocol):
    """Where projects' definitions and values lie."""

    def names(self) -> list[str]:
        """Return the projects that are there."""

    def takes(self, project: str) -> bool:
        """Tell whether a project may begin."""

    def store(self, project: str) -> Store:
        """Return a project's store. Raises `BrokenProjectError`, or what Feast does where a database is away."""

    def keeps(self, project: str) -> bool:
        """Tell whether what a project's store was made on is still there."""

    def answers(self) -> bool:
        """Tell whether values can be looked up at all."""


class Listed:
    """Projects that were named, whose `feature_store.yaml` is one file, as JSON, but for the project's name."""

    def __init__(self, file: Path, projects: list[str]) -> None:
        self._given: dict[str, Any] = json.loads(os.path.expandvars(file.read_text()))
        self._projects = projects

    def names(self) -> list[str]:
        """See `Home.names`."""
        return self._projects

    def takes(self, project: str) -> bool:
        """See `Home.takes`: no other one may."""
        return project in self._projects

    def store(self, project: str) -> Store:
        """See `Home.store`."""
        return Store(config=RepoConfig(**{**self._given, "project": project}))

    def keeps(self, project: str) -> bool:
        """See `Home.keeps`: a database is asked each time, and tells itself."""
        return project in self._projects

    def answers(self) -> bool:
        """See `Home.answers`."""
        kept = self._given["online_store"]
        if "url" in kept:
            return store.answers(kept["url"])
        return dynamodb.answers(kept["region"], kept["table_name_template"])


class Folder:
    """Projects in folders of their own: whoever tells of features is one from then on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, list[tuple[int, int]]] = {}
        """By project, which files they are: a removed one is written to for as long as somebody has it open."""

    def names(self) -> list[str]:
        """See `Home.names`."""
        return sorted(path.parent.name for path in self._folder.glob("*/registry.db"))

    def takes(self, project: str) -> bool:
        """See `Home.takes`."""
        return bool(NAME.fullmatch(project))

    def store(self, project: str) -> Store:
        """See `Home.store`. Raises `BrokenProjectError`."""
        home = self._folder / project
        try:
            return self._open(project, home)
        except (sqlite3.Error, SQLAlchemyError, OSError) as error:
            raise BrokenProjectError(f"{home}: cannot be read: {error}; move it away, and push again") from error

    def keeps(self, project: str) -> bool:
        """See `Home.keeps`."""
        try:
            return self._opened.get(project) == _identities(self._folder / project)
        except FileNotFoundError:
            return False

    def _open(self, project: str, home: Path) -> Store:
        home.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            sqlite.connect(home / name).close()
        self._opened[project] = _identities(home)
        given = {
            "project": project,
            "provider": "local",
            "entity_key_serialization_version": KEYS,
            "registry": {"registry_type": "sql", "path": f"sqlite:///{home / 'registry.db'}"},
            "online_store": {
                "type": "mlplat.online.sqlite.ThreadedSqliteOnlineStore",
                "path": str(home / "online.db"),
            },
        }
        made = Store(config=RepoConfig(**given))
        # A file that somebody has removed is made again: what was in it is pushed anew.
        made.provider.online_store.make(made.config, made.registry.list_feature_views(project))
        return made

    def answers(self) -> bool:
        """See `Home.answers`: files do, and one that is broken is its own project's matter."""
        return os.access(self._folder, os.W_OK) or not self._folder.exists()


def _identities(home: Path) -> list[tuple[int, int]]:
    return [(found.st_dev, found.st_ino) for found in ((home / name).stat() for name in FILES)]


@dataclass
class Project:
    """One that is served."""

    store: Store
    app: Fresh


@dataclass
class Projects:
    """Those that are served, and beginning others."""

    home: Home
    _served: dict[str, Project] = field(default_factory=dict)
    _broken: dict[str, str] = field(default_factory=dict)
    _begun: AsyncExitStack = field(default_factory=AsyncExitStack)
    _beginning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> Projects:
        """Begin all that are there; one whose files are broken is told of where it is asked for."""
        await self._begun.__aenter__()
        for name in self.home.names():
            try:
                await self.begin(name)
            except BrokenProjectError as error:
                logging.getLogger("uvicorn.error").error("%s", error)  # noqa: TRY400 - it says all that there is
        return self

    async def __aexit__(self, *given: Any) -> None:
        """End all."""
        await self._begun.__aexit__(*given)

    def find(self, name: str) -> Project:
        """Return a project. Raises `UnknownProjectError` or `BrokenProjectError`."""
        if name in self._broken and name in self.home.names():
            raise BrokenProjectError(self._broken[name])
        if not self._serves(name):
            raise UnknownProjectError(f"no project `{name}` has told of its features")
        return self._served[name]

    async def begin(self, name: str) -> Project:
        """Return a project, which begins where it has not. Raises `UnknownProjectError` or `BrokenProjectError`."""
        if not self.home.takes(name):
            raise UnknownProjectError(f"there is no project `{name}` here")
        async with self._beginning:
            if not self._serves(name):
                self._served[name] = await self._begin(name)
                self._broken.pop(name, None)
        return self._served[name]

    def _serves(self, name: str) -> bool:
        """Tell whether a project is served; one whose files were removed begins anew when it is told of again."""
        return name in self._served and self.home.keeps(name)

    async def _begin(self, name: str) -> Project:
        try:
            made = await run_in_threadpool(self.home.store, name)
        except BrokenProjectError as error:
            self._broken[name] = str(error)
            raise
        app = get_app(made, REFRESH_SECONDS)
        # That of an application below another is not begun by itself.
        await self._begun.enter_async_context(app.router.lifespan_context(app))
        return Project(made, Fresh(app, made.refresh_registry))
