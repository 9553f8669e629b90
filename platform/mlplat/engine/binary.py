"""The `pulumi` program: where it is found, and whether it will do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mlplat.errors import MlplatError
from mlplat.files import data_dir

OLDEST = (3, 200)
"""What Pulumi.yaml asks for as well."""
PROVIDER = "pulumi-resource-mlplat"
WAYS = (
    "install Pulumi by its own installer and put it on PATH, let `mlplat up --yes` fetch it into mlplat's data folder,"
    " or run `make tools` in a checkout of mlplat"
)


@dataclass(frozen=True)
class Binary:
    """A program that will do."""

    path: Path
    version: str


class MissingError(MlplatError):
    """There is no engine on this computer."""


def find(start: Path) -> Binary:
    """Return the program: on PATH, in mlplat's data folder, or in `.tools/bin` of a folder above `start`.

    Raises `MissingError` naming the ways to get one, `MlplatError` for one that will not do.
    """
    places = [os.environ.get("PATH", os.defpath), str(installed() / "bin")]
    places += [str(folder / ".tools" / "bin") for folder in [start, *start.parents]]
    found = shutil.which("pulumi", path=os.pathsep.join(places))
    if found is None:
        raise MissingError("this stack has an engine, and there is no `pulumi` on PATH", hint=WAYS)
    return check(Path(found))


def installed() -> Path:
    """Return the folder that `install` puts the program in."""
    return data_dir() / "pulumi"


def check(program: Path) -> Binary:
    """Return a program that runs and whose version will do. Raises `MlplatError`."""
    try:
        said = subprocess.run(
            [program, "version"],
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise MlplatError(f"{program}: does not run: {error}", hint=WAYS) from error
    version = said.removeprefix("v")
    found = re.match(r"(\d+)\.(\d+)\.", version)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    if number < OLDEST or number[0] > OLDEST[0]:
        raise MlplatError(
            f"{program}: is version `{said or 'unknown'}`, and mlplat needs {OLDEST[0]}.{OLDEST[1]} or newer, below"
            f" {OLDEST[0] + 1}",
            hint=WAYS,
        )
    return Binary(program, version)


def install() -> Binary:
    """Fetch the program by Pulumi's own installer into mlplat's data folder; return it.

    Raises `MlplatError` when it cannot be fetched.
    """
    from pulumi.automation import PulumiCommand

    try:
        PulumiCommand.install(root=str(installed()))
    except (OSError, subprocess.SubprocessError) as error:
        raise MlplatError(
            f"Pulumi's installer failed: {error}", hint="is its site reachable? otherwise: " + WAYS
        ) from error
    return check(installed() / "bin" / "pulumi")


def provider_folder() -> Path:
    """Return the folder of mlplat's provider, which the engine looks up on PATH. Raises `MlplatError`."""
    beside = Path(sys.executable).parent
    found = shutil.which(PROVIDER, path=os.pathsep.join([str(beside), os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise MlplatError(f"`{PROVIDER}` is not beside {sys.executable}", hint="install `mlplat[engine]` again")
    return Path(found).parent
