"""Python environments that mlplat makes: one for each of the platform's services, one for each project.

An environment is made of a requirements file with hashes and is either complete or not there: a marker inside it says
which requirements and which Python it holds, and is written last. Nothing here resolves versions; that happens when the
requirements are locked.

The interpreter is the one below the environment that mlplat itself runs in, so that nothing hangs on a throw-away one
(`uvx mlplat`). uv installs where it is found (seconds); otherwise `venv` and pip do the same more slowly.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlplat import bytecode
from mlplat.errors import MlplatError, StateError
from mlplat.files import data_dir, write_atomic

Progress = Callable[[str], None]
"""Takes one line for people."""

MARKER = "mlplat-environment.json"
LOCK = ".mlplat-lock"
REQUIREMENTS = Path(__file__).parent / "environments"
TAIL_LINES = 12  # an installer says what went wrong in its last lines; more would hide the hint below them

# Each of these would make a child look into the wrong environment, or compile its modules again at every start.
_NOT_INHERITED = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON")

_CAUSES = (
    ("No space left on device|Disk quota exceeded", "free some space where `{folder}` lies, then run it again"),
    (
        "[Hh]ash(es)? mismatch|DO NOT MATCH THE HASHES",
        "the package index gave another file than `{requirements}` lists: if that is expected, lock it again",
    ),
    (
        "Failed to fetch|error sending request|Retrying|[Tt]imed out|name resolution|[Cc]onnection (refused|reset)",
        "the package index cannot be reached: check network and proxy, then run it again; what was downloaded is kept",
    ),
    ("ensurepip", "install this Python's `venv` package (Debian: `python3-venv`), or uv"),
)


class InstallError(MlplatError):
    """An environment could not be made."""


def ensure(requirements: Path, folder: Path, *, progress: Progress, name: str | None = None) -> Path:
    """Make the environment of a hashed requirements file at `folder` unless it is there; return its Python.

    `name` is what progress lines call it; by default the requirements file's. An environment of ours that holds other
    requirements is made anew; a folder of somebody else's is left alone. Of two processes at once, one builds
    and the other waits. Raises `InstallError` with the installer's last lines, and then nothing looks complete.
    """
    build = _Build(requirements.absolute(), folder.absolute(), name or requirements.stem, progress)
    if not build.is_complete():
        try:
            build.make()
        except OSError as error:
            raise InstallError(f"cannot make the environment {folder}: {error.strerror or error}") from error
    return build.python


def service(name: str, *, progress: Progress) -> Path:
    """Make the environment of a service unless it is there; return its Python.

    Services are `tracking`, `gateway`, `platform`, `serving` and `features`, and `drift` is what a monitor's pages of
    Evidently's are made in. It lies in the data folder under a name that holds its requirements' hash, so that running
    services keep theirs. Raises `InstallError`.
    """
    return ensure(REQUIREMENTS / f"{name}.txt", service_folder(name), progress=progress, name=name)


def service_folder(name: str) -> Path:
    """Return where a service's environment lies, or would."""
    return data_dir() / "envs" / f"{name}-{fingerprint(REQUIREMENTS / f'{name}.txt')[:16]}"


def is_complete(name: str) -> bool:
    """Tell whether a service's environment is there, whole."""
    return _Build(REQUIREMENTS / f"{name}.txt", service_folder(name), name, lambda _: None).is_complete()


def fingerprint(requirements: Path) -> str:
    """Return the hex SHA-256 of a requirements file's bytes and of the Python version that would install them."""
    try:
        content = requirements.read_bytes()
    except OSError as error:
        raise InstallError(f"{requirements}: {error.strerror}") from error
    return hashlib.sha256(content + f"\npython {_python_version()}".encode()).hexdigest()


def pinned(name: str, package: str) -> str:
    """Return the version of a package that an environment or image, such as `images/tracking`, is locked with.

    Raises `ValueError` for a package that is not in it.
    """
    locked = (REQUIREMENTS / f"{name}.txt").read_text()
    found = re.search(rf"^{re.escape(package)}==(\S+)", locked, re.MULTILINE)
    if found is None:
        raise ValueError(f"{name} is locked without `{package}`")
    return found[1]


