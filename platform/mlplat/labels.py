"""Names, checked and mapped once.

Projects, models and endpoints are DNS labels (RFC 1123). They are shown and typed as `project/name`; MLflow, which
refuses `/` and `:`, stores a model as `project.name`; on disk and in a process table it is `project.name` as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlplat.errors import UsageError

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_RULE = "lower-case letters, digits and `-`, at most 63, starting and ending with a letter or digit"


def is_label(text: str) -> bool:
    """Tell whether `text` is a DNS label."""
    return LABEL.fullmatch(text) is not None


def check_label(text: str, what: str) -> str:
    """Return `text`, or raise `UsageError` saying why it cannot be the name of a `what`."""
    if is_label(text):
        return text
    raise UsageError(f"`{text}` cannot be the name of a {what}", hint=f"use {LABEL_RULE}")


def feast_name(project: str) -> str:
    """Return what Feast calls a project: it takes no `-`, which a project's name has and `_` never."""
    return project.replace("-", "_")


@dataclass(frozen=True, order=True)
class Name:
    """A model's or an endpoint's name within its project."""

    project: str
    name: str

    @classmethod
    def parse(cls, text: str, *, project: str | None = None) -> Name:
        """Read `project/name`, or `name` where the project is known from the context.

        Raises `UsageError` for anything else.
        """
        head, slash, tail = text.partition("/")
        if not slash and project is None:
            raise UsageError(f"`{text}` names no project", hint=f"write it as `project/{text}`")
        owner, own = (head, tail) if slash else (project or "", text)
        return cls(check_label(owner, "project"), check_label(own, "model or endpoint"))

    @classmethod
    def from_id(cls, text: str) -> Name:
        """Read the `project.name` that `id` wrote; labels hold no dot, so this is exact."""
        return cls.parse(text.replace(".", "/", 1))

    @property
    def id(self) -> str:
        """`project.name`: the registered model's name, and a file name."""
        return f"{self.project}.{self.name}"

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"
