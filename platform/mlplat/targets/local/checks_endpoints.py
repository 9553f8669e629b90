"""What can be wrong with a platform's endpoints, looked at without changing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mlplat.controller.document import Status
from mlplat.controller.local import OWNER
from mlplat.controller.store import MEND, SCHEMA_VERSION
from mlplat.labels import Name
from mlplat.supervision import Supervisor
from mlplat.targets.local.checks import damage

STORE = "endpoints.db"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    what: str
    said: str
    """What was seen."""
    mend: str


def endpoint_faults(state: Path) -> Iterator[Fault]:
    """Look at the endpoint store below a platform's state folder, and at what is kept running for it."""
    path = state / STORE
    owners = {owner.removeprefix(OWNER) for owner in Supervisor(state).owners() if owner.startswith(OWNER)}
    wrong = damage(path)
    if not path.exists() or wrong == "is empty":
        if owners:
            said = f"{path}: {wrong or 'is not there'}, while processes of {_names(owners)} are kept running"
            yield Fault("endpoint store", said, MEND)
        return
    if wrong:
        yield Fault("endpoint store", f"{path}: {wrong}", MEND)
        return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)) as database:
            yield from _contents(path, database, owners)
    except sqlite3.Error as error:
        yield Fault("endpoint store", f"{path}: {error}", MEND)


def _contents(path: Path, database: sqlite3.Connection, owners: set[str]) -> Iterator[Fault]:
    found = int(database.execute("PRAGMA user_version").fetchone()[0])
    if found > SCHEMA_VERSION:
        said = f"{path}: was written by a newer mlplat (schema {found}, this one reads {SCHEMA_VERSION})"
        yield Fault("endpoint store", said, "use that version of mlplat")
        return
    rows = database.execute("SELECT name, spec IS NOT NULL, status FROM endpoints ORDER BY name").fetchall()
    if unknown := owners - {name for name, _, _ in rows}:
        said = f"{path}: has never heard of {_names(unknown)}, whose processes are kept running"
        yield Fault("endpoint store", said, MEND)
    for name, exists, status in rows:
        if exists:
            yield from _endpoint(path, name, status)


def _endpoint(path: Path, name: str, text: str) -> Iterator[Fault]:
    what = f"endpoint {Name.from_id(name)}"
    try:
        status = Status.model_validate_json(text)
    except ValidationError:
        yield Fault(what, f"{path}: its document does not hold", MEND)
        return
    if status.trouble:
        yield Fault(what, status.trouble, f"`mlplat rollout status {Name.from_id(name)}`; it is tried again")
    if status.standing_in is not None:
        said = f"its champion does not answer; r{status.standing_in} stands in"
        yield Fault(what, said, f"`mlplat endpoint show {Name.from_id(name)}` says since when")


def _names(owners: set[str]) -> str:
    return ", ".join(sorted(str(Name.from_id(owner)) for owner in owners))
