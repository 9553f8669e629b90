"""What every kind that moto emulates has in common: boto3 in the account's region, and errors in the cloud's words."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import boto3
from botocore.exceptions import ClientError

from fakecloud.kind import RefusedError
from fakecloud.recorded import Place
from fakecloud.world import Values

GONE = ("NotFound", "NoSuch", "404", "NonExistent")
"""What the codes of errors hold that say that a thing is not there."""


@functools.cache
def client(service: str, region: str) -> Any:
    """Return a client; one for all threads, which botocore's clients allow."""
    return boto3.client(service, region_name=region)


def told(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what AWS refuses into its own words."""

    @functools.wraps(method)
    def called(*args: Any, **named: Any) -> Any:
        try:
            return method(*args, **named)
        except ClientError as error:
            raise RefusedError(str(error)) from error

    return called


@dataclass(frozen=True)
class Emulated:
    """A kind that really stands in the emulated account. Subclasses say how, by `_make`, `_see`, `_change`, `_end`."""

    place: Place
    replaces: frozenset[str] = frozenset()
    service: ClassVar[str]
    named: ClassVar[bool] = False
    """Whether one that nobody named is given a name, as the real provider does."""

    @property
    def aws(self) -> Any:
        """Return the service's client."""
        return client(self.service, self.place.region)

    def foresee(self, inputs: Values) -> Values:
        # The SDK takes an output that is missing from a preview for unknown.
        return inputs

    @told
    def create(self, urn: str, inputs: Values) -> tuple[str, Values]:
        if self.named and "name" not in inputs:
            inputs = {**inputs, "name": f"{urn.rpartition('::')[2]}-{uuid.uuid4().hex[:7]}"}
        identity, outputs = self._make(inputs)
        return identity, {**inputs, **outputs}

    def read(self, identity: str, inputs: Values) -> tuple[Values, Values] | None:
        try:
            seen = self._see(identity)
        except ClientError as error:
            if any(each in error.response["Error"]["Code"] for each in GONE):
                return None
            raise RefusedError(str(error)) from error
        if seen is None:
            return None
        found, outputs = seen
        # Of what was written, what can be seen is as it is; an import sees all that can be.
        now = {**inputs, **{name: value for name, value in found.items() if name in inputs or value or not inputs}}
        return now, {**now, **outputs}

    @told
    def update(self, identity: str, olds: Values, news: Values) -> Values:
        self._change(identity, olds, news)
        seen = self._see(identity)
        return {**news, **(seen[1] if seen else {})}

    def delete(self, identity: str, inputs: Values) -> None:
        try:
            self._end(identity, inputs)
        except ClientError as error:
            if not any(each in error.response["Error"]["Code"] for each in GONE):
                raise RefusedError(str(error)) from error

    def _make(self, inputs: Values) -> tuple[str, Values]:
        raise NotImplementedError

    def _see(self, identity: str) -> tuple[Values, Values] | None:
        """Return inputs and outputs as they are."""
        raise NotImplementedError

    def _change(self, identity: str, olds: Values, news: Values) -> None:
        raise NotImplementedError

    def _end(self, identity: str, inputs: Values) -> None:
        raise NotImplementedError


def pairs(tags: Values | None, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Return tags as AWS wants them."""
    return [{key: name, value: text} for name, text in (tags or {}).items()]


def tagged(found: list[dict[str, str]], key: str = "Key", value: str = "Value") -> Values:
    """Return tags as a map."""
    return {each[key]: each[value] for each in found}
