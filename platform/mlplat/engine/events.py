"""What the engine tells while it works, in our own words: changes, progress, what went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlplat.upgrades import Consequence

SILENT = ("pulumi:pulumi:Stack", "pulumi:providers:")
"""Types that stand for the stack and its providers, which nobody asked for."""
ACTIONS = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "import": "import",
    "discard": "forget",
}
DISTURBING = frozenset({"restart", "delete", "replace"})
SERVICE = "mlplat:local:Service"
QUIET = ("live", "ready", "ports", "address", "images")
"""Inputs of a service that change without its process."""
_STYLE = re.compile(r"<\{%.*?%\}>")


@dataclass(frozen=True)
class EngineChange:
    """One resource that an `up` or a `down` would touch."""

    action: str
    kind: str
    name: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.action:8}{self.kind}/{self.name}" + (f"  ({', '.join(self.fields)})" if self.fields else "")


@dataclass
class Listener:
    """Takes the engine's events as they come."""

    tell: Callable[[str], None]
    changes: list[EngineChange] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """What the provider found on this computer, such as `gateway: does not run`."""
    upgrades: list[Consequence] = field(default_factory=list)
    """What other versions of parts do; the program says it, and no event."""

    def __call__(self, event: Any) -> None:
        """Take one event."""
        if event.resource_pre_event:
            self._begins(event.resource_pre_event.metadata)
        elif event.res_outputs_event:
            self._done(event.res_outputs_event.metadata)
        elif event.diagnostic_event:
            self._said(event.diagnostic_event)

    def _begins(self, step: Any) -> None:
        if (action := ACTIONS.get(_word(step.op))) and not step.type.startswith(SILENT):
            fields = _fields(step)
            action = _of_service(fields) if step.type == SERVICE and action == "update" else action
            self.changes.append(EngineChange(action, _kind(step.type), _name(step.urn), fields))

    def _done(self, step: Any) -> None:
        action = ACTIONS.get(_word(step.op))
        if action and not step.type.startswith(SILENT):
            self.tell(f"{_kind(step.type)}/{_name(step.urn)}: {action} done")

    def _said(self, diagnostic: Any) -> None:
        text = _STYLE.sub("", diagnostic.message).strip()
        if diagnostic.severity == "error":
            self.errors += [text] if text not in self.errors and text != "update failed" else []
        elif diagnostic.severity == "info" and text:
            self.tell(text)
            self.seen += [] if diagnostic.ephemeral or text in self.seen else [text]


def _of_service(fields: tuple[str, ...]) -> str:
    """Return what an update does to a service's process."""
    if "running" in fields:
        return "start"
    return "restart" if any(not field.startswith(QUIET) for field in fields) else "update"


def _word(operation: Any) -> str:
    return str(getattr(operation, "value", operation))


def _kind(token: str) -> str:
    return token.rsplit(":", maxsplit=1)[-1].lower()


def _name(urn: str) -> str:
    return urn.rsplit("::", maxsplit=1)[-1]


def _fields(step: Any) -> tuple[str, ...]:
    return tuple(sorted(step.detailed_diff or step.diffs or ()))
