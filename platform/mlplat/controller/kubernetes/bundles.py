"""Bundles in the object store: one archive for each digest, under the team's own prefix.

The controller takes a version out of the registry once, looks at its digest, and publishes it here; model servers read
it from here, so they start and scale while the registry is down. The registry stays what it is everywhere: the fetched
folder is the controller's own copy, to try a revision with its examples.
"""

from __future__ import annotations

import logging
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import httpx

from mlplat import bundle
from mlplat.controller.kubernetes.bucket import Bucket
from mlplat.controller.registry import MlflowRegistry
from mlplat.errors import MlplatError, RefusedError
from mlplat.files import writing
from mlplat.serving import fetch

PREFIX = "bundles"
ENDING = ".tar"

log = logging.getLogger("mlplat.controller")


def key(team: str, digest: str) -> str:
    """Return the key of a bundle's archive: `<team>/bundles/<sha256>.tar`."""
    return f"{team}/{PREFIX}/{digest.removeprefix('sha256:')}{ENDING}"


class Bundles:
    """The archives in one bucket, and the folders that were made of them here."""

    def __init__(self, objects: Any, bucket: str, folder: Path) -> None:
        self._objects = objects
        self._bucket = Bucket(objects, bucket)
        self.bucket = bucket
        self.folder = folder
        """Folder of unpacked bundles, one by digest: the registry's own (`MlflowRegistry.models`)."""

    def publish(self, team: str, folder: Path, digest: str) -> None:
        """Put a bundle's archive there, unless it is. Raises `UnreachableError`, `RefusedError`."""
        where = key(team, digest)
        if where in self._bucket.sizes(where):
            return
        with writing(self.folder), tempfile.TemporaryDirectory(prefix=".packing-", dir=self.folder) as temporary:
            archive = Path(temporary) / "archive"
            pack(folder, archive)
            # Read again before anybody else does: the copy here may have been damaged since.
            if (found := bundle.digest(folder)) != digest:
                raise RefusedError(f"{folder}: holds {found}, not {digest}")
            with archive.open("rb") as file:
                self._bucket.put(where, file)

    def local(self, team: str, digest: str) -> Path:
        """Return the folder with a bundle's files, fetched from the bucket where they are not, or not whole, here.

        Raises `RefusedError`, `UnreachableError`.
        """
        folder = self.folder / digest.removeprefix("sha256:")
        return fetch.fetch(fetch.Options(self.bucket, key(team, digest), digest, folder), self._objects)

    def prune(self, teams: Iterable[str], digests: Collection[str]) -> None:
        """Remove archives under the teams' prefixes that have none of these digests."""
        for team in sorted(teams):
            kept = {key(team, digest) for digest in digests}
            if over := [each for each in self._bucket.sizes(f"{team}/{PREFIX}/") if each not in kept]:
                log.info("%s: %d unused bundles are removed", team, len(over))
                self._bucket.remove(over)


class ClusterRegistry(MlflowRegistry):
    """The registry, which forgets what nobody serves in the bucket as well."""

    def __init__(
        self, tracking: str, models: Path, http: httpx.Client, bundles: Bundles, teams: Callable[[], Iterable[str]]
    ) -> None:
        super().__init__(tracking, models, http)
        self._bundles = bundles
        self._teams = teams
        self._pruned: tuple[frozenset[str], frozenset[str]] | None = None

    def prune(self, digests: set[str]) -> None:
        """See `Registry.prune`. What has not changed is not asked of the object store again."""
        super().prune(digests)
        wanted = (frozenset(digests), frozenset(self._teams()))
        if wanted == self._pruned:
            return
        try:
            self._bundles.prune(wanted[1], digests)
        except MlplatError as error:
            log.warning("unused bundles stay: %s", error.message)
        self._pruned = wanted


def pack(folder: Path, archive: Path) -> None:
    """Write a folder's files into a tar archive, the same bytes for the same files."""
    with tarfile.open(archive, "w") as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                packed.addfile(entry, file)
