"""A receiver of alerts, whose address is a secret: it stands in a file of its own and is repeated nowhere."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from mlplat.errors import MlplatError, RefusedError, StateError, UnreachableError

SECONDS = 10.0
"""For an answer."""
KEY = "Idempotency-Key"
"""Header with a message's name, the same for each try."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PASSING = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)
"""Refusals that need not last."""


def address(path: Path) -> httpx.URL:
    """Read a receiver's address from its file. Raises `StateError`; what stands there is in no message."""
    path = path.expanduser()
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
        url = httpx.URL(text)
    except (OSError, UnicodeDecodeError, httpx.InvalidURL) as error:
        why = error.strerror if isinstance(error, OSError) else "holds no address"
        raise StateError(
            f"{path}: {why}", hint="`alerts.webhook_file` names a file with one line, the address"
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise StateError(f"{path}: others than its owner may read it", hint=f"chmod 600 {path}")
    if url.scheme != "https" and not (url.scheme == "http" and url.host in LOOPBACK):
        raise StateError(
            f"{path}: is neither an https address nor one of this computer", hint="alerts leave it encrypted, or not"
        )
    return url


def send(path: Path, body: Mapping[str, Any], name: str) -> None:
    """Hand a message to the receiver.

    Raises `RefusedError` where it never takes it, otherwise `UnreachableError` or `StateError`: then it may later.
    """
    url = address(path)
    try:
        with httpx.Client(trust_env=url.host not in LOOPBACK, timeout=SECONDS) as http:
            answer = http.post(url, json=dict(body), headers={KEY: name})
    except httpx.HTTPError as error:
        # Its own text may hold the address.
        raise UnreachableError(f"the webhook does not answer ({type(error).__name__})") from None
    if refusal := _refusal(answer.status_code):
        raise refusal


def _refusal(status: int) -> MlplatError | None:
    if httpx.codes.is_success(status):
        return None
    said = f"the webhook answers with {status}"
    lasts = httpx.codes.is_client_error(status) and status not in PASSING
    return RefusedError(said) if lasts else UnreachableError(said)
