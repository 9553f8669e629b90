"""A Kubernetes cluster's API: documents in and out, by the official client's configuration and connections.

Documents are plain dictionaries, as the API writes them. Nothing here knows what the platform keeps on a cluster. Each
call ends in bounded time, and what it raises says whether to try again (`UnreachableError`), to read again
(`ConflictError`) or to change something (`RefusedError`, with the API's own words).
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from mlplat.errors import MlplatError, RefusedError, UnreachableError, UsageError

Document = dict[str, Any]

MANAGER = "mlplat"
"""Who owns the fields that are applied here."""
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""The API server itself ends requests after 60 s; webhooks on the way may take 10 s each."""
RETRIES = 1
"""Of a connection that was closed while nobody used it."""
PAGE = 500
"""Objects read at a time."""
WATCH_SLACK_SECONDS = 10.0
"""Longer than the server keeps a watch that was limited: only a connection that is dead reaches it."""
APPLY = "application/apply-patch+yaml; charset=utf-8"
"""With its signs: the client sends bodies of other types than JSON as they are handed to it."""
MERGE = "application/merge-patch+json"

NOT_FOUND, CONFLICT, GONE, TOO_MANY = 404, 409, 410, 429
TEMPORARY = (408, TOO_MANY, 500, 502, 503, 504)
"""Answers that say nothing of the request: the server is starting, busy, or one behind it does not answer."""
UNTYPED = "failed to create typed patch object"
"""A field that no schema knows is an error of the server's own (500) to server-side apply; it stays one."""
ENTRY = {401: "the credentials are not taken: they may have ended", 403: "ask who runs the cluster for the right to it"}


class ConflictError(RefusedError):
    """Somebody else wrote in between, or the object is there already."""


class UnknownKindError(RefusedError):
    """The cluster has no objects of a kind."""


