"""The program that the engine runs: read the spec, stand the platform up, export where it is.

`platform/__main__.py` of this repository and of every repository that `mlplat init` makes calls `run`, and so does
`mlplat up` for a stack that has an engine.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from typing import Any

import pulumi

from mlplat import deployment, targets
from mlplat.errors import MlplatError, Problem, SpecError
from mlplat.spec.platform import KEY, PlatformSpec, parse_platform

OBJECTS = 500_000
"""New objects after which the collector looks for unused ones; Python's own 700 suit a program that stays."""


def run(*, guarded: bool = True) -> None:
    """Declare the stack's platform. Raises `pulumi.RunError`, which the engine shows without a traceback.

    `guarded` checks that this is the backend that the stack's state is on, unless the caller has.
    """
    # Millions of objects that all stay: to look through them again and again is a tenth of a preview on AWS.
    gc.set_threshold(OBJECTS)
    try:
        spec = _spec()
        targets.refuse_unsupported(spec, f"stack {pulumi.get_stack()}")
        if guarded:
            deployment.guard(deployment.address(spec))
        outputs = _declare(spec)
    except MlplatError as error:
        raise pulumi.RunError(error.told()) from error
    for name, value in sorted(outputs.items()):
        pulumi.export(name, value)
    # By it a backend is known to be the one that this stack's state is on.
    if identity := deployment.named():
        pulumi.export(deployment.OUTPUT, identity)


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
