"""The edge: find a builder and let it build, send and ask."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlplat.errors import MlplatError, RefusedError, UsageError
from mlplat.files import data_dir
from mlplat.images.builder import BUILDERS, Argv, Build, Builder, digest_of, host, repository, skopeo

VARIABLE = "MLPLAT_BUILDER"
TAIL_LINES = 12  # a builder says what went wrong in its last lines
PROBE_SECONDS = 20.0
"""A daemon that does not answer within this is none."""
Line = Callable[[str], None]

_STEP = re.compile(r"^(\[[^\]]+\] )?STEP \d+|^#\d+ \[")
_CAUSES = (
    ("[Uu]nauthorized|authentication required|denied|no basic auth|authorization failed", "sign in first: `{login}`"),
    (
        "immutable|AlreadyExists",
        "the registry has this tag already and never changes one: `mlplat images lock` takes what is there",
    ),
    ("repository .* does not exist|name unknown|NAME_UNKNOWN", "make the repository first; on AWS `mlplat up` does"),
    (
        "CERTIFICATE_VERIFY_FAILED|certificate signed by unknown",
        "name the authorities to trust with `--ca FILE`; a registry's belong into the builder's own settings",
    ),
    ("HASH|DO NOT MATCH", "the package index gave another file than was locked: check `--pip-config`"),
    ("[Nn]o matching distribution", "the package index has no wheel for this base and platform: name another `base`"),
    (
        "[Tt]imed out|name resolution|[Cc]onnection refused|no such host|dial tcp",
        "a registry or the package index cannot be reached: check network and proxy, then run it again",
    ),
    ("[Nn]o space left", "free some space where the builder keeps its images, then run it again"),
)


@dataclass(frozen=True)
class Worker:
    """A builder that is here, and what it is given."""

    builder: Builder
    line: Line = lambda _: None
    """Takes each step of a build, as one line."""
    secrets: Mapping[str, Path] = field(default_factory=dict)

    def build(self, wanted: Build) -> None:
        """Build an image. Raises `MlplatError` with the builder's last lines."""
        self._run(self.builder.build(wanted), f"cannot build {wanted.reference}", wanted.reference)

    def has(self, reference: str) -> bool:
        """Tell whether an image is on this computer."""
        return _finished(self.builder, self.builder.has(reference)).returncode == 0

    def push(self, reference: str) -> str:
        """Send an image; return it with the registry's digest in place of its tag. Raises `MlplatError`."""
        if not self.has(reference):
            raise MlplatError(f"{reference} is not here, so it cannot be sent", hint="`mlplat images build` makes it")
        with tempfile.TemporaryDirectory() as folder:
            digests = Path(folder) / "digest"
            output = self._run(self.builder.push(reference, digests), f"cannot push {reference}", reference)
            text = digests.read_text() if digests.is_file() else output
        return _pinned(reference, text)

    def in_registry(self, reference: str) -> str | None:
        """Return a tag's reference by digest as the registry has it; None where it has none.

        Raises `MlplatError` when the registry cannot be asked.
        """
        output = ""
        for argv in skopeo(reference) if shutil.which("skopeo") else self.builder.ask(reference):
            done = _finished(self.builder, argv)
            if done.returncode:
                if re.search("manifest unknown|not found|MANIFEST_UNKNOWN|NAME_UNKNOWN|name unknown", done.stderr):
                    return None
                raise self._failure(f"cannot ask for {reference}", reference, done.stderr or done.stdout, None)
            output = done.stdout
        return _pinned(reference, output)

    def _run(self, argv: Argv, what: str, reference: str) -> str:
        log = data_dir() / "images" / f"{re.sub(r'[^a-z0-9.-]+', '-', reference)}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        with log.open("w", encoding="utf-8", buffering=1) as kept:
            child = subprocess.Popen(
                argv,
                env={**os.environ, **self.builder.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            with child:
                for line in child.stdout or ():
                    kept.write(line)
                    lines.append(line.rstrip())
                    if _STEP.match(line):
                        self.line(line.strip())
        if child.returncode:
            raise self._failure(what, reference, "\n".join(lines), log)
        return "\n".join(lines)

    def _failure(self, what: str, reference: str, output: str, log: Path | None) -> MlplatError:
        lines = [line for line in output.splitlines() if line.strip()] or ["the builder said nothing"]
        login = login_command(reference, self.builder)
        hint = next((text.format(login=login) for pattern, text in _CAUSES if re.search(pattern, output)), None)
        kept = f"the whole output is in {log}" if log else None
        told = "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])
        return MlplatError(f"{what} with {self.builder.program}:\n{told}", hint="\n".join(filter(None, [hint, kept])))


def find(choice: str | None = None) -> Builder:
    """Return the builder to use: the one that is named, or the first that is here and works.

    Raises `UsageError` for a name that is none, `MlplatError` where there is no builder, with why each one is not.
    """
    known = {builder.program: builder for builder in BUILDERS}
    if choice and choice not in known:
        raise UsageError(f"`{choice}` is no builder", hint=f"name one of {', '.join(known)}")
    wrong: list[str] = []
    for builder in [known[choice]] if choice else BUILDERS:
        if why := _refusal(builder):
            wrong.append(f"`{builder.program}` {why}")
        else:
            return builder
    raise MlplatError(
        f"nothing here can build images: {', '.join(wrong)}",
        hint=f"install buildah, podman or docker; `--builder` or {VARIABLE} names one",
    )


def login_command(reference: str, builder: Builder) -> str:
    """Return the command by which a person signs in to the registry of a reference."""
    at = host(reference)
    found = re.fullmatch(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?", at)
    if found is None:
        return builder.login(at)
    password = f"aws ecr get-login-password --region {found[1]}"
    return f"{password} | {builder.program} login --username AWS --password-stdin {at}"


def refuse_local(reference: str) -> None:
    """Raise `RefusedError` for an image that belongs to no registry."""
    if host(reference) == "localhost":
        raise RefusedError(
            "the stack has no registry, so there is nowhere to push to",
            hint="write `kubernetes.images.registry` in its stack file, such as `registry.example.com/mlplat`",
        )


def _refusal(builder: Builder) -> str | None:
    if shutil.which(builder.program) is None:
        return "is not installed"
    try:
        done = _finished(builder, builder.probe(), PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return "does not answer"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return None if done.returncode == 0 else f"does not work ({lines[-1] if lines else 'it says nothing'})"


def _finished(builder: Builder, argv: Argv, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        env={**os.environ, **builder.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )


def _pinned(reference: str, output: str) -> str:
    digest = digest_of(output)
    if digest is None:
        raise MlplatError(f"nobody said the digest of {reference}: {output.strip()[-200:] or 'no output'}")
    return f"{repository(reference)}@{digest}"
