"""Asking a project's own environment about its training sets: only there are the libraries that read them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlplat import clock, environment
from mlplat.contracts import Connection
from mlplat.errors import MlplatError, UnreachableError, UsageError
from mlplat.labels import Name
from mlplat.runs.catalogue import Catalogue

MODULE = "mlplat.runtime.snapshots"


def ask(
    project: Path,
    python: Path,
    request: Mapping[str, Any],
    *,
    at: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Any:
    """Return the answer to one request. Raises `MlplatError` with what was refused.

    `at` is the platform's clock; `variables` say where the project's data are, if not in its folder.
    """
    timed = {clock.VARIABLE: at} if at else {}
    done = subprocess.run(
        [str(python), "-m", MODULE],
        cwd=project,
        env={**environment.inherited(), **timed, **(variables or {})},
        input=json.dumps(dict(request)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MlplatError(f"{MODULE} ended with exit code {done.returncode}", hint="what it wrote above says why")
    told = json.loads(done.stdout)
    if "error" in told:
        kind = UsageError if told["exit_code"] == UsageError.exit_code else MlplatError
        raise kind(told["error"], hint=told["hint"])
    return told["answer"]


def versions(connection: Connection, model: Name) -> list[dict[str, str]]:
    """Return the versions of a model by the training set that each learned from. Raises `UnreachableError`."""
    found = Catalogue(connection.tracking).versions(model)
    return [{"version": each.version, "data": each.tags["mlplat.data"]} for each in found if "mlplat.data" in each.tags]


def log(connection: Connection) -> tuple[Path, Path]:
    """Return the folder of a platform's prediction logs and the file with the key of their hashes.

    Raises `UnreachableError` where they are not on this computer.
    """
    if not connection.store.startswith("sqlite:///"):
        raise UnreachableError(f"the prediction logs of the stack `{connection.stack}` are on its cluster")
    state = Path(connection.store.removeprefix("sqlite:///")).parent
    return state / "predictions", state / "secrets" / "prediction-log.key"
