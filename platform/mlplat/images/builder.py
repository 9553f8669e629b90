"""docker, podman and buildah: the command lines that build an image, send it, and say what a registry has.

Argument lists are values; nothing runs here.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Argv = list[str]
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Build:
    """An image that is to be built."""

    reference: str
    """Registry, name and tag that it gets."""
    context: Path
    dockerfile: Path
    platform: str
    """Such as `linux/amd64`."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Build arguments by name."""
    secrets: Mapping[str, Path] = field(default_factory=dict)
    """Files that are mounted while it is built and are in no layer, by id."""


class Builder(ABC):
    """A program that builds images."""

    program: str
    environment: Mapping[str, str] = {}
    """Variables that it needs."""

    @abstractmethod
    def probe(self) -> Argv:
        """Return the command that ends well where the program can work."""

    @abstractmethod
    def build(self, wanted: Build) -> Argv:
        """Return the command that builds an image and gives it its tag."""

    @abstractmethod
    def has(self, reference: str) -> Argv:
        """Return the command that ends well where the image is on this computer."""

    @abstractmethod
    def push(self, reference: str, digests: Path) -> Argv:
        """Return the command that sends an image; the digest is in its output, or in the file `digests`."""

    @abstractmethod
    def ask(self, reference: str) -> list[Argv]:
        """Return the commands, in order, of which the last prints the digest that a registry has for a tag."""

    def login(self, registry: str) -> str:
        """Return the command by which a person signs in to a registry."""
        return f"{self.program} login {host(registry)}"


class Docker(Builder):
    """docker with BuildKit, which its daemon has had since version 23."""

    program = "docker"
    # Older ones fall back to a builder that has no secrets.
    environment: Mapping[str, str] = {"DOCKER_BUILDKIT": "1"}

    def probe(self) -> Argv:
        """Ask the daemon, without which the program can do nothing."""
        return ["docker", "version", "--format", "{{.Server.Version}}"]

    def build(self, wanted: Build) -> Argv:
        """Build without attestations: they would make an index of every image."""
        return ["docker", "build", "--provenance=false", "--progress=plain", *_options(wanted), str(wanted.context)]

    def has(self, reference: str) -> Argv:
        """Ask the daemon's own images."""
        return ["docker", "image", "inspect", "--format", "{{.Id}}", reference]

    def push(self, reference: str, digests: Path) -> Argv:  # noqa: ARG002 - it prints the digest
        """Send an image; the last line of the output has the digest."""
        return ["docker", "push", reference]

    def ask(self, reference: str) -> list[Argv]:
        """Ask the registry for the manifest alone."""
        return [["docker", "buildx", "imagetools", "inspect", reference, "--format", "{{json .Manifest}}"]]


@dataclass(frozen=True)
class _Libpod(Builder):
    """podman and buildah, which share most of their options."""

    program: str
    words: tuple[str, ...]
    """What stands between the program and a verb that is about an image."""
    anew: tuple[str, ...] = ()
    """Options by which it asks the registry also for what is here."""

    def probe(self) -> Argv:
        """Ask for its version: there is no daemon."""
        return [self.program, "--version"]

    def build(self, wanted: Build) -> Argv:
        """Build with a cache of layers, which buildah keeps only when told."""
        return [self.program, "build", "--layers", "--format=oci", *_options(wanted), str(wanted.context)]

    def has(self, reference: str) -> Argv:
        """Ask its own storage."""
        return self._inspect("{{.FromImageID}}" if self.program == "buildah" else "{{.Id}}", reference)

    def push(self, reference: str, digests: Path) -> Argv:
        """Send an image; the digest goes to a file."""
        return [self.program, "push", *_trust(reference), f"--digestfile={digests}", reference]

    def ask(self, reference: str) -> list[Argv]:
        """Fetch the image: neither program says what a registry has without it."""
        form = "{{.FromImageDigest}}" if self.program == "buildah" else "{{.Digest}}"
        pull = [self.program, "pull", "--quiet", *self.anew, *_trust(reference), reference]
        return [pull, self._inspect(form, reference)]

    def _inspect(self, form: str, reference: str) -> Argv:
        return [self.program, *self.words, "--format", form, reference]


PODMAN = _Libpod("podman", ("image", "inspect"))
# It takes what it built here for what the registry has, whose layers are compressed: another digest.
BUILDAH = _Libpod("buildah", ("inspect", "--type", "image"), ("--policy", "always"))
DOCKER = Docker()
BUILDERS: tuple[Builder, ...] = (DOCKER, PODMAN, BUILDAH)
"""In the order in which they are looked for."""


def skopeo(reference: str) -> list[Argv]:
    """Return the command that prints the digest that a registry has for a tag, and fetches nothing else."""
    return [["skopeo", "inspect", "--no-tags", *_trust(reference), "--format", "{{.Digest}}", f"docker://{reference}"]]


def digest_of(output: str) -> str | None:
    """Return the digest that a program printed: that of the whole manifest where it printed the manifest."""
    try:
        document = json.loads(output)
    except ValueError:
        found = DIGEST.findall(output)
        return found[-1] if found else None
    digest = document.get("digest") if isinstance(document, dict) else None
    return str(digest) if digest else None


def host(reference: str) -> str:
    """Return the registry's host of a reference or of a registry with a folder."""
    return reference.partition("/")[0]


def repository(reference: str) -> str:
    """Return a reference without its tag; a port is none."""
    head, colon, tail = reference.rpartition(":")
    return reference if not colon or "/" in tail else head


def _options(wanted: Build) -> Argv:
    return [
        *("--file", str(wanted.dockerfile), "--tag", wanted.reference, "--platform", wanted.platform),
        *(word for name, value in sorted(wanted.arguments.items()) for word in ("--build-arg", f"{name}={value}")),
        *(word for name, path in sorted(wanted.secrets.items()) for word in ("--secret", f"id={name},src={path}")),
    ]


def _trust(reference: str) -> Argv:
    # docker takes a registry on this computer without TLS; the others have to be told.
    is_here = host(reference).rpartition(":")[0] in LOOPBACK
    return ["--tls-verify=false"] if is_here else []
