"""A project's own environment: its locked requirements, its own package, and the mlplat that runs it."""

from __future__ import annotations

from pathlib import Path

from mlplat import codebase, environment
from mlplat.environment import Progress
from mlplat.errors import UsageError
from mlplat.files import write_if_changed

REQUIREMENTS = "requirements.txt"
ENVIRONMENT = ".venv"
PATHS = "mlplat.pth"


def prepare(project: Path, *, progress: Progress) -> Path:
    """Make a project's `.venv` what it should be; return its Python.

    Besides the locked requirements it holds `mlplat.pth`, which names the project's `src` and the copy of mlplat's code
    that this command line brings. Raises `UsageError` without requirements and `InstallError` when they cannot be
    installed.
    """
    requirements = project / REQUIREMENTS
    if not requirements.is_file():
        raise UsageError(f"{requirements} is missing", hint="`make lock` in the project writes it")
    python = environment.ensure(requirements, project / ENVIRONMENT, progress=progress, name=project.name)
    paths = f"{project.absolute() / 'src'}\n{codebase.folder()}\n"
    write_if_changed(site_packages(python) / PATHS, paths)
    return python


def site_packages(python: Path) -> Path:
    """Return where an environment keeps its packages."""
    return next((python.parents[1] / "lib").glob("python*/site-packages"))
