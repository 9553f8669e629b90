"""Asking one revision itself, past the gateway, and reading what it wrote last: alike wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from mlplat.bundle import Row
from mlplat.controller.document import Revision
from mlplat.controller.gateway import SMOKE_TEST
from mlplat.errors import RefusedError, UnreachableError
from mlplat.labels import Name

SECONDS = 10.0
"""For the first rows a model ever answers, which may load what it needs."""
TAIL_LINES = 15


def predict(
    http: httpx.Client, host: str, endpoint: Name, revision: Revision, rows: Sequence[Row]
) -> list[Mapping[str, Any]]:
    """Return a revision's predictions. Raises `RefusedError` when it refuses, `UnreachableError`."""
    shown = f"[{host}]" if ":" in host else host
    try:
        answer = http.post(
            f"http://{shown}:{revision.port}/predict",
            json={"rows": list(rows)},
            headers={SMOKE_TEST: "1"},
            timeout=SECONDS,
        )
    except httpx.HTTPError as error:
        raise UnreachableError(f"{endpoint} {revision.label} does not answer: {error}") from error
    if answer.is_error:
        raise RefusedError(f"{endpoint} {revision.label} answers with {answer.status_code}: {answer.text.strip()}")
    predictions: list[Mapping[str, Any]] = answer.json()["predictions"]
    return predictions


def last_words(log: str) -> str:
    """Return the error that a log ends with, or its end where there is none."""
    lines = log.splitlines()
    errors = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    return "\n".join(lines[errors[-1] :][:TAIL_LINES] if errors else lines[-TAIL_LINES:])
