from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlplat.codebase import PACKAGE
from mlplat.images import catalogue, context
from mlplat.images.catalogue import Image
from mlplat.images.imports import closure, running

OWN = [image for image in catalogue.ALL if image.modules]


def package(folder: Path, files: dict[str, str]) -> Path:
    """Write a package `ours` of these files."""
    made = folder / "ours"
    for name, text in files.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


def names(roots: tuple[str, ...], made: Path) -> list[str]:
    return [path.as_posix() for path in closure(roots, made)]


@pytest.mark.parametrize(
    "text",
    [
        "import ours.b",
        "import os, ours.b as other",
        "from ours import b",
        "from ours.b import thing",
        "def f():\n    from ours.b import thing",
        "try:\n    import ours.b\nexcept ImportError:\n    pass",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os\nelse:\n    import ours.b",
    ],
)
def test_what_a_module_may_import_comes_along(tmp_path: Path, text: str) -> None:
    made = package(tmp_path, {"__init__.py": "", "a.py": text, "b.py": "", "c.py": ""})
    assert names(("ours.a",), made) == ["__init__.py", "a.py", "b.py"]


def test_so_does_what_that_imports_and_every_package_around_it(tmp_path: Path) -> None:
    files = {
        "__init__.py": "import ours.always",
        "always.py": "",
        "a.py": "import ours.inner.deep.b",
        "inner/__init__.py": "",
        "inner/deep/__init__.py": "from ours import c",
        "inner/deep/b.py": "",
        "c.py": "import ours.a",
        "other.py": "",
    }
    assert names(("ours.a",), package(tmp_path, files)) == sorted(set(files) - {"other.py"})


def test_what_is_there_for_type_checkers_alone_stays_away(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ours.b import thing\n"
    made = package(tmp_path, {"__init__.py": "", "a.py": text, "b.py": ""})
    assert names(("ours.a",), made) == ["__init__.py", "a.py"]


@pytest.mark.parametrize("image", OWN, ids=lambda image: image.name)
def test_everything_that_an_image_starts_is_in_mlplat(image: Image) -> None:
    paths = {path.as_posix() for path in closure(image.modules)}
    wanted = {f"{module.removeprefix('mlplat.').replace('.', '/')}.py" for module in image.modules}
    assert wanted <= paths


def test_every_job_that_is_a_program_is_in_the_controller_s_image() -> None:
    programs = {
        f"mlplat.jobs.{path.stem}" for path in (PACKAGE / "jobs").glob("*.py") if "__main__" in path.read_text()
    }
    assert programs
    assert programs <= set(catalogue.find("controller").modules)


# Feast is not here: tests/e2e/test_features_on_postgres.py starts the copy of its image in an environment that has it.
@pytest.mark.parametrize("image", [each for each in OWN if each.name != "features"], ids=lambda image: image.name)
def test_every_module_of_an_image_finds_all_of_mlplat_that_it_asks_for(image: Image, tmp_path: Path) -> None:
    """In a process that has the image's own copy, and no other."""
    context.write(image, tmp_path)
    modules = [
        ".".join(("mlplat", *path.with_suffix("").parts)).removesuffix(".__init__") for path in closure(image.modules)
    ]
    program = (
        f"import sys, importlib; sys.path.insert(0, {str(tmp_path / 'code')!r})\n"
        f"for name in {[each for each in modules if not each.endswith('__main__')]!r}: importlib.import_module(name)\n"
        f"import mlplat; assert mlplat.__path__ == [{str(tmp_path / 'code' / 'mlplat')!r}], mlplat.__path__\n"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0].startswith('pulumi')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize("image", OWN, ids=lambda image: image.name)
def test_every_package_that_an_image_s_code_imports_is_among_its_requirements(image: Image) -> None:
    known = importlib.metadata.packages_distributions()
    required = {canonical(line.split("==")[0]) for line in image.requirements.read_text().splitlines() if "==" in line}
    for path in closure(image.modules):
        for name in sorted(imported(PACKAGE / path) - set(sys.stdlib_module_names) - {"mlplat"}):
            given = {canonical(each) for each in known.get(name, [name])}
            assert given & required, f"{path}: `{name}` is of {given or 'no package'}"


def imported(path: Path) -> set[str]:
    """Return the first parts of all that a module imports when it runs."""
    found: set[str] = set()
    for node in running(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower().strip()
