"""The platform's feature server as a project speaks to it: what a version looks up, and the values that are pushed.

No project imports Feast: definitions and values are JSON, over HTTP (`mlplat.online`). A version's contract names the
service that answers its look-ups, so an older version is answered with its own columns for as long as it serves.
"""

from __future__ import annotations

import hashlib
import http
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from mlplat.bundle import KEY_TYPES, Column, Contract, LookUp
from mlplat.contracts import FEATURES, Connection
from mlplat.errors import MlplatError, RefusedError, UnreachableError, UsageError
from mlplat.labels import feast_name
from mlplat.runtime import bundles
from mlplat.spec.project import ProjectSpec

TIMEOUT = 10.0
LOOKING_THROUGH = 600.0
"""Seconds that a server may take to look through all it keeps: for a million rows of ten columns it works 40, twice."""
PATIENCE = 30.0
"""Seconds for which a server is asked again that is away: one that was killed is back sooner."""
PAUSE, LONGEST_PAUSE = 0.5, 30.0
ROWS = 1000
"""Of one push: the server takes five times as many."""

T = TypeVar("T")


class UntoldError(RefusedError):
    """A server was never told of what it is asked for, or has lost it."""


@dataclass(frozen=True)
class Pushed:
    """What became of rows that were pushed."""

    written: int
    older: int
    """Rows of which a newer one was there, or in the same push."""
    unknown: frozenset[str]
    """Columns that no version looks up yet, and that were left out."""

    def __add__(self, other: Pushed) -> Pushed:
        return Pushed(self.written + other.written, self.older + other.older, self.unknown | other.unknown)


@dataclass(frozen=True)
class Online:
    """A platform's feature server, for one project."""

    url: str

    @classmethod
    def of(cls, base: str, project: str) -> Online:
        """Return a project's, where a platform's server answers on `base`."""
        return cls(f"{base}/{feast_name(project)}")

    @classmethod
    def of_run(cls, project: str) -> Online | None:
        """Return the one of the platform that a run is on; None where it has none."""
        base = os.environ.get(FEATURES)
        return cls.of(base, project) if base else None

    @classmethod
    def find(cls, spec: ProjectSpec) -> Online:
        """Return the one of a project's platform. Raises `RefusedError` where it has none."""
        if told := cls.of_run(spec.project):
            return told
        found = Connection.of_run(spec.platform)
        if not found.features:
            raise RefusedError(
                f"the platform `{found.platform}` has no feature server",
                hint="on this computer, `features: {enabled: true}` in its stack file and `mlplat up` make one",
            )
        return cls.of(found.features, spec.project)

    def define(self, contract: Contract) -> bool:
        """Tell of what a version looks up; what is there stays. Return whether the server knew of nothing before.

        Raises `RefusedError` where that does not fit what is there.
        """
        types = {column.name: column.type for column in contract.columns}
        groups = [
            {
                "name": each.group,
                "keys": [{"name": key.name, "type": key.type} for key in each.keys],
                "columns": [{"name": name, "type": types[name]} for name in each.columns],
            }
            for each in contract.lookups
        ]
        told = self._ask("PUT", "definitions", {"service": contract.features, "groups": groups})
        return bool(told.get("first"))

    def push(self, group: str, rows: pd.DataFrame, *, keys: Sequence[str], observed: str) -> Pushed:
        """Write rows (n × keys, features and the time `observed`) of a group down, each as a whole.

        A feature that a row has no value of counts as unknown from then on, as one does that the rows do not have.
        Raises `UntoldError` for a group that nobody has told of, `RefusedError` for rows that are not the group's, and
        `UnreachableError` where nobody answers.
        """
        total = Pushed(0, 0, frozenset())
        for part in _parts(rows.dropna(subset=[*keys])):  # a null is no key
            columns = [name for name in part.columns if name != observed and name not in keys]
            document = {
                "group": group,
                "observed": [pd.Timestamp(each).isoformat() for each in part[observed]],
                "keys": _columns(part[list(keys)]),
                "columns": _columns(part[columns]),
            }
            told = self._ask("POST", "values", document)
            total += Pushed(told["written"], told["older"], frozenset(told["unknown"]))
        return total

    def holding(self, column: str, value: str) -> list[dict[str, Any]]:
        """Return the groups with rows whose `column` is `value`: `group`, number of `rows`, and `hash` of them all."""
        try:
            told = self._ask("POST", "findings", {"column": column, "value": value}, seconds=LOOKING_THROUGH)
        except UntoldError:
            return []
        found: list[dict[str, Any]] = told["groups"]
        return found

    def erase(self, group: str, column: str, value: str) -> str | None:
        """Remove such rows from a group; return the hash of what is left, None where nothing is."""
        given = {"group": group, "column": column, "value": value}
        try:
            told = self._ask("POST", "erasures", given, seconds=LOOKING_THROUGH)
        except UntoldError:
            return None
        left: str | None = told["hash"]
        return left

    def _ask(self, method: str, path: str, document: Mapping[str, Any], *, seconds: float = TIMEOUT) -> dict[str, Any]:
        body = json.dumps(document, allow_nan=False).encode()
        url = f"{self.url}/{path}"
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - the platform's own
        # It is never behind a proxy.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=seconds) as answer:
                told: dict[str, Any] = json.load(answer)
                return told
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._away(str(getattr(error, "reason", error))) from error

    def _refused(self, error: urllib.error.HTTPError) -> MlplatError:
        kind = RefusedError
        try:
            said = str(json.load(error)["error"])
            # Of an older server, that it does not know how: it has no such words.
            kind = UntoldError if error.code == http.HTTPStatus.NOT_FOUND else RefusedError
        except (ValueError, KeyError, TypeError, OSError):
            said = f"it answers with {error.code}"
        if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._away(said)
        hints: dict[int, str] = {
            http.HTTPStatus.NOT_FOUND: "`mlplat run train` tells it of what a version looks up; pushes tell it again",
            http.HTTPStatus.CONFLICT: "`data.features` of mlplat.yaml has the groups; versions that serve keep theirs",
        }
        return kind(f"the feature server at {self.url} refuses: {said}", hint=hints.get(error.code))

    def _away(self, why: str) -> UnreachableError:
        return UnreachableError(
            f"the feature server at {self.url} does not answer: {why}", hint="`mlplat status` shows what runs"
        )


