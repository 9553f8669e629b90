"""Which metrics and labels an expression of PromQL reads: a small tokenizer, for what promtool does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*")
    |(?P<window>\[[^\]]*\])
    |(?P<number>(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:ms|[smhdwy])?)
    |(?P<name>[$a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<match>=~|!~|!=(?=\s*")|=(?=\s*"))
    |(?P<sign>[-+*/%^(){},]|==|!=|<=|>=|<|>)
    |(?P<space>\s+)
    |(?P<other>.)""",
    re.VERBOSE,
)
LISTS = ("by", "without", "on", "ignoring", "group_left", "group_right")
AGGREGATIONS = ("sum", "max", "min", "avg", "count", "group", "topk", "quantile")
WORDS = (*LISTS, "and", "or", "unless", "bool", "offset", "inf", "nan")


@dataclass
class Reading:
    """What an expression reads."""

    metrics: dict[str, set[str]] = field(default_factory=dict)
    """Labels that are matched, by metric."""
    grouped: set[str] = field(default_factory=set)
    """Labels of `by`, `on` and their like."""
    copied: set[str] = field(default_factory=set)
    """Labels that `label_replace` looks at."""
    made: set[str] = field(default_factory=set)
    """Labels that `label_replace` writes."""


def read(expr: str) -> Reading:
    """Read an expression. Raises `ValueError` for a character that begins nothing."""
    reading, tokens = Reading(), list(_tokens(expr))
    texts: list[tuple[str, list[str]]] = []
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "name" and text in LISTS:
            # `group_left` may stand without its list.
            place = _listed(tokens, place + 2, reading.grouped) if after == "(" else place + 1
            continue
        if kind == "name" and text in AGGREGATIONS and after in LISTS:
            place += 1
            continue
        if kind == "name" and text not in WORDS and after != "(":
            labels = reading.metrics.setdefault(text, set())
            place = _matched(tokens, place + 2, labels) if after == "{" else place + 1
            continue
        if text == "{":
            raise ValueError(f"{expr}: a selector without a metric is read by nobody")
        if text == "(":
            texts.append((tokens[place - 1][1] if place and tokens[place - 1][0] == "name" else "", []))
        elif text == ")":
            _replaced(*texts.pop(), reading)
        elif kind == "string" and texts:
            texts[-1][1].append(text[1:-1])
        place += 1
    return reading


def _tokens(expr: str) -> Iterator[tuple[str, str]]:
    for found in TOKEN.finditer(expr):
        if found.lastgroup == "other":
            raise ValueError(f"{expr}: {found.group()!r} begins nothing")
        if found.lastgroup not in ("space", "window"):
            yield str(found.lastgroup), found.group()


def _listed(tokens: list[tuple[str, str]], place: int, labels: set[str]) -> int:
    while tokens[place][1] != ")":
        if tokens[place][0] == "name":
            labels.add(tokens[place][1])
        place += 1
    return place + 1


def _matched(tokens: list[tuple[str, str]], place: int, labels: set[str]) -> int:
    while tokens[place][1] != "}":
        if tokens[place][0] == "name":
            labels.add(tokens[place][1])
        place += 1
    return place + 1


def _replaced(function: str, texts: list[str], reading: Reading) -> None:
    if function == "label_replace":
        target, _, source, _ = texts
        reading.made.add(target)
        reading.copied.add(source)