def inherited() -> dict[str, str]:
    """Return this process's variables without those that would mislead a child with an environment of its own."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}


def _python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def base_python() -> str:
    """Return the interpreter below the environment that this process runs in."""
    base: str = getattr(sys, "_base_executable", "") or sys.executable
    return base


def find_uv() -> str | None:
    """Return the uv program: on PATH, beside this interpreter, or in the installed package `uv`; None without one."""
    beside = Path(sys.executable).parent / "uv"
    if found := shutil.which("uv") or shutil.which(beside):
        return found
    with contextlib.suppress(ImportError, FileNotFoundError):
        program: str = importlib.import_module("uv").find_uv_bin()
        return program
    return None


@dataclass(frozen=True)
class _Build:
    requirements: Path
    folder: Path
    name: str
    progress: Progress

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def is_complete(self) -> bool:
        wanted = {"state": "complete", "fingerprint": fingerprint(self.requirements)}
        # The link to an interpreter that was removed or upgraded away does not `exists`.
        return _subset(wanted, self._marker()) and self.python.exists()

    def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(
            self.folder / LOCK, lambda: self.progress(f"{self.name}: waiting for another process to install it")
        ) as lock:
            if self.is_complete():
                return
            self._refuse_foreign()
            try:
                self._install(lock)
            except BaseException:
                self._clear()
                raise

    def _install(self, lock: int) -> None:
        started = time.monotonic()
        count = _count(self.requirements)
        self.progress(f"{self.name}: installing {count} package{'' if count == 1 else 's'}")
        # Never brought up to date in place: two versions of a module that were unpacked in the same second and have the
        # same size share their compiled file, and the old one would run.
        self._clear()
        self._mark("building")
        uv = find_uv()
        for argv in _with_uv(uv, self) if uv else _with_pip(self):
            self._run(argv, lock)
        self._compile(lock)
        self._mark("complete")
        self.progress(f"{self.name}: installed in {time.monotonic() - started:.0f} s")

    def _compile(self, lock: int) -> None:
        packages, store = self.folder / "lib", bytecode.folder(fingerprint(self.requirements))
        if bytecode.restore(store, packages):
            return
        # A package may bring files that are no Python of this version; whoever imports one is told.
        argv = [str(self.python), "-m", "compileall", "-q", "-j", "0", str(packages)]
        null = subprocess.DEVNULL
        subprocess.run(argv, env=inherited(), stdin=null, stdout=null, stderr=null, pass_fds=(lock,), check=False)
        bytecode.keep(packages, store)

    def _run(self, argv: list[str], lock: int) -> None:
        # The installer holds the lock too: should this process be killed, nobody starts over beneath the installer.
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=inherited() | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise self._failure(done.stdout, done.returncode)

    def _failure(self, output: str, code: int) -> InstallError:
        lines = [line for line in output.splitlines() if line.strip()] or [
            f"the installer ended with exit code {code} and said nothing"
        ]
        places = {"folder": self.folder, "requirements": self.requirements}
        hint = next((text.format(**places) for pattern, text in _CAUSES if re.search(pattern, output)), None)
        told = "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])
        return InstallError(
            f"cannot install the environment `{self.name}` from {self.requirements}:\n{told}", hint=hint
        )

    def _refuse_foreign(self) -> None:
        if not self._marker() and any(entry.name != LOCK for entry in self.folder.iterdir()):
            raise InstallError(
                f"{self.folder} was not made by mlplat, so it is left alone",
                hint="move it away or remove it, then run it again",
            )

    def _marker(self) -> dict[str, Any]:
        try:
            marker = json.loads((self.folder / MARKER).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            marker = None
        return marker if isinstance(marker, dict) else {"state": "unreadable"}

    def _mark(self, state: str) -> None:
        marker = {
            "state": state,
            "fingerprint": fingerprint(self.requirements),
            "python": _python_version(),
            "name": self.name,
        }
        write_atomic(self.folder / MARKER, json.dumps(marker, indent=2) + "\n")

    def _clear(self) -> None:
        # The marker goes last: what remains of an interrupted removal is still known as ours, and as incomplete.
        if (self.folder / MARKER).exists():
            self._mark_removed()
        for entry in self.folder.iterdir():
            if entry.name in (LOCK, MARKER):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        (self.folder / MARKER).unlink(missing_ok=True)

    def _mark_removed(self) -> None:
        with contextlib.suppress(OSError):  # a full disk must not stop us from making room
            self._mark("building")


def _with_uv(uv: str, build: _Build) -> list[list[str]]:
    python = ["--python", str(build.python)]
    options = ["--require-hashes", "--allow-empty-requirements"]
    return [
        [
            uv,
            "venv",
            "--allow-existing",
            "--no-project",
            "--prompt",
            build.name,
            "--python",
            base_python(),
            str(build.folder),
        ],
        [uv, "pip", "sync", *python, *options, str(build.requirements)],
    ]


def _with_pip(build: _Build) -> list[list[str]]:
    venv = [base_python(), "-m", "venv", "--prompt", build.name, str(build.folder)]
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--require-hashes", "--no-compile"]
    return [venv, [str(build.python), "-m", "pip", "install", *options, "--requirement", str(build.requirements)]]


def _subset(wanted: dict[str, Any], found: dict[str, Any]) -> bool:
    return all(found.get(key) == value for key, value in wanted.items())


def _count(requirements: Path) -> int:
    """Count the packages of a requirements file as `uv pip compile` writes it: one unindented line each."""
    return sum(1 for line in requirements.read_text().splitlines() if re.match(r"[A-Za-z0-9]", line))


@contextlib.contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[int]:
    # flock and not filelock: the lock belongs to the open file, which the installer inherits.
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)