def key_names(spec: ProjectSpec) -> list[str]:
    """Return the columns by which features are looked up."""
    groups = spec.data.online.values()
    return list(dict.fromkeys(key for group in groups if group.online for key in group.online.keys))


def left_to_send(spec: ProjectSpec, features: Sequence[str]) -> list[str]:
    """Return the columns of a request where the endpoint looks up what it can: the other features, and the keys."""
    found = {column for group in spec.data.online.values() for column in group.columns}
    return list(dict.fromkeys([*(name for name in features if name not in found), *key_names(spec)]))


def keys_of(rows: pd.DataFrame, spec: ProjectSpec) -> tuple[Column, ...]:
    """Return them as a contract has them. Raises `UsageError` for one that the rows (n × columns) do not have,
    or that features cannot be found by.
    """
    names = key_names(spec)
    if missing := [name for name in names if name not in rows.columns]:
        raise UsageError(
            f"`data.features` of mlplat.yaml looks features up by `{missing[0]}`, which the rows do not have",
            hint="`features.build` has to return it",
        )
    found = bundles.columns_of(rows[names])
    if other := next((key for key in found if key.type not in KEY_TYPES), None):
        raise UsageError(
            f"`data.features` of mlplat.yaml looks features up by `{other.name}`, which is {other.type}: a key is a"
            " whole number or a text",
            hint="have `features.build` return it as one; a column of whole numbers with nulls is no longer one",
        )
    return found


def look_ups(spec: ProjectSpec, features: pd.DataFrame, keys: Sequence[Column]) -> dict[str, Any]:
    """Return a contract's `features` and `lookups`; nothing where the platform looks nothing up.

    `features` are those of the model (rows × columns), `keys` what they are looked up by.
    """
    if Online.of_run(spec.project) is None:
        return {}
    known = {column.name: column for column in keys}
    found = [
        LookUp(
            group=name,
            keys=tuple(known[key] for key in group.online.keys),
            columns=chosen,
            ttl_seconds=group.online.ttl_minutes * 60,
        )
        for name, group in spec.data.online.items()
        if group.online and (chosen := tuple(each for each in group.columns if each in features.columns))
    ]
    if not found:
        return {}
    told = json.dumps([each.model_dump(mode="json") for each in found], sort_keys=True)
    name = f"{spec.model}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    return {"features": name, "lookups": tuple(found)}


def define(contract: Contract) -> Online | None:
    """Tell a run's platform of what a version looks up; return its server where that knew of nothing before.

    Raises `RefusedError` where it does not fit what is there.
    """
    if contract.lookups and (server := Online.of_run(contract.project)):
        return server if patiently(lambda: server.define(contract), PATIENCE) else None
    return None


def remark(spec: ProjectSpec, contract: Contract) -> str:
    """Return what is to be said of a version where nothing is looked up on its platform; empty where something is."""
    groups = [each.group for each in contract.lookups] or list(spec.data.online)
    if not groups or Online.of_run(spec.project):
        return ""
    return f"; this platform has no feature server, so requests bring {', '.join(f'`{name}`' for name in groups)}"


def patiently(do: Callable[[], T], seconds: float, wait: Callable[[float], object] = time.sleep) -> T:
    """Do something that may find the server away, again and again for some seconds. Raises what it raised last."""
    pause, waited = PAUSE, 0.0
    while True:
        try:
            return do()
        except UnreachableError:
            if waited >= seconds:
                raise
        wait(pause)
        pause, waited = min(2 * pause, LONGEST_PAUSE), waited + pause


def _parts(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, len(rows), ROWS):
        yield rows.iloc[start : start + ROWS]


def _columns(rows: pd.DataFrame) -> dict[str, list[Any]]:
    plain = [bundles.plain(row) for row in rows.to_dict(orient="records")]
    return {str(name): [row[str(name)] for row in plain] for name in rows.columns}
