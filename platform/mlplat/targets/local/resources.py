"""The local target as resources of the engine: what `provision` and `install` are to `mlplat up`.

They hold nothing that `resolve` does not say: an engine's `up` and mlplat's own make the same files and processes.
"""

from __future__ import annotations

import json
from typing import Any

import pulumi

from mlplat import contracts, services
from mlplat.services import Service as Value
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.local import ports
from mlplat.targets.local.install import connection, platform
from mlplat.targets.local.resolve import Resolved, plain, resolve

FIELDS = tuple(Resolved.__dataclass_fields__)


class Provider(pulumi.ProviderResource):
    """`pulumi-resource-mlplat`, named so that a stack that refuses default providers has one."""

    def __init__(self) -> None:
        super().__init__("mlplat", "local", {})


class Foundation(pulumi.CustomResource):
    """The state folder and what it says of itself."""

    state: pulumi.Output[str]
    artifacts: pulumi.Output[str]
    database: pulumi.Output[str]
    clock: pulumi.Output[str]
    """Empty where the platform has the computer's own."""

    def __init__(self, name: str, spec: PlatformSpec, *, stack: str, opts: pulumi.ResourceOptions) -> None:
        # Where the engine keeps its state is nothing of the platform's.
        written = json.loads(spec.model_dump_json(exclude={"engine"}))
        properties = {"spec": written, "stack": stack, **dict.fromkeys(("state", "artifacts", "database", "clock"))}
        super().__init__("mlplat:local:Foundation", name, properties, opts)

    def value(self) -> pulumi.Output[contracts.Foundation]:
        """Return it as the services take it."""
        leaves: pulumi.Output[dict[str, Any]] = pulumi.Output.all(
            state=self.state, artifacts=self.artifacts, database=self.database, clock=self.clock
        )
        return leaves.apply(lambda found: contracts.Foundation(**{**found, "clock": found["clock"] or None}))


class Service(pulumi.CustomResource):
    """One of the platform's programs."""

    address: pulumi.Output[str]
    running: pulumi.Output[bool]

    def __init__(self, name: str, resolved: pulumi.Output[Resolved], *, opts: pulumi.ResourceOptions) -> None:
        document = resolved.apply(lambda found: found.document())
        properties = {field: _field(document, field) for field in FIELDS}
        super().__init__("mlplat:local:Service", name, {**properties, "address": None, "running": None}, opts)


class Connection(pulumi.CustomResource):
    """The document by which projects find the platform."""

    path: pulumi.Output[str]

    def __init__(self, name: str, value: pulumi.Output[contracts.Connection], *, opts: pulumi.ResourceOptions) -> None:
        document = value.apply(lambda found: plain(found.document()))
        fields = tuple(contracts.Connection.__dataclass_fields__)
        properties = {field: _field(document, field) for field in fields}
        super().__init__("mlplat:local:Connection", name, {**properties, "path": None}, opts)


def _field(document: pulumi.Output[dict[str, Any]], field: str) -> pulumi.Output[Any]:
    return document.apply(lambda found: found.get(field))


def install(spec: PlatformSpec, stack: str) -> contracts.Platform:
    """Declare a platform: its foundation, its services in the order of their needs, its connection."""
    # Before anything is declared, so that a preview and an apply say the same.
    spec = ports.assigned(spec, stack)
    opts = pulumi.ResourceOptions(provider=Provider())
    foundation = Foundation(spec.name, spec, stack=stack, opts=opts)
    base = foundation.value()
    made: dict[str, Service] = {}
    for value in services.of(spec):
        after = [made[needed] for needed in value.needs]
        made[value.name] = _service(value, spec, base, foundation, after, opts)
    reached = base.apply(lambda found: connection(spec, stack, found))
    Connection(spec.name, reached, opts=pulumi.ResourceOptions.merge(opts, _after(*made.values())))
    return platform(spec, stack)


def _service(
    value: Value,
    spec: PlatformSpec,
    base: pulumi.Output[contracts.Foundation],
    foundation: Foundation,
    after: list[Service],
    opts: pulumi.ResourceOptions,
) -> Service:
    resolved = base.apply(lambda found: resolve(value, spec, found))
    return Service(value.name, resolved, opts=pulumi.ResourceOptions.merge(opts, _after(foundation, *after)))


def _after(*needed: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(depends_on=list(needed))
