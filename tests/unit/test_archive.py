from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mlplat.archive import extract


@pytest.fixture(params=["with Python's own filter", "without it, as in Debian 12"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param.startswith("without"):
        monkeypatch.delattr(tarfile, "data_filter")


def archive(*members: tarfile.TarInfo) -> tarfile.TarFile:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as packed:
        for each in members:
            packed.addfile(each, io.BytesIO(bytes(each.size)))
    written.seek(0)
    return tarfile.open(fileobj=written)


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


@pytest.mark.usefixtures("either")
def test_an_archives_files_come_out_as_the_readers_own(tmp_path: Path) -> None:
    with archive(member("a/b", size=3, uid=12, gid=12, mode=0o6777)) as packed:
        extract(packed, tmp_path / "out")
    written = tmp_path / "out" / "a" / "b"
    assert written.read_bytes() == bytes(3)
    assert written.stat().st_uid == os.getuid()
    assert written.stat().st_mode & 0o7777 == 0o755


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize(
    "odd",
    [
        member("../out", size=1),
        member("a/../../out", size=1),
        member("link", type=tarfile.SYMTYPE, linkname="../out"),
        member("pipe", type=tarfile.FIFOTYPE),
    ],
    ids=lambda each: each.name,
)
def test_nothing_of_an_archive_leads_out_of_its_folder(tmp_path: Path, odd: tarfile.TarInfo) -> None:
    (tmp_path / "in").mkdir()
    with archive(odd) as packed, pytest.raises(tarfile.TarError):
        extract(packed, tmp_path / "in")
    assert [each.name for each in tmp_path.iterdir()] == ["in"]
