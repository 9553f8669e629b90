"""Changing a written file without taking it from its writer: comments stay, and so does every line that is not changed.

ruamel keeps comments, quotes and order, and still has an indentation and a line length of its own. So a change is made
twice: what ruamel would write before and after it gives the lines that differ, and only those replace the file's own.
"""

from __future__ import annotations

import difflib
import io
import re
import stat
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mlplat.errors import Problem, SpecError, StateError
from mlplat.files import write_atomic
from mlplat.spec.base import read_text, read_yaml
from mlplat.spec.migrations import Chain, upgrade, version_of

Change = Callable[[Any], None]
"""Changes a document, read with its comments, in place."""


@dataclass(frozen=True)
class Rewrite:
    """A file that is to hold something else."""

    path: Path
    shown: str
    """The file's name as people read it."""
    before: str
    after: str
    version: int
    """Version that the file is written in now."""

    def diff(self) -> str:
        """Return the lines that change, as a unified diff without context."""
        before, after = self.before.splitlines(), self.after.splitlines()
        names = f"{self.shown} (version {self.version})", self.shown
        return "\n".join(difflib.unified_diff(before, after, *names, n=0, lineterm=""))

    def write(self) -> None:
        """Put the new text in place in one step, through a link and with the file's mode.

        Raises `StateError` when the file is no longer the one that was shown, or cannot be written; it is whole then.
        """
        path = self.path.resolve()
        if _read(path) != self.before:
            raise StateError(f"{self.shown} was changed in the meantime", hint="run the command again")
        try:
            write_atomic(path, self.after, mode=stat.S_IMODE(path.stat().st_mode))
        except OSError as error:
            raise StateError(f"cannot write {self.shown}: {error.strerror}") from error


def newest_form(path: Path, shown: str, at: tuple[str, ...], chain: Chain) -> Rewrite | None:
    """Return what brings the map at `at` of a file to the newest form; None where it has that, or there is no map.

    Raises `SpecError` when the file is no YAML, or when it is written in a way that only a person can change, such as a
    moved key that comes out of an anchor.
    """
    before = _read(path)
    document = read_yaml(before, shown)
    group = _below(document, at)
    version = version_of(group, chain)
    if group is None or not upgrade(group, chain):
        return None
    after = edit(before, lambda document: _upgrade_at(document, at, chain))
    if read_yaml(after, shown) != document:
        problem = Problem(".".join(at), "its anchors keep it from the newest form", "write its keys out")
        raise SpecError(shown, [problem])
    return Rewrite(path, shown, before, after, version)


def written(file: Path, key: str) -> str | None:
    """Return what a stack file says under `config` for a key of one line. Raises `SpecError`."""
    document = read_yaml(read_text(file), str(file))
    found = (document.get("config") or {}).get(key) if isinstance(document, dict) else None
    return str(found) if found else None


def write(file: Path, key: str, value: str) -> None:
    """Say it in a stack file; nothing else in it changes."""

    def change(document: Any) -> None:
        document["config"][key] = value

    write_atomic(file.resolve(), edit(read_text(file), change), mode=file.stat().st_mode & 0o777)


def edit(text: str, change: Change) -> str:
    """Return a YAML text in which a change is made to the document, and no line differs that it does not concern.

    Where the lines cannot be told apart, the whole text is written in ruamel's way. Line ends stay what they are.
    """
    end = "\r\n" if "\r\n" in text else "\n"
    mine = text.replace("\r\n", "\n")
    writer = _writer(mine)
    document = writer.load(mine)
    usual = _dump(writer, document)
    change(document)
    changed = _dump(writer, document)
    merged = _merge(mine.splitlines(), usual.splitlines(), changed.splitlines())
    whole = "" if merged is None else "\n".join(merged) + ("\n" if mine.endswith("\n") else "")
    return (whole if _holds(writer, whole, document) else changed).replace("\n", end)


def _holds(writer: YAML, text: str, document: Any) -> bool:
    try:
        return bool(writer.load(text) == document)
    except YAMLError:
        return False


def _merge(mine: list[str], usual: list[str], changed: list[str]) -> list[str] | None:
    """Make the changes that lead from `usual` to `changed` in `mine`; None where a changed line is not found there."""
    place = _places(usual, mine)
    merged = list(mine)
    steps = difflib.SequenceMatcher(None, usual, changed, autojunk=False).get_opcodes()
    for tag, start, stop, first, last in reversed(steps):
        if tag == "equal":
            continue
        # A pure insertion goes behind the line before it.
        there = range(start, stop) if stop > start else range(start - 1, start)
        if any(line not in place for line in there) or place[there[-1]] - place[there[0]] != len(there) - 1:
            return None
        begin = place[there[0]] + (stop == start)
        merged[begin : begin + stop - start] = changed[first:last]
    return merged


def _places(usual: list[str], mine: list[str]) -> dict[int, int]:
    """Return where the lines of ruamel's text stand in the file: the same line, or one of as many that differ."""
    # Lines are the same ones whatever their spaces: those of a line that changes may become ruamel's.
    old, new = ([" ".join(line.split()) for line in lines] for lines in (usual, mine))
    steps = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    alike = [(start, stop, first) for _, start, stop, first, last in steps if stop - start == last - first]
    return {line: first + line - start for start, stop, first in alike for line in range(start, stop)}


def _upgrade_at(document: Any, at: tuple[str, ...], chain: Chain) -> None:
    group = _below(document, at)
    if group is not None:
        upgrade(group, chain)


def _below(document: Any, at: tuple[str, ...]) -> MutableMapping[str, Any] | None:
    for key in at:
        document = document.get(key) if isinstance(document, MutableMapping) else None
    return document if isinstance(document, MutableMapping) else None


def _writer(text: str) -> YAML:
    made = YAML(typ="rt", pure=True)
    made.preserve_quotes = True
    made.width = 2**20
    indent = re.search(r"^( +)[^\s#-]", text, re.MULTILINE)
    made.indent(mapping=len(indent[1]) if indent else 2)
    return made


def _dump(writer: YAML, document: Any) -> str:
    out = io.StringIO()
    writer.dump(document, out)
    return out.getvalue()


def _read(path: Path) -> str:
    """Read a file with its own line ends."""
    read_text(path)  # says what is wrong with one that is missing or not UTF-8
    return path.read_bytes().decode()
