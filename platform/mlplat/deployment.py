"""Which deployment a stack file is of: a random id in the file, and among the outputs of the stack's state.

A stack whose state lies on one backend and that is opened on another would be made a second time there. The id is put
into the state before it is written to the file, so a file that names one has been on a backend that holds it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlplat.errors import RefusedError
from mlplat.files import state_dir
from mlplat.spec import rewrite
from mlplat.spec.platform import PlatformSpec

KEY = "mlplat:deployment"
OUTPUT = "deployment"
ROOT = "pulumi:pulumi:Stack"
MOVED = "moved to "
"""Begins what a backend holds instead of an id once the stack was moved away."""


def address(spec: PlatformSpec) -> str:
    """Return the backend that a platform's state is on: the one it names, or a folder of mlplat's own."""
    named = spec.engine.backend if spec.engine else None
    return named or f"file://{state_dir() / 'pulumi'}"


def read(file: Path) -> str | None:
    """Return the id that a stack file names. Raises `SpecError` for a file that cannot be read."""
    return rewrite.written(file, KEY)


def write(file: Path, identity: str) -> None:
    """Name an id in a stack file; nothing else in it changes."""
    rewrite.write(file, KEY, identity)


def held(resources: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the id among the outputs of a state's resources."""
    outputs = next((each.get("outputs") or {} for each in resources if each["type"] == ROOT), {})
    return outputs.get(OUTPUT)


def sealed(resources: Sequence[Mapping[str, Any]], project: str, stack: str, identity: str) -> list[dict[str, Any]]:
    """Return a state's resources with an id among their outputs."""
    root = {
        "urn": f"urn:pulumi:{stack}::{project}::{ROOT}::{project}-{stack}",
        "custom": False,
        "type": ROOT,
        "outputs": {OUTPUT: identity},
    }
    if not any(each["type"] == ROOT for each in resources):
        return [root, *map(dict, resources)]
    return [
        {**each, "outputs": {**(each.get("outputs") or {}), OUTPUT: identity}} if each["type"] == ROOT else dict(each)
        for each in resources
    ]


def refusal(file: str, written: str, url: str, found: str | None) -> RefusedError:
    """Return what is wrong with a backend that holds something else than the deployment a file names."""
    if found and found.startswith(MOVED):
        place = found.removeprefix(MOVED)
        return RefusedError(
            f"the stack was {found}, and this is {url}",
            hint=f"take {file} as it is now from your repository, or set `engine.backend` in it to `{place}`;"
            ' for plain `pulumi`, run `eval "$(mlplat state env)"`',
        )
    return RefusedError(
        f"{file} is of deployment {written}, and {url} holds {f'deployment {found}' if found else 'none of it'}",
        hint="set `engine.backend` to where its state is (`mlplat state migrate --to URL` moves it); for plain"
        f' `pulumi`, run `eval "$(mlplat state env)"`; to begin anew here, remove `{KEY}` from the file',
    )


def named() -> str | None:
    """Return, inside the engine's program, the id that the stack's file names."""
    import pulumi

    namespace, _, key = KEY.partition(":")
    return pulumi.Config(namespace).get(key)


def remembered() -> dict[str, Any]:
    """Return, inside the engine's program, the outputs that this stack's last `up` has left; none where it has none."""
    import pulumi

    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    told = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value or {}
    return dict(told.get("outputs") or {})


def guard(backend: str | None) -> None:
    """Refuse, inside the engine's program, a stack that is opened where its state is not. Raises `RefusedError`.

    `backend` is the address that the spec names. Where the state holds nothing at all, as after `pulumi destroy`, only
    the address can tell whether this is the place.
    """
    import pulumi

    written = named()
    if not written:
        return
    found = remembered().get(OUTPUT)
    here = os.environ.get("PULUMI_BACKEND_URL")
    if found == written or (found is None and here is not None and here == backend):
        return
    raise refusal(f"the stack file of `{pulumi.get_stack()}`", written, here or "this backend", found)
