"""What a rule over services' documents is, and what all of them read off them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from workloads import Document

Found = Iterator[tuple[str, str]]
"""Where a rule is broken, and why."""
Rule = Callable[[Sequence[Document]], Found]
RULES: dict[str, Rule] = {}
"""Every rule by its name."""
SERVICE = "mlplat/service"
LONG = ("Deployment", "StatefulSet")
"""What goes on running."""


def rule(made: Rule) -> Rule:
    """Enter a rule under its function's name."""
    RULES[made.__name__] = made
    return made


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a selector of labels means something that has these."""
    return selector.items() <= labels.items()


def labels_of(template: Document) -> Mapping[str, str]:
    """Return the labels of pods."""
    return template["metadata"].get("labels", {})  # type: ignore[no-any-return]
