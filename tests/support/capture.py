"""A whole Pulumi program without an engine: what it declares, in order, with every option.

Ids and other outputs that only a cloud knows are tokens, `${<type>::<name>.<property>}`, wherever they go: into a
string, a list, a policy's JSON. Whoever reads a capture turns them into what it needs (`Ref`, an ARN, a reference).
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc, run_in_stack, set_all_config, set_mocks
from pulumi.runtime.settings import set_root_resource

TOKEN = re.compile(r"\$\{(?P<key>[^{}]+?::[^{}.]+(?:\.[^{}.]+)*?)\.(?P<property>\w+)\}")
_MARK = "4dabf18193072939515e22adb298388d"
"""Key by which the engine's wire format marks a secret."""
OUTPUTS = ("arn", "endpoint", "url", "address", "port", "nameServers", "fqdn", "status", "domainName", "zoneId")
"""Outputs that many types have."""
NESTED: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
    "aws:eks/cluster:Cluster": lambda key, inputs: {
        "certificateAuthority": {"data": token(key, "certificateAuthorityData")},
        "vpcConfig": {**inputs.get("vpcConfig", {}), "clusterSecurityGroupId": token(key, "clusterSecurityGroupId")},
    },
    "aws:rds/instance:Instance": lambda key, _: {
        "masterUserSecrets": [{"secretArn": token(key, "masterUserSecretArn")}],
        "resourceId": token(key, "resourceId"),
    },
    "aws:ecr/repository:Repository": lambda key, _: {"repositoryUrl": token(key, "repositoryUrl")},
    "aws:elasticache/replicationGroup:ReplicationGroup": lambda key, _: {
        "primaryEndpointAddress": token(key, "primaryEndpointAddress")
    },
    "aws:ec2/vpc:Vpc": lambda key, _: {
        name: token(key, name) for name in ("defaultSecurityGroupId", "defaultRouteTableId", "defaultNetworkAclId")
    },
    "aws:ec2/launchTemplate:LaunchTemplate": lambda key, _: {"latestVersion": 1},
    "aws:kms/key:Key": lambda key, _: {"keyId": token(key, "keyId")},
    "aws:route53/zone:Zone": lambda key, _: {"nameServers": [token(key, "nameServers")]},
    "aws:acm/certificate:Certificate": lambda key, inputs: {
        "domainValidationOptions": [
            {"domainName": inputs["domainName"], "resourceRecordType": "CNAME"}
            | {f"resourceRecord{part}": token(key, f"resourceRecord{part}") for part in ("Name", "Value")}
        ]
    },
}
"""Outputs that only one type has."""


def token(key: str, name: str) -> str:
    """Return what stands for an output."""
    return f"${{{key}.{name}}}"


@dataclass(frozen=True)
class Made:
    """One resource as the program declared it."""

    type: str
    name: str
    inputs: dict[str, Any]
    """As the provider would get them, secrets unwrapped, whole numbers as integers."""
    custom: bool = True
    parent: str | None = None
    """Key of its parent; None below the stack itself."""
    depends_on: tuple[str, ...] = ()
    """Keys of all that must be there before it, said or by an output that it takes."""
    protect: bool = False
    retain_on_delete: bool = False
    ignore_changes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    provider: str | None = None
    """Key of its explicit provider."""
    deleted_with: str | None = None
    secrets: tuple[str, ...] = ()
    """Inputs that are secret."""
    timeouts: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return `<type>::<name>`."""
        return f"{self.type}::{self.name}"


@dataclass
class Graph:
    """What a program declared, in the order of its declarations."""

    made: list[Made]
    exports: dict[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Made]:
        return iter(self.made)

    def __len__(self) -> int:
        return len(self.made)

    def of(self, kind: str) -> list[Made]:
        """Return the resources of a type; `aws:s3/` names all of a module."""
        return [each for each in self.made if each.type == kind or (kind.endswith("/") and each.type.startswith(kind))]

    def one(self, kind: str, name: str | None = None) -> Made:
        """Return the only resource of a type, or that of a name."""
        found = [each for each in self.of(kind) if name in (None, each.name)]
        assert len(found) == 1, f"{kind} {name or ''}: {[each.key for each in self.of(kind)]}"
        return found[0]

    def at(self, key: str) -> Made:
        """Return a resource by its key."""
        return next(each for each in self.made if each.key == key)

    def before(self, key: str) -> set[str]:
        """Return the keys of all that must be there before a resource, directly or not."""
        found: set[str] = set()
        ahead = [key]
        while ahead:
            each = self.at(ahead.pop())
            fresh = {*each.depends_on, *filter(None, [each.parent])} - found
            found |= fresh
            ahead += [other for other in fresh if any(made.key == other for made in self.made)]
        return found

    def changed(self, key: str, change: Callable[[dict[str, Any]], None], **options: Any) -> Graph:
        """Return a copy in which one resource's inputs, or options, are others: for seeded faults."""
        made = []
        for each in self.made:
            if each.key == key:
                inputs = deepcopy(each.inputs)
                change(inputs)
                kept = {name: getattr(each, name) for name in Made.__dataclass_fields__}
                made.append(Made(**{**kept, "inputs": inputs, **options}))
            else:
                made.append(each)
        return Graph(made, self.exports)

    def document(self) -> list[dict[str, Any]]:
        """Return it as JSON with everything in a fixed order, for a golden file; what is empty is left out."""
        return [
            {name: value for name, value in sorted(asdict(each).items()) if value not in ((), {}, None, False)}
            | ({"custom": False} if not each.custom else {})
            for each in sorted(self.made, key=lambda each: each.key)
        ]


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        key = f"{args.typ}::{args.name}"
        given = {name: _plain(value) for name, value in args.inputs.items()}
        outputs = {name: token(key, name) for name in OUTPUTS if name not in given}
        special = NESTED.get(args.typ)
        state = {**outputs, **args.inputs, **(special(key, given) if special else {})}
        # What AWS calls a thing where nobody named it.
        state.setdefault("name", token(key, "name"))
        return token(key, "id"), state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program asks for {args.token}, and a preview without an account could not")