class Cluster:
    """One cluster, entered as somebody. Safe to use from several threads."""

    def __init__(self, configuration: Any, described: str) -> None:
        from kubernetes.client import ApiClient

        configuration.retries = RETRIES
        # The client reads NO_PROXY and forgets it: the cluster of a pod would be sought behind a proxy.
        configuration.no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        self.client = ApiClient(configuration)
        self.described = described
        """How errors name it."""
        self._kinds: dict[str, dict[str, Document]] = {}
        self._lock = threading.Lock()

    @classmethod
    def of_context(cls, context: str | None, kubeconfig: str | Path | None = None) -> Cluster:
        """Enter by a context of the kubeconfig; None is its current one. Raises `UsageError` when it does not hold."""
        from kubernetes import config
        from kubernetes.client import Configuration

        found, path = Configuration(), os.path.expanduser(kubeconfig) if kubeconfig else None  # noqa: PTH111 - a list of paths
        try:
            config.load_kube_config(path, context, client_configuration=found, persist_config=False)
        except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
            where = path or os.environ.get("KUBECONFIG") or "~/.kube/config"
            raise UsageError(
                f"{where}: context `{context or 'current'}` cannot be used: {error}",
                hint="`kubectl config get-contexts` lists them; `kubernetes.context` in the stack file names one",
            ) from error
        return cls(found, f"the cluster of context `{context}`" if context else "the cluster of the current context")

    @classmethod
    def of_pod(cls) -> Cluster:
        """Enter as the service account of the pod that this runs in. Raises `UsageError` outside of one."""
        from kubernetes import config
        from kubernetes.client import Configuration

        found = Configuration()
        try:
            config.load_incluster_config(client_configuration=found)
        except config.ConfigException as error:
            raise UsageError(
                f"this is no pod of a cluster: {error}", hint="name a context of the kubeconfig"
            ) from error
        return cls(found, "the cluster")

    def close(self) -> None:
        """End its connections."""
        self.client.rest_client.pool_manager.clear()
        self.client.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Document | None:
        """Return an object, or None where there is none."""
        try:
            return self.ask("GET", self._path(api_version, kind, namespace, name))
        except _MissingError:
            return None

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        labels: str | Mapping[str, str] | None = None,
        fields: str | None = None,
    ) -> list[Document]:
        """Return all objects of a kind, of one namespace or all, by a selector of labels or of fields."""
        path, query = self._path(api_version, kind, namespace), _selectors(labels, fields)
        found: list[Document] = []
        token = ""
        while True:
            page = self.ask("GET", path, {**query, "limit": str(PAGE), **({"continue": token} if token else {})})
            # Items of a list do not say what they are.
            found += [{"apiVersion": api_version, "kind": kind, **item} for item in page["items"]]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    def knows(self, api_version: str, kind: str) -> bool:
        """Tell whether the cluster has objects of a kind."""
        try:
            self._resource(api_version, kind)
        except UnknownKindError:
            return False
        return True

    def apply(
        self, document: Mapping[str, Any], *, manager: str = MANAGER, force: bool = True, dry_run: bool = False
    ) -> Document:
        """Make an object's fields be as written, by server-side apply; fields that the server does not know are errors.

        Without `force`, a field that somebody else owns raises `ConflictError`.
        """
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": _flag(force), **_dry(dry_run)}
        return self.ask("PATCH", self._path_of(document), query, document, APPLY)

    def create(self, document: Mapping[str, Any], *, manager: str = MANAGER, dry_run: bool = False) -> Document:
        """Make an object. Raises `ConflictError` when it is there."""
        query = {"fieldManager": manager, "fieldValidation": "Strict", **_dry(dry_run)}
        return self.ask("POST", self._path_of(document, named=False), query, document)

    def replace(self, document: Mapping[str, Any], *, manager: str = MANAGER) -> Document:
        """Write an object whole. Raises `ConflictError` when it is no longer what `metadata.resourceVersion` says."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        return self.ask("PUT", self._path_of(document), query, document)

    def replace_status(self, document: Mapping[str, Any], *, manager: str = MANAGER) -> Document:
        """Write an object's status, and nothing else of it, likewise."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        return self.ask("PUT", f"{self._path_of(document)}/status", query, document)

    def merge(
        self,
        api_version: str,
        kind: str,
        name: str,
        change: Mapping[str, Any],
        namespace: str | None = None,
        *,
        status: bool = False,
        manager: str = MANAGER,
    ) -> Document:
        """Change some fields of an object (RFC 7386), of its status alone if told so."""
        path = self._path(api_version, kind, namespace, name) + ("/status" if status else "")
        return self.ask("PATCH", path, {"fieldManager": manager, "fieldValidation": "Strict"}, change, MERGE)

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        missing_ok: bool = True,
        propagation: str = "Background",
    ) -> None:
        """Ask for an object to be deleted, and what it owns with it (`Foreground` keeps it until those are gone)."""
        try:
            body = {"propagationPolicy": propagation}
            self.ask("DELETE", self._path(api_version, kind, namespace, name), body=body)
        except _MissingError:
            if not missing_ok:
                raise

    def watch(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        seconds: float = 60,
        labels: str | Mapping[str, str] | None = None,
        fields: str | None = None,
        since: str | None = None,
    ) -> Iterator[tuple[str, Document]]:
        """Yield (`ADDED`, `MODIFIED` or `DELETED`, object) for what is there, then for what changes, for so long.

        With `since`, a resource version, only what changed after it. It ends early when the server forgot what came
        before: whoever needs every change lists again.
        """
        query = {**_selectors(labels, fields), "watch": "true", "timeoutSeconds": str(max(1, round(seconds)))}
        if since is not None:
            query["resourceVersion"] = since
        path, patience = self._path(api_version, kind, namespace), seconds + WATCH_SLACK_SECONDS
        from urllib3.exceptions import HTTPError

        try:
            answer = self._send("GET", path, query, patience=patience)
        except _GoneError:
            return
        try:
            for line in _lines(answer):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]
        except (HTTPError, OSError, ValueError) as error:
            self._unreachable(error)
        finally:
            # It holds the rest of a stream that nobody reads.
            answer.close()

    def logs(
        self, namespace: str, pod: str, *, container: str | None = None, lines: int = 100, previous: bool = False
    ) -> str:
        """Return the end of what a container has written; of its run before the present one with `previous`.

        Empty where there is none. Raises `UnreachableError` when the node does not answer.
        """
        query = {"tailLines": str(lines), **({"container": container} if container else {})}
        query |= {"previous": "true"} if previous else {}
        try:
            answer = self._send("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query)
        except _MissingError:
            return ""
        with answer:
            return bytes(answer.data).decode(errors="replace")

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> Document:
        """Make one call on a path of the API, such as `/version`, and return its JSON."""
        from urllib3.exceptions import HTTPError

        with self._send(method, path, query, body, content) as answer:
            try:
                found = json.loads(answer.data)
            except ValueError as error:
                raise UnreachableError(f"{self.described} answers {path} with no JSON") from error
            except (HTTPError, OSError) as error:
                self._unreachable(error)
        return dict(found)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
        patience: float = ANSWER_SECONDS,
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json", "Content-Type": content, "User-Agent": "mlplat"}
        try:
            return self.client.call_api(
                path, method, query_params=list((query or {}).items()), header_params=headers,
                body=_body(body, content), auth_settings=["BearerToken"],
                _preload_content=False, _return_http_data_only=True, _request_timeout=(CONNECT_SECONDS, patience),
            )  # fmt: skip
        except ApiException as error:
            raise self._refusal(error, method, path) from error
        except (HTTPError, OSError) as error:
            self._unreachable(error)

    def _refusal(self, error: Any, method: str, path: str) -> MlplatError:
        status, message = error.status or 0, _said(error.body)
        said = message or str(error.reason)
        if not status or (status in TEMPORARY and UNTYPED not in said):
            return UnreachableError(f"{self.described} cannot answer now: {said}")
        if status == NOT_FOUND:
            return _MissingError(said)
        if status == GONE:
            return _GoneError(said)
        if status == CONFLICT:
            return ConflictError(said)
        hint = ENTRY.get(status)
        return RefusedError(f"{self.described} refuses {method} {path}: {said}" if hint else said, hint=hint)

    def _unreachable(self, error: BaseException) -> NoReturn:
        if isinstance(error, MlplatError):
            raise error
        cause = getattr(error, "reason", None) or error
        raise UnreachableError(f"{self.described} does not answer: {cause}") from error

    def _resource(self, api_version: str, kind: str) -> Document:
        with self._lock:
            known = self._kinds.get(api_version, {})
        if kind not in known:
            # A definition may have been made since: only what is there is remembered.
            known = self._discover(api_version)
            with self._lock:
                self._kinds[api_version] = known
        if kind not in known:
            raise UnknownKindError(
                f"{self.described} has no `{kind}` of `{api_version}`",
                hint="its definition is not installed: `mlplat doctor` says which add-on brings it",
            )
        return known[kind]

    def _discover(self, api_version: str) -> dict[str, Document]:
        root = "/apis/" if "/" in api_version else "/api/"
        try:
            found = self.ask("GET", f"{root}{api_version}")
        except _MissingError:
            return {}
        return {item["kind"]: item for item in found["resources"] if "/" not in item["name"]}

    def _path(self, api_version: str, kind: str, namespace: str | None, name: str | None = None) -> str:
        resource = self._resource(api_version, kind)
        place = f"/namespaces/{namespace}" if namespace and resource["namespaced"] else ""
        if name and resource["namespaced"] and not place:
            raise UsageError(f"{kind} {name}: names no namespace")
        path = f"{'/apis/' if '/' in api_version else '/api/'}{api_version}{place}/{resource['name']}"
        return f"{path}/{name}" if name else path

    def _path_of(self, document: Mapping[str, Any], *, named: bool = True) -> str:
        metadata = document.get("metadata", {})
        name = metadata.get("name")
        path = self._path(document["apiVersion"], document["kind"], metadata.get("namespace"), name)
        # What the server itself names, or keeps nowhere, has no name to leave out.
        return path if named or not name else path.rpartition("/")[0]


class _MissingError(RefusedError):
    """There is no such object."""


class _GoneError(RefusedError):
    """The server has forgotten what was asked for."""


def _body(body: Mapping[str, Any] | None, content: str) -> Any:
    """Return a body as the client takes it, which writes JSON itself, but with every sign as an escape.

    What is applied is read as YAML, which knows no pairs of escapes: signs beyond U+FFFF go as they are. Others stay
    escapes, since YAML takes some only so, and folds lines at others.
    """
    if body is None:
        return None
    if content != APPLY:
        return dict(body)
    text = json.dumps(dict(body), ensure_ascii=False)
    return re.sub("[\x7f-\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def _said(body: Any) -> str:
    """Return the message of a refusal's body."""
    text = bytes(body).decode(errors="replace") if isinstance(body, bytes | bytearray) else str(body or "")
    try:
        found = json.loads(text)
    except ValueError:
        return text.strip()
    return str(found.get("message", "")) if isinstance(found, dict) else text.strip()


def _selectors(labels: str | Mapping[str, str] | None, fields: str | None) -> dict[str, str]:
    if isinstance(labels, Mapping):
        labels = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return {key: value for key, value in {"labelSelector": labels, "fieldSelector": fields}.items() if value}


def _lines(answer: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.stream(amt=None, decode_content=True):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
