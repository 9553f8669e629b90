"""Kinds that nothing here emulates: a record of what the engine wanted, with ids and outputs of a cloud's form."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import capture
from fakecloud.kind import UNKNOWN, RefusedError
from fakecloud.world import Values, World

PREFIXES = {
    "Eip": "eipalloc",
    "FlowLog": "fl",
    "InternetGateway": "igw",
    "LaunchTemplate": "lt",
    "NatGateway": "nat",
    "Route": "r",
    "RouteTable": "rtb",
    "RouteTableAssociation": "rtbassoc",
    "SecurityGroup": "sg",
    "SecurityGroupEgressRule": "sgr",
    "SecurityGroupIngressRule": "sgr",
    "Subnet": "subnet",
    "Vpc": "vpc",
    "VpcEndpoint": "vpce",
    "Zone": "Z",
}
"""What the ids of things begin with that have no name."""
NAMES = ("name", "bucket", "identifier", "replicationGroupId", "repositoryName", "nodeGroupName", "queueUrl", "role")
"""Inputs that a cloud knows a thing by, first one first."""

WHOLE = frozenset(
    {"Cluster", "Instance", "ReplicationGroup", "Project", "Vault", "Stream", "FirehoseDeliveryStream", "Rule"}
)
"""Nouns whose name is their id, and which therefore cannot be made twice."""


FORMS: dict[str, Callable[[str], Any]] = {
    "port": lambda _: 5432,
    "nameservers": lambda _: [f"ns-{number}.example.net" for number in range(4)],
    "securitygroupid": lambda identity: f"sg-{hashlib.sha256(identity.encode()).hexdigest()[:17]}",
    "status": lambda _: "ACTIVE",
    "data": lambda _: "Y2VydGlmaWNhdGU=",
}
"""Outputs by the end of their name; any other is an ARN, or an address."""


@dataclass(frozen=True)
class Place:
    """Where a provider works."""

    account: str
    region: str
    partition: str = "aws"


@dataclass(frozen=True)
class Recorded:
    """A kind of AWS that only exists here, between two runs of the engine."""

    type: str
    world: World
    place: Place
    replaces: frozenset[str] = frozenset()

    def foresee(self, inputs: Values) -> Values:
        # A part of a property that the program gave is not missing from a preview: it has to be said to be unknown.
        special = capture.NESTED.get(self.type)
        return {**inputs, **(_unknown(special(f"{self.type}::it", inputs)) if special else {})}

    def create(self, urn: str, inputs: Values) -> tuple[str, Values]:
        identity = self._identity(inputs)
        if self.world.get(self.type, identity):
            raise RefusedError(f"{self.type} {identity}: EntityAlreadyExists")
        outputs = {**inputs, **self._outputs(identity, inputs)}
        self.world.put(self.type, identity, {"urn": urn, "inputs": inputs, "outputs": outputs})
        return identity, outputs

    def read(self, identity: str, inputs: Values) -> tuple[Values, Values] | None:
        found = self.world.get(self.type, identity)
        return (found["inputs"], found["outputs"]) if found else None

    def update(self, identity: str, olds: Values, news: Values) -> Values:
        found = self.world.get(self.type, identity)
        if found is None:
            raise RefusedError(f"{self.type} {identity}: ResourceNotFoundException")
        outputs: Values = {**found["outputs"], **news}
        self.world.put(self.type, identity, {**found, "inputs": news, "outputs": outputs})
        return outputs

    def delete(self, identity: str, inputs: Values) -> None:
        self.world.drop(self.type, identity)

    def _identity(self, inputs: Values) -> str:
        noun = self.type.rpartition(":")[2]
        if noun in PREFIXES:
            return f"{PREFIXES[noun]}-{uuid.uuid4().hex[:17]}"
        named = next((str(inputs[name]) for name in NAMES if name in inputs), None)
        return named if named and noun in WHOLE else "/".join(filter(None, [named, uuid.uuid4().hex[:8]]))

    def _outputs(self, identity: str, inputs: Values) -> Values:
        key = f"{self.type}::it"
        told = {name: capture.token(key, name) for name in capture.OUTPUTS if name not in inputs}
        special = capture.NESTED.get(self.type)
        found = {
            **told,
            **(special(key, inputs) if special else {}),
            **({"name": identity} if "name" not in inputs else {}),
        }
        return {name: self._shaped(value, identity) for name, value in found.items() if name not in inputs or special}

    def _shaped(self, value: Any, identity: str) -> Any:
        if isinstance(value, dict):
            return {name: self._shaped(each, identity) for name, each in value.items()}
        if isinstance(value, list):
            return [self._shaped(each, identity) for each in value]
        found = capture.TOKEN.fullmatch(value) if isinstance(value, str) else None
        return self._value(found["property"], identity) if found else value

    def _value(self, name: str, identity: str) -> Any:
        form = next((form for end, form in FORMS.items() if name.lower().endswith(end)), None)
        if form is not None:
            return form(identity)
        if name.lower().endswith("arn"):
            service = self.type.partition("/")[0].removeprefix("aws:")
            noun = self.type.rpartition(":")[2].lower()
            return f"arn:{self.place.partition}:{service}:{self.place.region}:{self.place.account}:{noun}/{identity}"
        return f"{re.sub('[^a-z0-9]+', '-', identity.lower()).strip('-')}.{name.lower()}.example.internal"


def _unknown(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unknown(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_unknown(each) for each in value]
    return UNKNOWN if isinstance(value, str) and capture.TOKEN.fullmatch(value) else value
