"""From a service's texts to what a container's `env` and `args` can say.

Kubernetes puts the value of a variable where a text says `$(NAME)`, if the variable stands before it. So what only the
cluster knows (a secret, an output of the engine) gets a variable of its own: no text is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlplat.manifests.place import Place
from mlplat.services import Ref, SecretRef, Service

HOST = Ref("host")
FILES = Ref("files")
DATABASE = Ref("database")
IMAGE = "image:"
EVERY = "0.0.0.0"  # noqa: S104 - of the pod, which has a network of its own
"""What `Ref("host")` means there: a port that is forwarded arrives on the pod's loopback, all else on its address."""
GIVEN = "/etc/mlplat"
"""Folder of `Ref("files")` in a container."""


class Variables:
    """The variables of one container, and texts that refer to them."""

    def __init__(self, service: Service, place: Place) -> None:
        self._service = service
        self._place = place
        self._made: dict[str, dict[str, Any]] = {}

    def argument(self, value: Any) -> Any:
        """Return one argument of a program."""
        found = self._value(value)
        return self._part(found) if _is_text(found) else found

    def listed(self, env: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the container's `env`: what others refer to first, then by name. Asked last, after its arguments."""
        own = [self._entry(name, value) for name, value in sorted(env.items())]
        taken = set(env)
        return [*(entry for name, entry in sorted(self._made.items()) if name not in taken), *own]

    def plain(self, content: Any) -> Any:
        """Return a file's content with every reference's value. Raises `ValueError` for one that no file can hold."""
        match self._value(content):
            case SecretRef(secret=name):
                raise ValueError(f"{self._service.name}: a file cannot hold `{name}`: give it by a variable")
            case tuple() as parts:
                return self._place.later([self.plain(part) for part in parts], _joined)
            case list() as items:
                return [self.plain(item) for item in items]
            case Mapping() as items:
                return {key: self.plain(item) for key, item in items.items()}
            case found:
                return found

    def _entry(self, name: str, value: Any) -> dict[str, Any]:
        found = self._value(value)
        if isinstance(found, SecretRef):
            return secret(name, found)
        return {"name": name, "value": self._part(found) if _is_text(found) else found}

    def _part(self, value: Any) -> str:
        match found := self._value(value):
            case tuple():
                return "".join(map(self._part, found))
            case SecretRef():
                name = variable(f"{found.secret} {found.key}")
                return self._refer(name, secret(name, found))
            case str() | int() | float():
                # What is written here is never expanded.
                return str(found).replace("$", "$$")
            case _:
                name = variable(value.name if isinstance(value, Ref) else f"value {len(self._made)}")
                return self._refer(name, {"name": name, "value": found})

    def _refer(self, name: str, entry: dict[str, Any]) -> str:
        self._made[name] = entry
        return f"$({name})"

    def _value(self, value: Any) -> Any:
        """Follow references as far as this side of the cluster knows."""
        while isinstance(value, Ref):
            value = self._known(value)
        return value

    def _known(self, ref: Ref) -> Any:
        if ref == HOST:
            return EVERY
        if ref == FILES:
            return GIVEN
        if ref.name in self._place.values:
            return self._place.values[ref.name]
        if ref.name.startswith(IMAGE):
            return self._place.image(ref.name.removeprefix(IMAGE))
        if ref == DATABASE:
            return SecretRef(f"{self._service.name}-database", "url")
        raise ValueError(f"{self._service.name}: nothing here is called `{ref.name}`")


def secret(name: str, ref: SecretRef) -> dict[str, Any]:
    """Return a variable whose value is a secret's."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": ref.secret, "key": ref.key}}}


def variable(text: str) -> str:
    """Return a variable's name for a text: `bucket:data` has `MLPLAT_BUCKET_DATA`."""
    return "MLPLAT_" + re.sub(r"[^A-Z0-9]+", "_", text.upper()).strip("_")


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int | float | tuple | Ref | SecretRef)


def _joined(parts: Any) -> str:
    return "".join(map(str, parts))
