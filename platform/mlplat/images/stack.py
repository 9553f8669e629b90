"""A stack's images together: what each is called, where it is, and what brings it further."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import mlplat
from mlplat.images import catalogue, context, project
from mlplat.images.builder import Build
from mlplat.images.lock import Lock, Locked, lock_file, read, write
from mlplat.images.references import needed, tag, tagged
from mlplat.images.work import Worker, refuse_local
from mlplat.spec.platform import PlatformSpec

State = Literal["locked", "outdated", "built", "absent", "unknown"]
"""`locked`: a registry has it and its digest is written down. `outdated`: the lock has one of another content, or none,
and it is not here. `built`: it is here, and not locked. `absent`: nobody has it. `unknown`: not locked, and no builder
is here to ask."""


@dataclass(frozen=True)
class Standing:
    """Where one image of a stack stands."""

    name: str
    tag: str
    reference: str
    """Registry, name and tag."""
    state: State
    digest: str | None
    """What the lock has, which an `outdated` one still runs."""


@dataclass(frozen=True)
class StackImages:
    """The images of a stack's services, and those of projects."""

    spec: PlatformSpec
    file: Path | None = None
    """The stack file; None where there is none, and so no lock."""
    registry: str | None = None
    """Registry and folder where the stack file names none: the account's own."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the images that the stack's services run in."""
        return needed(self.spec)

    @property
    def lock(self) -> Lock:
        """Return what is locked."""
        return read(lock_file(self.file)) if self.file else Lock()

    def reference(self, name: str) -> str:
        """Return registry, name and tag of one of the platform's own."""
        return tagged(self.spec, name, self.registry)

    def project_reference(self, folder: Path, name: str) -> str:
        """Return registry, name and tag of a project's image."""
        images = self.spec.kubernetes.images
        registry = self.registry or images.registry
        return project.reference(folder, name, registry=registry, base=images.base, platform=images.platform)

    def standing(self, worker: Worker | None) -> Iterator[Standing]:
        """Yield where each image stands; without a worker nobody is asked what is built."""
        lock = self.lock
        for name in self.names:
            locked, reference = lock.images.get(name), self.reference(name)
            digest = locked.reference.partition("@")[2] if locked else None
            yield Standing(name, tag(self.spec, name), reference, self._state(name, locked, reference, worker), digest)

    def _state(self, name: str, locked: Locked | None, reference: str, worker: Worker | None) -> State:
        if locked and locked.tag == tag(self.spec, name):
            return "locked"
        if worker and worker.has(reference):
            return "built"
        if locked:
            return "outdated"
        return "absent" if worker else "unknown"

    @contextmanager
    def building(self, name: str, worker: Worker) -> Iterator[Build]:
        """Write the context of one of the platform's own; the value is what a worker builds."""
        image = catalogue.find(name)
        with tempfile.TemporaryDirectory(prefix="mlplat-image-") as folder:
            context.write(image, Path(folder))
            yield self._build(self.reference(name), Path(folder), worker)

    @contextmanager
    def building_project(self, folder: Path, name: str, worker: Worker) -> Iterator[Build]:
        """Write the context of a project's image; the value is what a worker builds."""
        with tempfile.TemporaryDirectory(prefix="mlplat-image-") as made:
            project.write(folder, Path(made))
            yield self._build(self.project_reference(folder, name), Path(made), worker)

    def _build(self, reference: str, folder: Path, worker: Worker) -> Build:
        images = self.spec.kubernetes.images
        return Build(
            reference=reference,
            context=folder,
            dockerfile=folder / context.DOCKERFILE,
            platform=images.platform,
            arguments={"BASE": images.base, "VERSION": mlplat.__version__},
            secrets=worker.secrets,
        )

    def push(self, name: str, worker: Worker) -> Locked:
        """Send one of the platform's own, and lock it."""
        reference = self.reference(name)
        refuse_local(reference)
        return self.locking({name: worker.push(reference)})[name]

    def found(self, names: Sequence[str], worker: Worker) -> tuple[dict[str, str], list[str]]:
        """Return the references by digest of what the registry has, by name, and the names of what it has not."""
        refuse_local(self.reference(names[0]))
        asked = {name: worker.in_registry(self.reference(name)) for name in names}
        return (
            {name: reference for name, reference in asked.items() if reference},
            [name for name, reference in asked.items() if not reference],
        )

    def locking(self, references: dict[str, str]) -> dict[str, Locked]:
        """Write references by digest into the stack's lock; return them as they stand there."""
        made = {name: Locked(reference=each, tag=tag(self.spec, name)) for name, each in references.items()}
        if self.file:
            write(lock_file(self.file), self.lock.having(made))
        return made
