"""Values that YAML 1.2 and Pulumi's engine read differently: refused where a person writes them, or made the same.

A stack file has two readers. `mlplat up` reads YAML 1.2 with ruamel; `pulumi up` reads with Go's yaml.v3, which keeps
some of YAML 1.1, and hands the program JSON. They differ on the values below, as tests/engine/test_scalars.py shows
with a real engine; everything else means the same to both.
"""

from __future__ import annotations

import functools
import io
import math
import re
from collections.abc import Iterator, MutableMapping, MutableSequence
from datetime import datetime
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mlplat.errors import Problem

Path = tuple[str, ...]

_TAG = "tag:yaml.org,2002:"
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_LARGEST = 2**63
# Each plain text that the two readers take for different things: its look, what is wrong, what would be right.
_DISPUTED = (
    (r"[-+]?0[0-9_]+", "starts with 0, which makes it octal for Pulumi", "write the number without it, or quote it"),
    (r"[-+]?0[XOB].*", "is a number only for Pulumi", "write its second letter small, or quote it"),
    (r"\d{4}-\d\d?-\d\d?.*", "is a date that Pulumi reads otherwise", "write `2013-07-01T00:00:00Z`, or quote it"),
    (r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "is no finite number", "leave the key out, or write a number"),
    (r"<<|=", "has a meaning of its own in YAML", "quote it"),
)  # fmt: skip


def disputed(text: str, at: Path) -> list[Problem]:
    """Return every value below `at` of a text that the readers take for different things; none where it is no YAML."""
    try:
        node = YAML(typ="rt", pure=True).compose(io.StringIO(text))
    except MarkedYAMLError:
        return []
    for key in at:
        pairs = node.value if isinstance(node, MappingNode) else []
        node = next((value for name, value in pairs if name.value == key), None)
    return list(_problems(node, at, ())) if node is not None else []


def _problems(node: Node, path: Path, above: tuple[Node, ...]) -> Iterator[Problem]:
    fault = ("holds itself", "write it out") if node in above else _fault(node)
    if fault:
        yield Problem(".".join(path), *fault, node.start_mark.line + 1)
        return
    above = (*above, node)
    for index, item in enumerate(node.value if isinstance(node, SequenceNode) else ()):
        yield from _problems(item, (*path, str(index)), above)
    for key, value in node.value if isinstance(node, MappingNode) else ():
        if key.tag not in {f"{_TAG}str", f"{_TAG}merge"}:
            where, line = ".".join((*path, str(key.value))), key.start_mark.line + 1
            yield Problem(where, "is a key that is no text", "quote it", line)
        yield from _problems(value, (*path, str(key.value)), above)


def _fault(node: Node) -> tuple[str, str] | None:
    """Return what is wrong with a value, and what would be right."""
    if isinstance(node, MappingNode | SequenceNode):
        usual = node.tag in {f"{_TAG}map", f"{_TAG}seq"}
        return None if usual else _tagged(node)
    text, plain = str(node.value), getattr(node, "style", None) is None
    if node.tag != (_resolved(text) if plain else f"{_TAG}str"):
        return _tagged(node)
    return _plain_fault(text, node.tag) if plain else None


def _plain_fault(text: str, tag: str) -> tuple[str, str] | None:
    if _TIME.fullmatch(text):
        return None
    for pattern, wrong, right in _DISPUTED:
        if re.fullmatch(pattern, text):
            return f"`{text}` {wrong}", right
    digits = text.replace("_", "")
    if tag == f"{_TAG}int":
        holds = -_LARGEST <= int(digits, 0) < _LARGEST
    elif tag == f"{_TAG}float":
        holds = math.isfinite(float(digits))
    elif re.fullmatch(r"[-+]?\.[0-9]+[eE][-+]?[0-9]+", digits):
        return f"`{text}` is a number only for Pulumi", "write it with a digit before the point, or quote it"
    else:
        holds = True
    return None if holds else (f"`{text}` is beyond what a number can hold", "write a smaller one, or quote it")


def _tagged(node: Node) -> tuple[str, str]:
    return f"has the tag `{str(node.tag).replace(_TAG, '!!')}`, which Pulumi reads otherwise", "write it without a tag"


def _resolved(text: str) -> str:
    return str(_resolver().resolve(ScalarNode, text, (True, False)))


@functools.cache
def _resolver() -> Any:
    return YAML(typ="rt", pure=True).resolver


def as_engine(data: Any) -> Any:
    """Make whole numbers with a point, such as `1.0` and `1e3`, plain ones in place: the engine's JSON has them so."""
    places: Any = ()
    if isinstance(data, MutableMapping):
        places = list(data)
    elif isinstance(data, MutableSequence):
        places = range(len(data))
    for place in places:
        data[place] = as_engine(data[place])
    return int(data) if isinstance(data, float) and data.is_integer() and abs(data) < _LARGEST else data


_GO_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d{1,9})? ([+-]\d\d)(\d\d) ([A-Z]+|[+-]\d+)")


def from_engine(data: Any) -> Any:
    """Return the engine's JSON with times as they are written: it gives them in the way in which Go prints one."""
    if isinstance(data, dict):
        return {key: from_engine(value) for key, value in data.items()}
    if isinstance(data, list):
        return [from_engine(value) for value in data]
    if not isinstance(data, str) or not (found := _GO_TIME.fullmatch(data)):
        return data
    day, time, fraction, hours, minutes, _ = found.groups(default=".0")
    return datetime.fromisoformat(f"{day}T{time}{fraction[:7].ljust(7, '0')}{hours}:{minutes}").isoformat()
