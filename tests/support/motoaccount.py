"""A capture made real, in an account of moto's: every resource that moto has is created through boto3, in order.

It proves that requests are whole, that references lead somewhere, and that what is written can be read back. It proves
no value: moto takes nearly every one. What moto does not have is listed in `motocalls`, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import awsshapes
from capture import TOKEN, Graph, Made
from motocalls import ADOPTED, CALLS, Call

NONE = object()
"""What a value becomes that the request has no room for."""


@dataclass
class Account:
    """An account in moto, and what was made in it."""

    graph: Graph
    region: str
    session: Any
    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Outputs of each resource, by its key."""
    left: list[Made] = field(default_factory=list)
    """What no call makes."""
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return the client of one service; making one reads the whole of its model."""
        if service not in self.clients:
            self.clients[service] = self.session.client(service, region_name=self.region)
        return self.clients[service]

    def value(self, key: str, output: str) -> Any:
        """Return an output of what was made, or an input of that name, or a literal of AWS's shape."""
        outputs = self.made.get(key, {})
        if output in outputs:
            return outputs[output]
        made = awsshapes.find(self.graph, key)
        if made and made.inputs.get(output) is not None:
            return self.resolved(made.inputs[output])
        return awsshapes.literal(self.graph, key, output)

    def resolved(self, value: Any) -> Any:
        """Return a value with every token replaced by what moto answered."""
        return awsshapes.walk(value, self.value)

    def id(self, key: str) -> str:
        """Return the id of what was made."""
        return str(self.made[key]["id"])


def account(graph: Graph) -> Account:
    """Create a graph in moto and return its account; call it inside `moto.mock_aws`."""
    import boto3

    number, region = awsshapes.place(graph)
    # An account other than moto's own is entered as one enters any: by a role in it.
    entered = boto3.client("sts", region_name=region).assume_role(
        RoleArn=f"arn:aws:iam::{number}:role/deployer", RoleSessionName="mlplat"
    )["Credentials"]
    session = boto3.Session(
        aws_access_key_id=entered["AccessKeyId"],
        aws_secret_access_key=entered["SecretAccessKey"],
        aws_session_token=entered["SessionToken"],
        region_name=region,
    )
    made = Account(graph, region, session)
    for each in graph:
        if each.custom and each.type.startswith("aws:"):
            _create(made, each)
    return made


def _create(into: Account, made: Made) -> None:
    if _stands_on_adopted(made):
        return
    calls = CALLS.get(made.type)
    if not calls:
        into.left.append(made)
        return
    number, region = awsshapes.place(into.graph)
    # Some requests name where they go; the provider knows.
    inputs = {"region": region, "accountId": number, **into.resolved(made.inputs)}
    outputs: dict[str, Any] = {}
    into.made[made.key] = outputs
    for call in calls:
        if call.when and not inputs.get(call.when):
            continue
        try:
            client = into.client(call.service)
            shape = client.meta.service_model.operation_model(call.operation).input_shape
            reply = getattr(client, call.method)(**request(call, shape, inputs, outputs))
        except Exception as error:
            raise AssertionError(f"{made.key}: {call.service} {call.operation}: {error}") from error
        outputs.update({name: read(reply, path) for name, path in call.outputs.items()})
    outputs.setdefault("id", next((inputs[each] for each in awsshapes.NAMES if each in inputs), made.name))


def _stands_on_adopted(made: Made) -> bool:
    """Tell whether a resource belongs to one that somebody else made, which this account does not have."""
    owner = made.inputs.get(ADOPTED.get(made.type, ""))
    return isinstance(owner, str) and not TOKEN.search(owner)


def request(call: Call, shape: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is sent: inputs by the names of botocore's shapes, and what the call adds."""
    found = {}
    for name, value in inputs.items():
        if name in {"region", "accountId"} or (call.only is not None and name not in call.only):
            continue
        member = call.names.get(name) or _member(shape, name, call.entity)
        if name == "tags":
            found.update(_tags(shape, call.entity, value))
        elif member and member in shape.members:
            converted = _convert(value, shape.members[member])
            if converted is not NONE:
                found[member] = converted
    return {**found, **call.more(dict(inputs), dict(outputs))}


def read(reply: Any, path: str) -> Any:
    """Return what lies at a dotted path of a reply."""
    for part in path.split("."):
        reply = reply[int(part)] if part.isdigit() else reply[part]
    return reply


def _member(shape: Any, name: str, entity: str) -> str | None:
    known = {_normal(each): each for each in shape.members}
    plain, of = _normal(name), _normal(entity)
    tried = (plain, of + plain, plain.rstrip("s"), f"{plain}s", re.sub("ids$", "s", plain), f"{plain}document")
    return next((known[each] for each in tried if each in known), None)


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _tags(shape: Any, entity: str, tags: Mapping[str, str]) -> dict[str, Any]:
    pairs = [{"Key": name, "Value": value} for name, value in tags.items()]
    if "TagSpecifications" in shape.members:
        return {"TagSpecifications": [{"ResourceType": entity, "Tags": pairs}]}
    member = next((each for each in shape.members if _normal(each) in {"tags", "taglist"}), None)
    if member is None:
        return {}
    inner = shape.members[member]
    if inner.type_name == "map":
        return {member: dict(tags)}
    first, second = list(inner.member.members)[:2]
    return {member: [{first: name, second: value} for name, value in tags.items()]}


def _convert(value: Any, shape: Any) -> Any:
    kind = shape.type_name
    if kind == "list":
        values = value if isinstance(value, list) else [value]
        return [_convert(each, shape.member) for each in values]
    if isinstance(value, list):
        return _convert(value[0], shape) if len(value) == 1 else NONE
    if kind == "structure":
        return _structure(value, shape) if isinstance(value, dict) else NONE
    if kind == "map":
        return {name: _convert(each, shape.value) for name, each in value.items()}
    return SCALARS[kind](value) if kind in SCALARS else value


def _structure(value: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    members = {name: _member(shape, name, "") for name in value}
    return {member: _convert(value[name], shape.members[member]) for name, member in members.items() if member}


def _string(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _true(value: Any) -> bool:
    return value in (True, "true", "True")


SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "string": _string,
    "boolean": _true,
}
"""How a value becomes one of botocore's kinds."""
