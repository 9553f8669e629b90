"""From a template and its variables to a tree of files, in memory.

Jinja2 in its immutable sandbox: no attribute that starts with `_`, nothing changed in place, an undefined variable is
an error. Only files that end in `.jinja` are rendered, and lose that ending; all others are copied byte for byte, so
that `${{ … }}` of a CI system, `{{ … }}` of a chart and `[[…]]` of TOML stay what they are.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mlplat.errors import MlplatError
from mlplat.scaffold.template import Template
from mlplat.scaffold.tree import File, Tree, check_path

SUFFIX = ".jinja"
PLACES = ("package", "stack")
"""Variables whose values stand in paths, for `__package__` and `__stack__`."""

_FAULTS = (TemplateError, TypeError, ValueError, ArithmeticError)


def environment() -> ImmutableSandboxedEnvironment:
    """Return the one environment in which templates, defaults and conditions are read.

    It has no loader, hence no includes. `tojson` writes plain JSON (which YAML, TOML strings and Python strings share)
    instead of Jinja's HTML-safe kind; `label` makes a DNS label of any text.
    """
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    made.globals = {"range": made.globals["range"]}
    made.filters = {name: filter_ for name, filter_ in made.filters.items() if name != "random"}
    made.filters |= {"tojson": lambda value: json.dumps(value, ensure_ascii=False), "label": label}
    return made


def label(text: str) -> str:
    """Make a DNS label of any text: `Arrival delay (min)` gives `arrival-delay-min`; `model` where nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:63].strip("-") or "model"


def render(template: Template, variables: Mapping[str, Any]) -> Tree:
    """Return the files that a template makes of its variables; a rendered file of which nothing is left is none.

    Raises `MlplatError` naming file and line when one cannot be rendered, or when a path is not allowed.
    """
    made = environment()
    tree: dict[str, File] = {}
    for source, file in template.files():
        path = check_path(_placed(source, variables).removesuffix(SUFFIX))
        if path.casefold() in map(str.casefold, tree):
            raise MlplatError(f"the template `{template.name}` makes {path} twice")
        content = file.content
        if source.endswith(SUFFIX):
            content = _fill(made, template, source, file.content, variables)
            # What is there for other answers only.
            if not content.strip():
                continue
        tree[path] = File(content, file.executable)
    return tree


def _placed(path: str, variables: Mapping[str, Any]) -> str:
    for name in PLACES:
        path = path.replace(f"__{name}__", variables.get(name, f"__{name}__"))
    return path


def _fill(
    made: ImmutableSandboxedEnvironment, template: Template, path: str, content: bytes, variables: Mapping[str, Any]
) -> bytes:
    try:
        code = made.compile(content.decode(), name=path, filename=path)
        return made.template_class.from_code(made, code, made.make_globals(None)).render(variables).encode()
    except _FAULTS as error:
        raise MlplatError(f"template `{template.name}`: {path}:{_line(error, path)}: {error}") from error


def _line(error: BaseException, path: str) -> int:
    """Return the line of the template on which it went wrong: Jinja keeps it in the error or in the traceback."""
    if line := getattr(error, "lineno", None):
        return int(line)
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == path), 1)
