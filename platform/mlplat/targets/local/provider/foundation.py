"""The state folder as a resource, and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import ClassVar

from mlplat.errors import StateError
from mlplat.files import state_dir
from mlplat.spec.base import parse
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.local.foundation import foundation, is_anchored, provision, read_record, record
from mlplat.targets.local.install import end
from mlplat.targets.local.provider.kind import UNKNOWN, WHO, Difference, Found, Tell, Values, compare
from mlplat.targets.local.resolve import plain


class FoundationKind:
    """The state folder and what it says of itself. Its data outlives it: `mlplat down --delete-data` removes that."""

    inputs: ClassVar[Mapping[str, str]] = {"spec": "object", "stack": "string"}
    outputs: ClassVar[Mapping[str, str]] = {
        "state": "string",
        "artifacts": "string",
        "database": "string",
        "clock": "string",
    }

    def identity(self, inputs: Values) -> str:
        """Return `<platform>/<stack>`."""
        return f"{inputs['spec']['name']}/{inputs['stack']}"

    def check(self, inputs: Values) -> list[tuple[str, str]]:
        """Return what is wrong with inputs, as property and reason."""
        try:
            _spec(inputs)
        except ValueError as error:
            return [("spec", str(error))]
        return []

    def diff(self, identity: str, olds: Values, news: Values) -> Difference:
        """Hold what is wanted against what is recorded in the state folder."""
        moved = ("spec.name",) if self.identity(news) != identity else ()
        known = dict(compare(olds, news))
        try:
            found = self.read(identity, olds)
        except StateError as error:
            return Difference({"state": "update", **known}, moved, error.message)
        if found is None:
            return Difference({"state": "update", **known}, moved, "its state folder is not there")
        return Difference({**known, **dict(compare(found.inputs, news))}, moved)

    def create(self, news: Values, tell: Tell, *, preview: bool) -> tuple[str, Values]:
        """Make the folders and the record."""
        return self.identity(news), self.update(news, tell, preview=preview)

    def update(self, news: Values, _tell: Tell, *, preview: bool) -> Values:
        """Bring the record to what is written."""
        spec, stack = _spec(news), news["stack"]
        if preview:
            # A clock is anchored at the moment it is first applied.
            later = {} if is_anchored(spec, stack) else {"clock": UNKNOWN}
            return {**news, **_leaves(asdict(foundation(spec, stack))), **later}
        made = provision(spec, stack)
        record(spec, stack, made)
        return {**news, **_leaves(asdict(made))}

    def read(self, identity: str, _inputs: Values) -> Found | None:
        """Return what the state folder says it is the state of."""
        platform, _, stack = identity.partition("/")
        kept = read_record(state_dir() / platform / stack)
        if kept is None:
            return None
        inputs = {"spec": kept["spec"], "stack": kept["stack"]}
        return Found(identity, inputs, {**inputs, **_leaves(kept["foundation"])})

    def delete(self, _identity: str, outputs: Values) -> None:
        """End whatever runs, model servers included; data stays."""
        end(_spec(outputs), outputs["stack"], who=WHO)


def _spec(inputs: Values) -> PlatformSpec:
    return parse(PlatformSpec, plain(inputs["spec"]), "spec")


def _leaves(made: Values) -> Values:
    # What has no value in a preview counts as unknown there, and so would everything that takes it.
    return {name: value or "" for name, value in made.items()}
