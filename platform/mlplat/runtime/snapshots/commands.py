"""What `mlplat data` asks of a project's own environment: one request, one answer, both JSON."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlplat.clock import Clock
from mlplat.errors import UsageError
from mlplat.runtime.snapshots import erasure, holders, reviews
from mlplat.runtime.snapshots.difference import difference
from mlplat.runtime.snapshots.holders import Holder
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.reviews import Answer, Class, Reviews
from mlplat.runtime.snapshots.store import Snapshot, Snapshots
from mlplat.runtime.snapshots.tombstones import Tombstones

Request = Mapping[str, Any]


def answer(project: Path, request: Request) -> Any:
    """Answer a request, whose `verb` says what for. Raises `MlplatError`."""
    verbs: dict[str, Callable[[Path, Request], Any]] = {"list": _list, "show": _show, "diff": _diff, "erase": _erase}
    verbs |= {"review": _review, "label": _label}
    return verbs[request["verb"]](project, request)


def _list(project: Path, _request: Request) -> list[dict[str, Any]]:
    store = Snapshots(Place.of(project))
    return [_described(store, each) for each in store.all()]


def _show(project: Path, request: Request) -> dict[str, Any]:
    store = Snapshots(Place.of(project))
    found = store.find(request["snapshot"]) if request["snapshot"] else next(iter(store.all()), None)
    if found is None:
        raise UsageError("there are no snapshots yet", hint="`mlplat run train` keeps what it learns from as one")
    return _described(store, found)


def _described(store: Snapshots, found: Snapshot) -> dict[str, Any]:
    return {**asdict(found), "kept": store.has_rows(found)}


def _diff(project: Path, request: Request) -> dict[str, Any]:
    store = Snapshots(Place.of(project))
    before, after = (store.find(request[name]) for name in ("before", "after"))
    return difference(before, store.rows(before), after, store.rows(after))


def _erase(project: Path, request: Request) -> dict[str, Any]:
    """Erase, or say what would be."""
    column, value, place = request["column"], request["value"], Place.of(project)
    found = _holders(project, request)
    _refuse_unknown(Snapshots(place), found, column, value)
    if not request["dry_run"]:
        made = erasure.erase(
            found,
            Tombstones(place),
            column,
            value,
            reason=request["reason"],
            now=Clock.from_environment().now(),
            versions=request["versions"],
            unreached=request["unreached"],
        )
        return asdict(made)
    held, silent = erasure.plan(found, column, value)
    models = erasure.seen_by(held, request["versions"], Snapshots(place))
    unreached = [*request["unreached"], *silent]
    return {"column": column, "held": [asdict(each) for each in held], "models": models, "unreached": unreached}


def _refuse_unknown(snapshots: Snapshots, found: Sequence[Holder], column: str, value: str) -> None:
    """Raise `UsageError` for a column that nothing has: a slip of the pen would pass for an entity nobody holds."""
    columns = {name for each in snapshots.all() for name in each.columns}
    if not columns or column in columns or any(erasure.plan(found, column, value)):
        return
    near = difflib.get_close_matches(column, columns, 1)
    meant = f"did you mean `{near[0]}`? " if near else ""
    raise UsageError(
        f"no training set has a column `{column}`: none of its rows would be found by it",
        hint=f"{meant}`mlplat data show` lists the columns",
    )


def _review(project: Path, request: Request) -> dict[str, Any]:
    """Return what waits for a person, and what was labelled."""
    known = Reviews(Place.of(project)).all()
    answers = reviews.abstained(Place(request["log"]), request["project"]) if request["log"] else []
    return {
        "waiting": [asdict(each) for each in reviews.waiting(answers, known)],
        "labelled": [asdict(each) for each in known],
    }


def _label(project: Path, request: Request) -> dict[str, int]:
    """Write labels down, all that are given or, where one of them cannot be, none."""
    store = Reviews(Place.of(project))
    known = {each.answer.id: each for each in store.all()}
    answers = reviews.abstained(Place(request["log"]), request["project"]) if request["log"] else []
    found = {each.answer.id: each.answer for each in known.values()} | {each.id: each for each in answers}
    wanted: dict[str, tuple[Answer, Class, str]] = {}
    for each in request["labels"]:
        if each["id"] in wanted:
            raise UsageError(f"`{each['id']}` is given two labels", hint="give it one; a later one corrects it")
        if (answer := found.get(each["id"])) is None:
            hint = "`mlplat data review` lists what waits; the log keeps answers for a while only"
            raise UsageError(f"there is no answer `{each['id']}` without a label", hint=hint)
        wanted[answer.id] = (answer, reviews.read_class(each["label"], answer.classes), each.get("note") or "")
    now = Clock.from_environment().now()
    made = [
        store.label(answer, value, note=note, now=now, known=known.get(answer.id))
        for answer, value, note in wanted.values()
    ]
    return {"labelled": sum(made), "unchanged": len(made) - sum(made)}


def _holders(project: Path, request: Request) -> list[Holder]:
    key = base64.b64decode(request["log_key"]) if request["log_key"] else None
    name, log, features = request["project"], request["log"], request["features"]
    return holders.of(project, name, log=log, log_key=key, features=features)
