"""Which deployment a stack file is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlplat import deployment
from mlplat.spec.platform import read_platform

FILE = """# ours
config:
  mlplat:platform:  # the platform
    version: 2
    name: acme
"""
SERVICE = {"urn": "urn:pulumi:local::mlplat::mlplat:local:Service::gateway", "type": "mlplat:local:Service"}


def test_an_id_in_a_file_changes_nothing_else_in_it(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.local.yaml"
    path.write_text(FILE)
    path.chmod(0o640)
    assert deployment.read(path) is None
    deployment.write(path, "1e10")
    assert deployment.read(path) == "1e10"
    assert set(FILE.splitlines()) <= set(path.read_text().splitlines())
    assert path.stat().st_mode & 0o777 == 0o640
    assert read_platform(path).name == "acme"


@pytest.mark.parametrize("begun", [[], [SERVICE], [{"urn": "root", "type": deployment.ROOT}, SERVICE]])
def test_a_sealed_state_holds_its_id_and_everything_it_held(begun: list[dict[str, str]]) -> None:
    assert deployment.held(begun) is None
    sealed = deployment.sealed(begun, "mlplat", "local", "abc")
    assert deployment.held(sealed) == "abc"
    assert [each for each in sealed if each["type"] != deployment.ROOT] == [each for each in begun if each == SERVICE]
    assert deployment.held(deployment.sealed(sealed, "mlplat", "local", "def")) == "def"


def test_whoever_names_a_place_that_a_stack_left_is_told_where_it_went() -> None:
    told = deployment.refusal("f.yaml", "abc", "file:///old", f"{deployment.MOVED}s3://new")
    assert "moved to s3://new" in told.message
    assert told.hint
    assert "`s3://new`" in told.hint
