"""From the form that a document was written in to the newest one: a chain of plain functions, one a version.

The n-th function of a chain makes version n + 1 of version n. It changes a map in place, keeps what the document means,
moves only keys that it finds, and leaves alone what has the new form already. So a document without a `version`, which
is one of version 1, may be written with the newest keys, and a chain that is run twice changes nothing the second time.

What a chain changes may be plain data, or a map read with its comments: those stay with their keys.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from ruamel.yaml.comments import CommentedMap

from mlplat.errors import Problem, SpecError

Map = MutableMapping[str, Any]
Migration = Callable[[Map], None]
Chain = Sequence[Migration]


def retention(platform: Map) -> None:
    """Make version 2 of the platform's document: the prediction log's size limit stands beside one of age.

    Version 1 knew no limit of age, and none is set: an upgrade removes no answer that was kept before it.
    """
    log = _group(platform, "serving", "prediction_log")
    if log is not None and "keep_megabytes" in log and "retention" not in log:
        replace_key(log, "keep_megabytes", "retention", "megabytes")


PLATFORM: Chain = (retention,)
PROJECT: Chain = ()


def newest(chain: Chain) -> int:
    """Return the version that a chain leads to."""
    return len(chain) + 1


def version_of(data: Any, chain: Chain) -> int:
    """Return a document's version: 1 where it says none, the newest for what is no version and is refused later."""
    written = data.get("version", 1) if isinstance(data, MutableMapping) else None
    return written if isinstance(written, int) and not isinstance(written, bool) and written > 0 else newest(chain)


def refuse_newer(data: Any, chain: Chain, source: str) -> None:
    """Raise `SpecError` for a document of a version that this mlplat does not know yet."""
    if (found := version_of(data, chain)) > newest(chain):
        problem = Problem("version", f"is {found}, and this mlplat knows {newest(chain)}", "use a newer mlplat")
        raise SpecError(source, [problem])


def upgrade(data: Map, chain: Chain) -> bool:
    """Bring a map to the newest form in place; tell whether it had to change."""
    written = version_of(data, chain)
    if written >= newest(chain):
        return False
    before = copy.deepcopy(data)
    for step in chain[written - 1 :]:
        step(data)
    if "version" in data:
        data["version"] = newest(chain)
    elif data != before:
        _put_first(data, "version", newest(chain))
    return bool(data != before)


def upgraded(data: Any, chain: Chain) -> Any:
    """Return a document in the newest form: itself when it has it, otherwise a changed copy."""
    made = copy.deepcopy(data)
    return made if isinstance(made, MutableMapping) and upgrade(made, chain) else data


def replace_key(group: Map, old: str, new: str, below: str | None = None) -> None:
    """Rename a key where it stands, with its comments and line; its value goes into a map under `below`, if given."""
    if not isinstance(group, CommentedMap):
        value = group[old] if below is None else {below: group[old]}
        items = [(new, value) if key == old else (key, kept) for key, kept in group.items()]
        group.clear()
        group.update(items)
        return
    at = list(group).index(old)
    # A quoted key, as in JSON, is followed by quoted ones.
    write = type(list(group)[at])
    value = group[old] if below is None else _flow({write(below): group[old]})
    comments, place = group.ca.items.pop(old, None), (group.lc.data or {}).pop(old, None)
    del group[old]
    group.insert(at, write(new), value)
    if comments:
        group.ca.items[new] = comments
    if place:
        group.lc.data[new] = place


def _flow(items: dict[str, Any]) -> CommentedMap:
    made = CommentedMap(items)
    made.fa.set_flow_style()
    return made


def _put_first(data: Map, key: str, value: Any) -> None:
    if isinstance(data, CommentedMap):
        data.insert(0, type(next(iter(data)))(key), value)
        return
    items = [(key, value), *data.items()]
    data.clear()
    data.update(items)


def _group(data: Any, *path: str) -> Map | None:
    """Return the map at a path; None where there is none, or something else, which is refused later."""
    for key in path:
        data = data.get(key) if isinstance(data, MutableMapping) else None
    return data if isinstance(data, MutableMapping) else None
