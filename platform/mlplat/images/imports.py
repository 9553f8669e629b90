"""What of mlplat a program runs: its module, and all that those import, also inside functions.

An image holds these files and no others, so that it is small, and keeps its tag when what does not run in it changes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from mlplat.codebase import PACKAGE

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where statements hold statements: expressions, which are most of a file, import nothing."""


def closure(roots: tuple[str, ...], package: Path = PACKAGE) -> tuple[Path, ...]:
    """Return the files of modules and of everything of the package that they import, relative to it, sorted.

    A root that is not there counts for nothing. An import for type checkers alone is none.
    """
    found: set[Path] = set()
    waiting = list(roots)
    while waiting:
        for file in _files(waiting.pop(), package):
            if file not in found:
                found.add(file)
                waiting += _imported(file, package)
    return tuple(sorted(found))


def _files(module: str, package: Path) -> Iterator[Path]:
    """Yield the file of a module and those of the packages around it; nothing for what is no module of ours."""
    parts = module.split(".")
    if parts[0] != package.name:
        return
    for length in range(1, len(parts) + 1):
        at = Path(*parts[1:length])
        candidates = (at / "__init__.py", at.with_suffix(".py") if at.name else at)
        yield from (each for each in candidates if (package / each).is_file())


def _imported(file: Path, package: Path) -> list[str]:
    names: list[str] = []
    for node in running(ast.parse((package / file).read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from mlplat.serving import model` may name a module or something inside the package.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every statement that a running program may reach: not those of `if TYPE_CHECKING`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        is_typing = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for field in _BLOCKS if not is_typing else ("orelse",):
            waiting += getattr(node, field, ())
