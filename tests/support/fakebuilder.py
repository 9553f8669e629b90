"""Programs on PATH in place of image builders: they write down what they are asked, and do as they were told."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
words = sys.argv[1:]
context = pathlib.Path(words[-1])
seen = sorted(str(p.relative_to(context)) for p in context.rglob("*") if p.is_file()) if words[0] == "build" else []
with (folder / "asked.jsonl").open("a") as file:
    file.write(json.dumps([{name!r}, words, seen]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
for start, (code, out, err) in answers.items():
    if " ".join([{name!r}, *words]).startswith(start):
        for word in words:
            if word.startswith("--digestfile=") and code == 0:
                pathlib.Path(word.partition("=")[2]).write_text(out)
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
"""
Answer = tuple[int, str, str]
"""Exit code, stdout and stderr."""


@dataclass(frozen=True)
class Programs:
    """Programs that stand in for builders, the only ones on PATH."""

    folder: Path

    def install(self, *names: str) -> None:
        """Put programs there that say yes to everything."""
        for name in names:
            path = self.folder / name
            path.write_text(PROGRAM.format(python=sys.executable, folder=str(self.folder), name=name))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def answer(self, answers: Mapping[str, Answer]) -> None:
        """Say how commands end, by what they begin with; the first that fits counts, any other ends well."""
        (self.folder / "answers.json").write_text(json.dumps(answers))

    @property
    def asked(self) -> list[list[str]]:
        """Return every command so far, the program's name first."""
        return [[name, *words] for name, words, _ in self._lines()]

    @property
    def contexts(self) -> list[list[str]]:
        """Return the files of every context that was built, in turn."""
        return [seen for _, words, seen in self._lines() if words[0] == "build"]

    def _lines(self) -> list[tuple[str, list[str], list[str]]]:
        path = self.folder / "asked.jsonl"
        return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Return an empty folder of programs that is all of PATH."""
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in [name for name in os.environ if name.startswith("PIP_") or name == "MLPLAT_BUILDER"]:
        monkeypatch.delenv(name)
    made = Programs(folder)
    made.answer({})
    return made
