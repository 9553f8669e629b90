"""The engine's program: where it is found, and whether it will do."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlplat.engine import binary
from mlplat.errors import MlplatError


def program(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    path = folder / "pulumi"
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def test_path_comes_before_mlplats_own_and_a_checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = tmp_path / "repository" / "stacks"
    start.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    with pytest.raises(binary.MissingError) as missing:
        binary.find(start)
    assert missing.value.hint
    for way in ("PATH", "mlplat up --yes", "make tools"):
        assert way in missing.value.hint
    checkout = program(tmp_path / "repository" / ".tools" / "bin", "v3.259.0")
    assert binary.find(start) == binary.Binary(checkout, "3.259.0")
    own = program(binary.installed() / "bin", "v3.260.0")
    assert binary.find(start).path == own
    path = program(tmp_path / "path", "v3.261.0")
    assert binary.find(start).path == path


@pytest.mark.parametrize("version", ["v3.199.9", "v4.0.0", "v2.25.0", "''", "dev"])
def test_a_version_that_will_not_do_is_said(tmp_path: Path, version: str) -> None:
    with pytest.raises(MlplatError, match=r"needs 3\.200 or newer, below 4"):
        binary.check(program(tmp_path / "bin", version))


def test_a_program_that_does_not_run_is_said(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "v3.259.0")
    path.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(MlplatError, match="does not run"):
        binary.check(path)
