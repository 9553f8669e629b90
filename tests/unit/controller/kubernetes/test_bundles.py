from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from kubeendpoints import BUCKET, Objects3
from mlplat import bundle
from mlplat.controller.kubernetes.bundles import Bundles, key
from mlplat.errors import RefusedError
from mlplat.serving import fetch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "model"
    (found / "nested").mkdir(parents=True)
    (found / "mlplat.json").write_text("{}")
    (found / "nested" / "weights").write_bytes(bytes(range(256)) * 50)
    return found


@pytest.fixture
def archives(tmp_path: Path) -> Bundles:
    (tmp_path / "models").mkdir()
    return Bundles(Objects3(), BUCKET, tmp_path / "models")


def options(folder: Path, digest: str, name: str) -> fetch.Options:
    return fetch.Options(BUCKET, name, digest, folder)


def test_what_is_published_is_fetched_with_its_digest(archives: Bundles, folder: Path, tmp_path: Path) -> None:
    digest = bundle.digest(folder)
    archives.publish("team-a", folder, digest)
    found = fetch.fetch(options(tmp_path / "at" / "pod", digest, key("team-a", digest)), archives._objects)
    assert bundle.digest(found) == digest
    assert archives.local("team-a", digest).is_dir()


def test_a_folder_that_was_changed_is_not_published(archives: Bundles, folder: Path) -> None:
    digest = bundle.digest(folder)
    (folder / "mlplat.json").write_text("[]")
    with pytest.raises(RefusedError, match="holds sha256"):
        archives.publish("team-a", folder, digest)
    assert archives._objects.kept == {}


def test_an_archive_of_something_else_is_refused_and_nothing_of_it_stays(
    archives: Bundles, folder: Path, tmp_path: Path
) -> None:
    archives.publish("team-a", folder, bundle.digest(folder))
    (name,) = archives._objects.kept
    with pytest.raises(RefusedError, match="not sha256:0"):
        fetch.fetch(options(tmp_path / "pod", "sha256:0", name), archives._objects)
    assert not (tmp_path / "pod").exists()
    assert not list(tmp_path.glob(".fetching-*"))


@pytest.mark.parametrize("harm", ["cut", "a link", "empty"])
def test_a_damaged_folder_is_fetched_again(archives: Bundles, folder: Path, tmp_path: Path, harm: str) -> None:
    digest = bundle.digest(folder)
    archives.publish("team-a", folder, digest)
    wanted = options(tmp_path / "pod", digest, key("team-a", digest))
    for found in (fetch.fetch(wanted, archives._objects), archives.local("team-a", digest)):
        shutil.rmtree(found)
        found.mkdir()
        if harm == "cut":
            (found / "mlplat.json").write_text("cut")
        elif harm == "a link":
            (found / "mlplat.json").symlink_to("/etc/hostname")
    assert bundle.digest(fetch.fetch(wanted, archives._objects)) == digest
    assert bundle.digest(archives.local("team-a", digest)) == digest


@pytest.mark.parametrize(
    ("name", "kind"), [("../outside", tarfile.REGTYPE), ("/etc/outside", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)]
)
def test_an_archive_reaches_nothing_outside_its_folder(tmp_path: Path, name: str, kind: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, "/etc/passwd", 0
    with tarfile.open(tmp_path / "archive", "w") as packed:
        packed.addfile(entry, io.BytesIO())
    (tmp_path / "deep").mkdir()
    with pytest.raises(RefusedError):
        fetch.unpack(tmp_path / "archive", tmp_path / "deep" / "files")
    assert not (tmp_path / "deep" / "outside").exists()


def test_only_what_nobody_needs_is_removed(archives: Bundles, folder: Path) -> None:
    digest = bundle.digest(folder)
    archives.publish("team-a", folder, digest)
    archives.publish("team-b", folder, digest)
    archives.prune(["team-a", "team-b"], {digest})
    assert len(archives._objects.kept) == 2
    archives.prune(["team-a"], set())
    assert list(archives._objects.kept) == [key("team-b", digest)]


def test_what_is_there_is_not_published_again(archives: Bundles, folder: Path) -> None:
    digest = bundle.digest(folder)
    archives.publish("team-a", folder, digest)
    archives._objects.kept[key("team-a", digest)] = b"first"
    archives.publish("team-a", folder, digest)
    assert archives._objects.kept[key("team-a", digest)] == b"first"