class _Monitor(mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Mocks())
        self.made: list[Made] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.exports: dict[str, Any] = {}
        self._lock = threading.Lock()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's own name
        if request.type != "pulumi:pulumi:Stack":
            self._give_loop()
            inputs = rpc.deserialize_properties(request.object)
            with self._lock:
                self.made.append(_made(request, inputs))
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - likewise
        self._give_loop()
        return super().ReadResource(request)  # type: ignore[no-untyped-call]

    def _give_loop(self) -> None:
        # The SDK reads inputs in threads of its own, and asks each for a loop; unclosed ones are warnings.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self.loops.append(loop)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - likewise
        if _key(request.urn) is None:
            self.exports = _plain(rpc.deserialize_properties(request.outputs))
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


def run(
    program: Callable[[], Any], *, project: str = "mlplat", stack: str = "dev", config: Mapping[str, Any] | None = None
) -> Graph:
    """Run a program to its end and return what it declared. Whatever it raises comes out."""
    loop = asyncio.new_event_loop()
    # Before the mocks are set: they make a stack at once, which hangs without a loop.
    asyncio.set_event_loop(loop)
    monitor = _Monitor()
    try:
        set_mocks(_Mocks(), project=project, stack=stack, preview=False, monitor=monitor)
        set_all_config(
            {key: json.dumps(value) if not isinstance(value, str) else value for key, value in (config or {}).items()}
        )
        set_root_resource(None)  # type: ignore[arg-type]
        loop.run_until_complete(run_in_stack(lambda: _silent(program)))
    finally:
        for each in (loop, *monitor.loops):
            each.close()
        asyncio.set_event_loop(None)
    return Graph(monitor.made, monitor.exports)


def _silent(program: Callable[[], Any]) -> None:
    program()


def provider(name: str = "aws") -> pulumi.ResourceOptions:
    """Return the options of a component under test: an explicit provider, as the program gives it one."""
    import pulumi_aws

    return pulumi.ResourceOptions(providers=[pulumi_aws.Provider(name)])


def _made(request: Any, inputs: dict[str, Any]) -> Made:
    secrets = tuple(sorted(name for name, value in inputs.items() if _is_secret(value)))
    needed = {*request.dependencies, *(urn for each in request.propertyDependencies.values() for urn in each.urns)}
    timeouts = request.customTimeouts
    return Made(
        type=request.type,
        name=request.name,
        inputs=_plain(inputs),
        custom=bool(request.custom),
        parent=_key(request.parent) if request.parent else None,
        depends_on=tuple(sorted(filter(None, {_key(urn) for urn in needed}))),
        protect=bool(request.protect),
        retain_on_delete=bool(request.retainOnDelete),
        ignore_changes=tuple(request.ignoreChanges),
        # The SDK's own, by which a type was known before, say nothing of ours.
        aliases=tuple(sorted(filter(None, (alias.urn or alias.spec.name for alias in request.aliases)))),
        provider=_key(request.provider.rpartition("::")[0]) if request.provider else None,
        deleted_with=_key(request.deletedWith) if request.deletedWith else None,
        secrets=secrets,
        timeouts={
            name: getattr(timeouts, name) for name in ("create", "update", "delete") if getattr(timeouts, name, "")
        },
    )


def _key(urn: str) -> str | None:
    parts = urn.split("::")
    kind = parts[2].rsplit("$", maxsplit=1)[-1]
    return None if kind == "pulumi:pulumi:Stack" else f"{kind}::{parts[3]}"


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and _MARK in value


def _plain(value: Any) -> Any:
    if _is_secret(value):
        return _plain(value["value"])
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
