"""The AWS program of this repository's own stack files, captured without an engine and without an account."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import capture
import captures
import definitionfiles
import imagelocks
from commands import ROOT
from mlplat import deployment
from mlplat.contracts import ClusterFoundation
from mlplat.program import run
from mlplat.spec.platform import KEY, FoundationSpec, PlatformSpec, read_platform

DEPLOYMENT = "0123456789abcdef"
"""Id of the deployment in every capture, so that golden files are the same every time."""
STACKS = ("dev", "prod")
TWO: dict[str, dict[str, Any]] = {"prod-foundation": {"only": True}, "prod-platform": {"stack": "prod-foundation"}}
"""The stack `prod` in two, by name: what `foundation` of each says."""

capture.NESTED["kubernetes:gateway.networking.k8s.io/v1:Gateway"] = lambda key, _: {
    "status": {"addresses": [{"value": capture.token(key, "address")}]}
}
LEAVES: dict[str, Any] = {
    "buckets": ("data", "artifacts", "features", "pipelines", "logs"),
    "database": {
        **dict.fromkeys(("endpoint", "port", "master_secret")),
        "applications": ("tracking", "features", "pipelines"),
    },
    "online_store": ("kind", "endpoint", "table_prefix", "key"),
    "domain": ("name", "zone", "certificate"),
}
"""What has leaves of its own in a foundation."""
capture.NESTED["pulumi:pulumi:StackReference"] = lambda key, _: {
    "outputs": {
        "foundation": {name: _leaves(key, name, LEAVES.get(name)) for name in ClusterFoundation.__dataclass_fields__}
    }
}


def _leaves(key: str, name: str, inner: Any) -> Any:
    """Return tokens in the form that a foundation's output has."""
    if not inner:
        return capture.token(key, name)
    parts = inner if isinstance(inner, dict) else dict.fromkeys(inner)
    return {part: _leaves(key, f"{name}_{part}", below) for part, below in parts.items()}


def stack_file(stack: str) -> Path:
    """Return one of this repository's stack files."""
    return ROOT / "stacks" / f"Pulumi.{stack}.yaml"


@functools.cache
def spec(stack: str) -> PlatformSpec:
    """Return what a stack file says."""
    return read_platform(stack_file(stack))


@functools.cache
def graph(stack: str) -> capture.Graph:
    """Return what the program declares for one of this repository's stacks, or for one half of `prod` in two."""
    if stack in TWO:
        return kept(spec("prod").model_copy(update={"foundation": FoundationSpec(**TWO[stack])}), stack)
    return kept(spec(stack), stack)


def kept(written: PlatformSpec, stack: str = "dev") -> capture.Graph:
    """Return the same as `of`, captured once for all tests."""
    key = f"{stack} {written.model_dump_json(exclude_unset=True)}"
    return captures.kept(key, functools.partial(of, written, stack))


def of(written: PlatformSpec, stack: str = "dev", identity: str = DEPLOYMENT, **config: Any) -> capture.Graph:
    """Return what the program declares for any platform whose images are locked, and definitions kept."""
    with imagelocks.given(written), definitionfiles.given():
        return capture.run(
            functools.partial(run, guarded=False),
            stack=stack,
            config={
                KEY: json.loads(written.model_dump_json(exclude_unset=True)),
                deployment.KEY: identity,
                "pulumi:disable-default-providers": ["*"],
                **config,
            },
        )
