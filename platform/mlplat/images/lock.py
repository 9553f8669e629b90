"""Which bytes a stack runs: `stacks/images.<stack>.lock.json`, beside the stack file and in the same repository."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints

import mlplat
from mlplat.errors import Problem, SpecError
from mlplat.files import write_if_changed
from mlplat.spec.base import Spec, parse, read_text

Reference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][^\s@]*@sha256:[0-9a-f]{64}$")]


class Locked(Spec):
    """One image that a registry has."""

    reference: Reference = Field(description="Registry, repository and digest: what nodes pull.")
    tag: str = Field(description="Tag that it was pushed under: what it was built from.")


class Lock(Spec):
    """The images of a stack's services, by name."""

    version: Literal[1] = Field(1, description="Version of this document's form.")
    mlplat: str = Field(mlplat.__version__, description="Version of mlplat that wrote it.")
    locked: AwareDatetime | None = Field(None, description="When an image was locked last.")
    images: dict[str, Locked] = Field({}, description="Image by name.")

    def having(self, images: Mapping[str, Locked], now: datetime | None = None) -> Self:
        """Return the lock with these images too; the same one, its moment included, where it has them already."""
        merged = dict(sorted({**self.images, **images}.items()))
        if merged == self.images:
            return self
        moment = (now or datetime.now(UTC)).replace(microsecond=0)
        return self.model_copy(update={"images": merged, "locked": moment, "mlplat": mlplat.__version__})


def lock_file(stack_file: Path) -> Path:
    """Return where a stack's lock is: `images.prod.lock.json` beside `Pulumi.prod.yaml`."""
    stack = stack_file.name.removeprefix("Pulumi.").removesuffix(".yaml")
    return stack_file.with_name(f"images.{stack}.lock.json")


def read(path: Path) -> Lock:
    """Read a lock; an empty one where there is none yet. Raises `SpecError` for a file that holds none."""
    if not path.is_file():
        return Lock()
    hint = "`mlplat images lock` writes it again when it is removed"
    try:
        document = json.loads(read_text(path))
    except ValueError as error:
        raise SpecError(str(path), [Problem("", f"is no JSON: {error}", hint)]) from error
    return parse(Lock, document, str(path), command=hint)


def write(path: Path, lock: Lock) -> bool:
    """Write a lock where people review it; tell whether it changed."""
    return write_if_changed(path, lock.model_dump_json(indent=2) + "\n")
