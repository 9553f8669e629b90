"""Images that are really built and started here: buildah on storage of the tests' own, and a base of Debian packages.

No registry is asked. What was built is kept in `.cache/images` with every layer, so that a second run takes seconds;
all of it goes when it has grown too large, or when the base is made otherwise.

A container is a mount namespace with the image's files as a read-only root, in which only /tmp can be written, and a
user who owns nothing: what a strict cluster gives a pod. It has this computer's network.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from commands import ROOT

CACHE = ROOT / ".cache" / "images"
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
NEEDED = ("buildah", "debootstrap", "unshare", "chroot")
RECIPE = f"{SUITE} {' '.join(PACKAGES)} 1"
LARGEST_GB = 12.0
"""Half a dozen changes of all requirements; nothing else ever removes a layer."""
STRANGER = 12345
"""A user that is in no image's list of users, as some clusters choose one."""

START = """
set -e
root=$1 bundle=$2; shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
if [ -n "$bundle" ]; then mkdir "$root/tmp/bundle"; mount --bind -o ro "$bundle" "$root/tmp/bundle"; fi
mount -o remount,ro,bind "$root"
exec "$@"
"""


def lacking() -> str | None:
    """Return why no image can be built here; None where one can."""
    if os.getuid() != 0:
        return "this is not root"
    missing = [program for program in NEEDED if shutil.which(program) is None]
    return f"there is no {', '.join(missing)}" if missing else None


@dataclass(frozen=True)
class Store:
    """Where buildah keeps what it builds."""

    folder: Path
    base: str
    """Reference of the base of Debian packages."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables by which buildah, whoever starts it, works here."""
        return {"CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"), "BUILDAH_ISOLATION": "chroot"}

    def run(self, *arguments: str | Path) -> str:
        """Run buildah; return its output."""
        done = subprocess.run(
            ["buildah", *map(str, arguments)],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"buildah {' '.join(map(str, arguments))}: {done.stderr[-2000:]}"
        return done.stdout.strip()

    def has(self, reference: str) -> bool:
        """Tell whether an image is here."""
        return bool(self.run("images", "--quiet", "--filter", f"reference={reference}"))

    @contextlib.contextmanager
    def opened(self, reference: str) -> Iterator[Image]:
        """Lay an image's files out, for as long as the context is entered."""
        container = self.run("from", "--pull-never", reference)
        try:
            config = json.loads(self.run("inspect", "--type", "image", reference))["OCIv1"]["config"]
            yield Image(Path(self.run("mount", container)), config)
        finally:
            self.run("rm", container)


@dataclass(frozen=True)
class Image:
    """An image whose files are laid out."""

    root: Path
    config: Mapping[str, Any]
    """What it says of itself: `Entrypoint`, `Env`, `User`, `Labels`."""

    @cached_property
    def variables(self) -> dict[str, str]:
        """Return the variables that it sets."""
        return dict(each.split("=", 1) for each in self.config["Env"])

    def start(
        self,
        *arguments: str,
        entrypoint: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        bundle: Path | None = None,
        user: int = STRANGER,
    ) -> subprocess.Popen[str]:
        """Start its program, or another one, as a pod with a read-only root would be."""
        variables = [f"{name}={value}" for name, value in {**self.variables, **(env or {})}.items()]
        who = ["chroot", f"--userspec={user}:{user}", "--groups=", str(self.root), "/usr/bin/env", "-i", *variables]
        return subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation", "private", "sh", "-c", START, "sh"),
                *(str(self.root), str(bundle or ""), *who, *(entrypoint or self.config["Entrypoint"]), *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def output(self, *arguments: str, seconds: float = 120, **how: Any) -> tuple[int, str]:
        """Start its program and wait for its end; return its exit code and all that it said."""
        with self.start(*arguments, **how) as child:
            try:
                said, _ = child.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                child.kill()
                raise
        return child.returncode, said


def store() -> Store:
    """Open the tests' storage, with the base in it."""
    mark = hashlib.sha256(RECIPE.encode()).hexdigest()[:16]
    made = Store(CACHE / f"store-{mark}", f"localhost/mlplat-base:{mark}")
    for old in CACHE.glob("store-*"):
        if old != made.folder or _gigabytes(old) > LARGEST_GB:
            shutil.rmtree(old)
    made.folder.mkdir(parents=True, exist_ok=True)
    paths = {"graphroot": made.folder / "storage", "runroot": made.folder / "run"}
    lines = ['[storage]\ndriver = "overlay"', *(f'{name} = "{path}"' for name, path in paths.items())]
    (made.folder / "storage.conf").write_text("\n".join(lines) + "\n")
    if not made.has(made.base):
        _import(made, _root_filesystem())
    return made


def _gigabytes(folder: Path) -> float:
    done = subprocess.run(["du", "-s", "--block-size=1M", str(folder)], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0]) / 1000


def pip_settings(folder: Path) -> list[str]:
    """Return the options by which `mlplat images build` reaches the package index as this computer does."""
    settings = configparser.ConfigParser()
    settings.read(["/etc/pip.conf", *filter(None, [os.environ.get("PIP_CONFIG_FILE")])])
    known = dict(settings["global"]) if settings.has_section("global") else {}
    for name in ("index-url", "extra-index-url", "trusted-host", "timeout"):
        if value := os.environ.get(f"PIP_{name.upper().replace('-', '_')}"):
            known[name] = value
    authorities = os.environ.get("PIP_CERT") or known.pop("cert", None)
    known.pop("cert", None)
    file = folder / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in known.items()))
    return ["--pip-config", str(file), *(["--ca", authorities] if authorities else [])]


def _root_filesystem() -> Path:
    """Make the base's files of Debian packages, unless they are there; return them as one archive."""
    archive = CACHE / f"base-{hashlib.sha256(RECIPE.encode()).hexdigest()[:16]}.tar"
    if archive.is_file():
        return archive
    folder = archive.with_suffix(".root")
    shutil.rmtree(folder, ignore_errors=True)
    packages = f"--include={','.join(PACKAGES)}"
    command = ["debootstrap", "--variant=minbase", packages, SUITE, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"debootstrap: {done.stdout[-2000:]}"
    for kept in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        shutil.rmtree(folder / kept)
    temporary = archive.with_suffix(".part")
    subprocess.run(["tar", "-C", str(folder), "-cf", str(temporary), "."], check=True)
    temporary.rename(archive)
    shutil.rmtree(folder)
    return archive


def _import(made: Store, archive: Path) -> None:
    container = made.run("from", "scratch")
    made.run("add", "--quiet", container, archive, "/")
    made.run("commit", "--quiet", container, made.base)
    made.run("rm", container)
