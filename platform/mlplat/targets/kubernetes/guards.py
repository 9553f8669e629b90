"""What a program refuses: before it declares anything, or before the engine makes the first of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from mlplat.errors import MlplatError, RefusedError
from mlplat.targets.kubernetes import identity
from mlplat.targets.kubernetes.objects import found

NO_DEFAULTS = "disable-default-providers"
ANNOTATION = "mlplat/cluster"
"""Annotation of the platform's namespace: the id of the cluster that it was made on."""


def refuse_default_providers(stack: str) -> None:
    """Raise `RefusedError` for a stack whose resources could fall to a profile or context that happens to be set."""
    written = json.loads(pulumi.Config("pulumi").get(NO_DEFAULTS) or "[]")
    if "*" not in written:
        raise RefusedError(
            f"the stack `{stack}` lets the engine choose credentials that the environment happens to have",
            hint=f'write `pulumi:{NO_DEFAULTS}: ["*"]` under `config` in its stack file',
        )


def same_cluster(provider: pulumi.ProviderResource, stack: str, context: str | None) -> Mapping[str, Any]:
    """Return annotations that exist only where the context leads to the cluster of the stack file.

    The engine itself asks, so that plain `pulumi up` is refused too: whatever waits for the annotated object is not
    made on another cluster. Nothing is asked, and nothing annotated, while the file names none.
    """
    namespace, _, key = identity.KEY.partition(":")
    written = pulumi.Config(namespace).get(key)
    if not written:
        return {}
    there = found("v1", "Namespace", "kube-system", pulumi.ResourceOptions(provider=provider))
    return {ANNOTATION: there.metadata.apply(lambda metadata: checked(metadata, written, stack, context))}


def checked(metadata: Mapping[str, Any], written: str, stack: str, context: str | None) -> str:
    """Return a cluster's id, by its namespace `kube-system`. Raises `pulumi.RunError` where another one is written."""
    uid = str(metadata["uid"])
    try:
        identity.refuse_other(written, uid, source=f"stacks/Pulumi.{stack}.yaml", context=context)
    except MlplatError as error:
        raise pulumi.RunError(error.told()) from error
    return uid
