"""The program that the engine runs: read the spec, stand the platform up, export where it is.

`platform/__main__.py` of this repository and of every repository that `mlplat init` makes calls `run`, and so does
`mlplat up` for a stack that has an engine.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi

import mlplat
from mlplat import deployment, targets, upgrades
from mlplat.errors import MlplatError, Problem, RefusedError, SpecError
from mlplat.spec.platform import KEY, PlatformSpec, parse_platform
from mlplat.upgrades import Consequence

Versions = Mapping[str, str]
"""Version of each part."""
OBJECTS = 500_000
"""New objects after which the collector looks for unused ones; Python's own 700 suit a program that stays."""


def run(
    *, guarded: bool = True, standing: Versions | None = None, told: Callable[[list[Consequence]], None] | None = None
) -> None:
    """Declare the stack's platform. Raises `pulumi.RunError`, which the engine shows without a traceback.

    `guarded` checks that this is the backend that the stack's state is on, unless the caller has. `standing` is the
    version of each part in that state, where the caller has looked; `told` is given what others in their place do.
    """
    # Millions of objects that all stay: to look through them again and again is a tenth of a preview on AWS.
    gc.set_threshold(OBJECTS)
    try:
        spec = _spec()
        targets.refuse_unsupported(spec, f"stack {pulumi.get_stack()}")
        if guarded:
            deployment.guard(deployment.address(spec))
        before = _remembered() if guarded else standing or {}
        seen = _watched()
        outputs = _declare(spec)
        versions = {**_own(spec), **upgrades.installed(seen)}
        _refuse(before, versions, guarded=guarded)
        (told or _say)(upgrades.consequences(before, versions))
    except MlplatError as error:
        raise pulumi.RunError(error.told()) from error
    for name, value in sorted({**outputs, upgrades.OUTPUT: versions}.items()):
        pulumi.export(name, value)
    # By it a backend is known to be the one that this stack's state is on.
    if identity := deployment.named():
        pulumi.export(deployment.OUTPUT, identity)


def _own(spec: PlatformSpec) -> Versions:
    """Return the versions that no resource tells."""
    cluster = {upgrades.KUBERNETES: spec.kubernetes.version} if spec.target == "kubernetes" else {}
    return {upgrades.MLPLAT: mlplat.__version__, **cluster}


def _watched() -> list[tuple[str, Mapping[str, Any]]]:
    """Return a list into which go type and inputs of each resource that is declared from now on."""
    seen: list[tuple[str, Mapping[str, Any]]] = []

    def see(args: pulumi.ResourceTransformationArgs) -> None:
        seen.append((args.type_, args.props or {}))

    pulumi.runtime.register_stack_transformation(see)
    return seen


def _remembered() -> Versions:
    # A stack without an id was never brought up by mlplat, nor by plain `pulumi` on a cluster.
    return (deployment.remembered().get(upgrades.OUTPUT) or {}) if deployment.named() else {}


def _refuse(before: Versions, versions: Versions, *, guarded: bool) -> None:
    try:
        upgrades.refuse(before, versions)
    except RefusedError as error:
        if not guarded or pulumi.runtime.is_dry_run():
            raise
        # Without a preview: the SDK makes what was declared until an exception, and has told the engine of none of it
        # yet. The process is the program's own where nobody else has guarded it.
        sys.stderr.write(f"error: {error.told()}\n")
        sys.stderr.flush()
        os._exit(1)


def _say(found: Sequence[Consequence]) -> None:
    if pulumi.runtime.is_dry_run():
        for each in found:
            pulumi.log.info(str(each))


def _declare(spec: PlatformSpec) -> Mapping[str, Any]:
    """Declare what the spec says on its target; return the stack's outputs."""
    stack = pulumi.get_stack()
    # Each target brings packages that a stack of another one need not have.
    if spec.target == "aws":
        from mlplat.targets.aws import program as aws

        return aws.declare(spec, stack, deployment.named())
    if spec.target == "kubernetes":
        from mlplat.targets.kubernetes import program as kubernetes

        return kubernetes.declare(spec, stack, deployment.named())
    from mlplat.targets.local import resources

    return resources.install(spec, stack).endpoints


def _spec() -> PlatformSpec:
    source = f"stack {pulumi.get_stack()}"
    # The engine has decrypted it by now, and would keep all of the object as plain text.
    if pulumi.runtime.is_config_secret(KEY):
        hint = "keep the secret elsewhere and write a reference to it"
        raise SpecError(source, [Problem(f"config.{KEY}", "holds a secret, which would land in the state", hint)])
    namespace, _, key = KEY.partition(":")
    written = pulumi.Config(namespace).get(key)
    if written is None:
        raise SpecError(source, [Problem(f"config.{KEY}", "is required", f"`mlplat explain` lists what `{KEY}` holds")])
    return parse_platform(json.loads(written), source)
