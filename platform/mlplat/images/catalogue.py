"""The images of the platform's own services: what each is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlplat.environment import REQUIREMENTS
from mlplat.errors import UsageError

FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class Image:
    """One image: a Dockerfile, locked requirements, and the part of mlplat that runs in it."""

    name: str
    description: str
    modules: tuple[str, ...] = ()
    """Modules of mlplat that are started in it; whatever they import comes along. Empty: somebody else's program."""

    @property
    def dockerfile(self) -> Path:
        """Return its Dockerfile."""
        return FILES / f"{self.name}.Dockerfile"

    @property
    def requirements(self) -> Path:
        """Return its requirements with hashes: its own, or those of this computer's service of that name."""
        own = REQUIREMENTS / "images" / f"{self.name}.txt"
        return own if own.is_file() else REQUIREMENTS / own.name


JOBS = ("copies", "databases", "development", "tables")
"""Modules of `mlplat.jobs` that run on a cluster."""
ALL = (
    Image(
        "serving", "Model server of mlplat", ("mlplat.serving.__main__", "mlplat.serving.fetch", "mlplat.serving.ship")
    ),
    Image(
        "controller",
        "Controller of mlplat's endpoints, and its setup jobs",
        ("mlplat.controller.kubernetes.__main__", *(f"mlplat.jobs.{job}" for job in JOBS)),
    ),
    Image("tracking", "MLflow with its database's driver and S3"),
    Image(
        "features",
        "Feast's registry and feature server on PostgreSQL and DynamoDB",
        ("mlplat.online.__main__", "mlplat.online.feast"),
    ),
)
NAMES = tuple(image.name for image in ALL)


def find(name: str) -> Image:
    """Return an image by name. Raises `UsageError` for one that there is not."""
    for image in ALL:
        if image.name == name:
            return image
    raise UsageError(f"there is no image `{name}`", hint=f"there are {', '.join(f'`{each}`' for each in NAMES)}")
