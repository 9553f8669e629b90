"""What a request leaves out for the server to look up, and what takes its place.

A group's columns come together or not at all, row by row: all of them are taken as they were sent, which is how rows of
the past are asked for again; none of them means that the group is looked up by the row's keys; some of them are a
mistake. Nothing here waits: a request is opened, whoever looks up puts in what was found, and the rows go the way that
whole ones go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

from mlplat.bundle import Column, Contract, LookUp, Value
from mlplat.serving.columns import LISTED, InputError, checked, row_place, shown
from mlplat.serving.protocol import (
    Asked,
    Served,
    Unknown,
    check_names,
    from_array,
    given_rows,
    read_inference,
    rows_reply,
    tensor_place,
    tensor_values,
    tensors_reply,
)

Key = tuple[Value, ...]
Groups = tuple[LookUp, ...]
Outcome = Literal["found", "absent", "stale"]
_WHY = {"absent": "has nothing", "stale": "has nothing recent enough", "found": "has null"}


class Sight(NamedTuple):
    """What is known of one entity in one group."""

    outcome: Outcome
    values: tuple[Value, ...]
    """In the order of the group's columns; empty unless found."""


Count = Callable[[str, Outcome, int], None]
"""Is told for how many rows a group had which outcome."""
Found = Mapping[Key, Sequence[Sight]]
"""What is known of each key, group by group."""
NOTHING = Sight("absent", ())


def key_names(groups: Groups) -> tuple[str, ...]:
    """Return what a look-up of some groups at once is asked with."""
    return tuple(dict.fromkeys(key.name for each in groups for key in each.keys))


@dataclass(slots=True)
class Gap:
    """Rows of one request that lack the same groups."""

    groups: Groups
    rows: list[int] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    """One a row, in the order of `key_names`."""
    found: Found = field(default_factory=dict)


class Opened:
    """A request that was read as far as needed to know what it leaves out."""

    def __init__(
        self,
        contract: Contract,
        put: Callable[[str, int, Value], None],
        place: Callable[[str, int], str],
        finish: Callable[[Unknown], Asked],
    ) -> None:
        self._columns = {column.name: column for column in contract.columns}
        self._put, self._place, self._finish = put, place, finish
        self._gaps: dict[tuple[str, ...], Gap] = {}
        self._keyless: list[tuple[int, LookUp]] = []

    @property
    def gaps(self) -> list[Gap]:
        """What is to be looked up; whoever does so sets each gap's `found`."""
        return list(self._gaps.values())

    def lacks(self, row: int, groups: Groups, keys: Mapping[str, Value] | None) -> None:
        """Note that a row lacks groups; where one of its keys is null, there is nothing to look up.

        Without keys the request is refused, and nothing is noted.
        """
        if keys is None:
            return
        sought = tuple(each for each in groups if all(keys[key.name] is not None for key in each.keys))
        self._keyless += [(row, each) for each in groups if each not in sought]
        if sought:
            gap = self._gaps.setdefault(tuple(each.group for each in sought), Gap(sought))
            gap.rows.append(row)
            gap.keys.append(tuple(keys[name] for name in key_names(sought)))

    def filled(self, count: Count) -> Asked:
        """Put in what was found and return the whole request; null stands for what is not known.

        `count` is told how often each group had which outcome. Raises `InputError`.
        """
        unknown: dict[int, list[str]] = {}
        outcomes: dict[tuple[str, Outcome], int] = {}
        problems: list[str] = []
        for row, each, sight, said in self._sights():
            place = each.group, sight.outcome
            outcomes[place] = outcomes.get(place, 0) + 1
            if sight.outcome != "found":
                unknown.setdefault(row, []).append(each.group)
            for name, value in zip(each.columns, sight.values or [None] * len(each.columns), strict=True):
                if value is None and not self._columns[name].nullable and len(problems) < LISTED:
                    why = f"`{each.group}` {_WHY[sight.outcome]} of {said()}, and the column must not be null"
                    problems.append(f"{self._place(name, row)}: {why}")
                self._put(name, row, value)
        for (group, outcome), times in outcomes.items():
            count(group, outcome, times)
        if problems:
            raise InputError(problems)
        return self._finish(unknown)

    def _sights(self) -> Iterator[tuple[int, LookUp, Sight, Callable[[], str]]]:
        """Go through rows and the groups that they lack, with words for what was looked for."""
        for row, each in self._keyless:
            yield row, each, NOTHING, lambda: "a key that is null"
        for gap in self._gaps.values():
            names = key_names(gap.groups)
            for row, key in zip(gap.rows, gap.keys, strict=True):
                for each, sight in zip(gap.groups, gap.found[key], strict=True):
                    yield row, each, sight, partial(_said, each, dict(zip(names, key, strict=True)))


