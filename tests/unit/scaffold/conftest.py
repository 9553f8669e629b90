from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlplat.scaffold.template import Template

Make = Callable[..., Template]

MANIFEST = """
version: "1.2.3"
description: A tiny one
questions:
  - {name: colour, type: choice, message: Which colour?, choices: [red, blue], default: red}
  - {name: shade, message: Which shade?, when: colour == "blue", otherwise: none}
  - {name: title, message: Which title?, ask: false, default: "{{ colour }} {{ project }}"}
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that writes a template from a dict of files and loads it."""

    def write(files: Mapping[str, str | bytes], manifest: str = MANIFEST) -> Template:
        folder = tmp_path / "templates" / "tiny"
        for path, content in {
            "template.yaml": manifest,
            **{f"project/{name}": text for name, text in files.items()},
        }.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        return Template.load(folder)

    return write


@pytest.fixture(autouse=True)
def own_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git see no settings but a test's own, and no repository above its folder."""
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
