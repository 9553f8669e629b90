"""What every written document has in common: strict, frozen, and read as the engine reads it.

Documents are parsed once, in JSON mode: YAML scalars become JSON values first, so that a stack file means the same to
mlplat and to Pulumi, which hands the object over as JSON.
"""

from __future__ import annotations

import difflib
import io
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from mlplat.errors import Problem, SpecError


class Spec(BaseModel):
    """A written setting or a group of them: unknown keys are refused, values are never converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


S = TypeVar("S", bound=Spec)


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"`{zone}` is no time zone; they are named like `UTC` and `America/New_York`") from error
    return zone


TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""Name of a time zone that this computer knows."""
Path_ = tuple[str | int, ...]


def read_yaml(text: str, source: str) -> Any:
    """Read one YAML 1.2 document, keeping positions. Raises `SpecError` with the line of a syntax error."""
    try:
        return YAML(typ="rt", pure=True).load(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        problem = Problem("", f"is no YAML: {error.problem}", line=mark.line + 1 if mark else None)
        raise SpecError(source, [problem]) from error
    except ValueError as error:
        # What looks like a time, and is none: `2013-13-45`.
        raise SpecError(source, [Problem("", f"is no YAML: {error}", "quote what is no time")]) from error


def read_text(path: Path) -> str:
    """Read a written file. Raises `SpecError` when it is missing, unreadable or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise SpecError(str(path), [Problem("", why or str(error))]) from error


def parse(
    model: type[S],
    data: Any,
    source: str,
    *,
    prefix: Path_ = (),
    document: Any = None,
    command: str = "mlplat explain",
) -> S:
    """Make a spec of plain data.

    `prefix` is where `data` lies in `document`, `command` what explains its keys (all for messages only). Raises
    `SpecError` with all problems at once.
    """
    try:
        return model.model_validate_json(json.dumps({} if data is None else data, default=_as_json))
    except ValidationError as error:
        found = [_problem(model, detail, prefix, document, command) for detail in error.errors()]
        # In the order of the file, and not of the model's fields.
        raise SpecError(source, sorted(found, key=lambda problem: problem.line or 0)) from error


def _as_json(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _problem(model: type[Spec], detail: Any, prefix: Path_, document: Any, command: str) -> Problem:
    location: Path_ = tuple(part for part in detail["loc"] if not _is_union_tag(part))
    message, hint = detail["msg"].removeprefix("Value error, "), None
    if detail["type"] == "extra_forbidden":
        message, hint = "unknown key", _suggestion(model, location, command)
    elif detail["type"] == "missing":
        message = "is required"
    elif detail["type"] != "value_error":
        message = f"{message[:1].lower()}{message[1:]}, not {_shown(detail['input'])}"
    return Problem(dotted((*prefix, *location)), message, hint, line_of(document, (*prefix, *location)))


def _is_union_tag(part: str | int) -> bool:
    return isinstance(part, str) and (part.startswith(("function-", "constrained-", "literal[")) or "[" in part)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004 - one line of a terminal, with room for the rest


def dotted(path: Path_) -> str:
    """Write a path as people read it: `pools.gpu.taints.0`."""
    return ".".join(str(part) for part in path)


def line_of(document: Any, path: Path_) -> int | None:
    """Return the line, from 1, on which a key or an item stands; or that of the nearest key above it."""
    line: int | None = None
    for part in path:
        position = getattr(document, "lc", None)
        if position is None:
            return line
        try:
            line = (position.key(part) if isinstance(document, dict) else position.item(part))[0] + 1
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return line
    return line


def _suggestion(model: type[Spec], location: Path_, command: str) -> str | None:
    owner = model_at(model, location[:-1])
    if owner is None:
        return None
    close = difflib.get_close_matches(str(location[-1]), owner.model_fields, n=1, cutoff=0.6)
    where = " ".join(filter(None, [command, dotted(location[:-1])]))
    return f"did you mean `{close[0]}`? `{where}` lists the keys" if close else f"`{where}` lists the keys"


def model_at(model: type[Spec], path: Path_) -> type[Spec] | None:
    """Return the spec that lies at `path` below `model`, through lists, maps and unions; None where there is none."""
    current: type[Spec] | None = model
    for part in fields_of(model, path):
        field = current.model_fields.get(str(part)) if current else None
        current = spec_in(field.annotation) if field else None
    return current


def fields_of(model: type[Spec], path: Path_) -> Path_:
    """Return a path without the names of a map's entries and the indices of a list's: those are no fields."""
    found: list[str | int] = []
    current: type[Spec] | None = model
    in_map = False
    for part in path:
        if in_map or (current and isinstance(part, int)):
            in_map = False
            continue
        found.append(part)
        field = current.model_fields.get(str(part)) if current else None
        in_map = bool(field and is_map(field.annotation))
        current = spec_in(field.annotation) if field else None
    return tuple(found)


def is_map(annotation: Any) -> bool:
    """Tell whether an annotation is a map of whatever its entries are called."""
    return get_origin(annotation) is dict or any(is_map(part) for part in get_args(annotation) if get_args(part))


def spec_in(annotation: Any) -> type[Spec] | None:
    """Return the first spec that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation
    return next((found for part in get_args(annotation) if (found := spec_in(part))), None)
