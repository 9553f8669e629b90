"""An MLflow tracking server over REST: what the controller and the command line read of it, and the little they write.

MLflow's own client is not needed for this, and is not installed where they run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.files import writing

SECONDS = 3.0
"""For one answer of the controller's, which asks again later."""
FETCH_SECONDS = 60.0
"""For one piece of a file."""
NEWEST = 10
"""Runs that are looked at for one that fits."""
PAGE = 200
"""Entries in one answer of a search."""
GATE_REPORT = "gate/report.json"
"""Where a run keeps what the gate said of its model."""
SCHEME = "mlflow-artifacts:"
ABSENT = "RESOURCE_DOES_NOT_EXIST"


class AbsentError(RefusedError):
    """The server holds no such model, version, alias, run or artifact."""


def by_key(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return tags, parameters or metrics, which the server lists with `key` and `value`, by their keys."""
    return {each["key"]: each["value"] for each in entries}


class Tracking:
    """One tracking server that serves its artifacts itself.

    Every method raises `UnreachableError` when the server does not answer within `seconds`, or answers that it failed;
    `AbsentError` for what it does not hold; `RefusedError` for what it refuses.
    """

    def __init__(self, address: str, http: httpx.Client, *, seconds: float = SECONDS) -> None:
        self.address = address.rstrip("/")
        self._http = http
        self._seconds = seconds

    def get(self, route: str, **query: str) -> dict[str, Any]:
        """Return the answer of a route such as `runs/get`."""
        return self._document(self._send("GET", f"{self.address}/api/2.0/mlflow/{route}", params=query))

    def write(self, method: str, route: str, **fields: str) -> None:
        """Write something; it is not asked whether it was there already."""
        self._send(method, f"{self.address}/api/2.0/mlflow/{route}", json=fields)

    def runs(self, experiment: str, wanted: str) -> list[dict[str, Any]]:
        """Return the newest runs of an experiment, by its name, that a filter finds; none where it does not exist."""
        try:
            found = self.get("experiments/get-by-name", experiment_name=experiment)["experiment"]
        except AbsentError:
            return []
        asked = {
            "experiment_ids": [found["experiment_id"]],
            "filter": wanted,
            "max_results": NEWEST,
            "order_by": ["attributes.start_time DESC"],
        }
        answer = self._send("POST", f"{self.address}/api/2.0/mlflow/runs/search", json=asked)
        runs: list[dict[str, Any]] = self._document(answer).get("runs", [])
        return runs

    def search(self, route: str, key: str, **query: str) -> Iterator[dict[str, Any]]:
        """Return everything that a search finds, over as many answers as it takes."""
        token: str | None = ""
        while token is not None:
            page = {"max_results": str(PAGE), **query, **({"page_token": token} if token else {})}
            answer = self.get(route, **page)
            yield from answer.get(key, [])
            token = answer.get("next_page_token") or None

    def run_file(self, run: str, path: str) -> bytes:
        """Return a file among a run's artifacts."""
        info = self.get("runs/get", run_id=run)["run"]["info"]
        return self._send("GET", self._artifact(f"{artifact_path(info['artifact_uri'])}/{path}")).content

    def artifact(self, source: str, name: str) -> bytes:
        """Return one file of an artifact folder."""
        return self._send("GET", self._artifact(f"{artifact_path(source)}/{name}")).content

    def download(self, source: str, folder: Path) -> None:
        """Write all files of an artifact folder below `folder`. Raises `StateError` when that cannot be written."""
        path = artifact_path(source)
        for name in self._files(path):
            try:
                self._save(self._artifact(f"{path}/{name}"), folder / name)
            except MlplatError:  # some of which are an `OSError` as well
                raise
            except OSError as error:
                with writing(folder):
                    raise error from None

    def _save(self, url: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._stream(url) as answer, target.open("wb") as file:
            for piece in answer.iter_bytes():
                file.write(piece)

    def _files(self, path: str, below: str = "") -> Iterator[str]:
        url = f"{self.address}/api/2.0/mlflow-artifacts/artifacts"
        answer = self._document(self._send("GET", url, params={"path": f"{path}/{below}".rstrip("/")}))
        for item in answer.get("files", []):
            name = f"{below}/{_plain_name(item['path'])}".lstrip("/")
            if item.get("is_dir"):
                yield from self._files(path, name)
            else:
                yield name

    def _artifact(self, path: str) -> str:
        return f"{self.address}/api/2.0/mlflow-artifacts/artifacts/{path}"

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            read = answer.json()
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise UnreachableError(f"what answers on {self.address} is no tracking server", hint=_HINT)
        return read

    def _send(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, url, timeout=self._seconds, **arguments)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise self._error(answer)
        return answer

    @contextlib.contextmanager
    def _stream(self, url: str) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", url, timeout=FETCH_SECONDS) as answer:
                if answer.is_error:
                    answer.read()
                    raise self._error(answer)
                yield answer
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _error(self, answer: httpx.Response) -> MlplatError:
        try:
            document = answer.json()
        except ValueError:
            document = {}
        said = document.get("message") or answer.reason_phrase
        if answer.status_code == httpx.codes.NOT_FOUND or document.get("error_code") == ABSENT:
            return AbsentError(f"the registry says: {said}", hint="`mlplat model list` shows what it holds")
        if answer.is_client_error:
            return RefusedError(f"the registry says: {said}")
        return UnreachableError(f"the registry at {self.address} answers with {answer.status_code}: {said}", hint=_HINT)

    def _unreachable(self, error: httpx.HTTPError) -> UnreachableError:
        return UnreachableError(f"the registry does not answer on {self.address}: {error}", hint=_HINT)


_HINT = "`mlplat status` shows whether it runs, `mlplat up` starts it"


def artifact_path(address: str) -> str:
    """Return the path of `mlflow-artifacts:/1/<run>/artifacts/model` below the server's artifacts.

    Raises `RefusedError` for artifacts that lie elsewhere.
    """
    if not address.startswith(SCHEME):
        raise RefusedError(f"{address}: only artifacts that the tracking server hands out can be served")
    return httpx.URL(address).path.strip("/")


def _plain_name(listed: str) -> str:
    """Return the last part of a listed path, which must not lead out of the artifact's folder."""
    name = PurePosixPath(listed).name
    if name in ("", ".", "..") or "\\" in name:
        raise RefusedError(f"the registry lists a file named `{listed}`")
    return name