def _said(group: LookUp, keys: Mapping[str, Value]) -> str:
    return ", ".join(f"{key.name}={shown(keys[key.name])}" for key in group.keys)


Opener = Callable[[Served, bytes], Opened]
"""Reads a request of a model with look-ups."""


def open_rows(served: Served, body: bytes) -> Opened:
    """Read rows that may lack groups. Raises `InputError`."""
    rows = given_rows(served, body)
    contract, keys = served.model.contract, tuple(served.model.contract.keys.values())
    extra = {key.name for key in keys}.difference(served.model.schema.names)

    def put(name: str, row: int, value: Value) -> None:
        rows[row][name] = value

    def finish(unknown: Unknown) -> Asked:
        return Asked(served.model.schema.from_rows(rows), partial(rows_reply, served, unknown), unknown)

    opened = Opened(contract, put, row_place, finish)
    problems: list[str] = []
    for place, row in enumerate(rows if isinstance(rows, list) else ()):
        if not isinstance(row, dict) or len(problems) >= LISTED:
            break  # the former is said when the rows are turned into columns
        written = partial(row_place, row=place)
        groups = _lacking(contract, row, written, problems)
        opened.lacks(place, groups, _found_keys(keys, groups, row, written, problems))
        for name in extra:
            row.pop(name, None)
    if problems:
        raise InputError(problems)
    return opened


def open_tensors(served: Served, body: bytes) -> Opened:
    """Read tensors of which those of whole groups may be missing. Raises `InputError`."""
    given = read_inference(served, body)
    contract, schema, tensors = served.model.contract, served.model.schema, given.tensors
    keys = contract.keys
    if (columns := from_array(served, tensors)) is not None:
        return Opened(
            contract, _nowhere, tensor_place, lambda _: Asked(columns, partial(tensors_reply, served, given, {}))
        )
    problems: list[str] = []
    groups = _lacking(contract, tensors, lambda name: f"inputs[{name}]", problems)
    if problems:
        raise InputError(problems)
    absent = {name for each in groups for name in each.columns}
    needed = dict.fromkeys((*(key.name for each in groups for key in each.keys), *schema.names))
    check_names(tensors, [name for name in needed if name not in absent], {*schema.names, *keys})
    known = {**keys, **{column.name: column for column in schema.columns}}
    values = tensor_values(served, [known[name] for name in known if name in tensors], tensors)
    count = len(next(iter(values.values())))
    values |= {name: [None] * count for name in absent}

    def put(name: str, row: int, value: Value) -> None:
        values[name][row] = value

    def finish(unknown: Unknown) -> Asked:
        return Asked(schema.from_values(values, tensor_place), partial(tensors_reply, served, given, unknown))

    opened = Opened(contract, put, tensor_place, finish)
    for row in range(count if groups or not set(schema.names).issuperset(tensors) else 0):
        if len(problems) >= LISTED:
            break
        sent = {name: values[name][row] for name in keys if name in tensors}
        opened.lacks(
            row, groups, _found_keys(tuple(keys.values()), groups, sent, partial(tensor_place, row=row), problems)
        )
    if problems:
        raise InputError(problems)
    return opened


def _lacking(contract: Contract, sent: Mapping[str, Any], place: Callable[[str], str], problems: list[str]) -> Groups:
    """Return the groups of which nothing was sent, and note what is missing of those sent in part."""
    lacking: list[LookUp] = []
    for each in contract.lookups:
        missing = [name for name in each.columns if name not in sent]
        if len(missing) == len(each.columns):
            lacking.append(each)
        elif missing:
            said = f"is missing; the columns of `{each.group}` come together, or not at all and are looked up"
            problems.append(f"{place(missing[0])}: {said}")
    return tuple(lacking)


def _found_keys(
    keys: Sequence[Column], groups: Groups, sent: Mapping[str, Any], place: Callable[[str], str], problems: list[str]
) -> dict[str, Value] | None:
    """Return the values of keys that groups are looked up by, and note what is wrong with any key; None then."""
    found: dict[str, Value] = {}
    needed = {key.name: each.group for each in groups for key in each.keys}
    for key in keys:
        if key.name not in sent:
            if group := needed.get(key.name):
                problems.append(f"{place(key.name)}: is missing; `{group}` is looked up by it")
            continue
        try:
            value = checked(key, sent[key.name])
        except ValueError as error:
            problems.append(f"{place(key.name)}: {error}")
        else:
            if key.name in needed:
                found[key.name] = value
    return found if len(found) == len(needed) else None


def _nowhere(name: str, row: int, _: Value) -> None:
    raise AssertionError(f"nothing is looked up for whole rows, and `{name}` of row {row} is")
