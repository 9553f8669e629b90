"""What a run came to, for whoever started it: one JSON file, written whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlplat.errors import MlplatError
from mlplat.files import write_atomic

VARIABLE = "MLPLAT_RESULT"
Status = Literal["registered", "passed", "refused", "failed", "quiet", "alarm"]


@dataclass(frozen=True)
class Result:
    """The end of a run."""

    status: Status
    """`passed` is a model that was judged good enough and, by wish, not registered; `quiet` and `alarm` a monitor's."""
    step: str
    message: str
    model: str
    version: str | None = None
    digest: str | None = None
    run_id: str | None = None
    split: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    served: dict[str, Any] = field(default_factory=dict)
    """In which format the model is served, and why."""
    gate: dict[str, Any] = field(default_factory=dict)

    def write(self) -> None:
        """Put it where `MLPLAT_RESULT` says, if it does."""
        if path := os.environ.get(VARIABLE):
            write_atomic(Path(path), json.dumps(asdict(self), indent=2) + "\n")


@contextmanager
def reported(step: str, model: str) -> Iterator[None]:
    """Make what mlplat refuses in a step the run's result, and leave with its words: a traceback helps nobody there.

    Anything else that goes wrong is a fault of the code, and goes through with its traceback.
    """
    try:
        yield
    except MlplatError as error:
        Result(status="failed", step=step, message=error.message, model=model).write()
        hint = f"\nhint: {error.hint}" if error.hint else ""
        raise SystemExit(f"error: {error.message}{hint}") from error
