from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlplat.bundle import BundleError, Column, Contract, LookUp, digest, parse_contract, read_contract


def contract() -> Contract:
    return Contract(project="p", model="m", task="binary", columns=(Column(name="a", type="double"),), classes=(0, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "deep").mkdir(parents=True)
    (made / "mlplat.json").write_text(contract().model_dump_json())
    (made / "deep" / "weights").write_bytes(b"\x00\x01")
    return made


def test_the_digest_is_what_sha256sum_says_of_its_listing(folder: Path) -> None:
    listing = subprocess.check_output(["sha256sum", "deep/weights", "mlplat.json"], cwd=folder)
    total = subprocess.run(["sha256sum"], input=listing, capture_output=True, check=True).stdout.split()[0]
    assert digest(folder) == f"sha256:{total.decode()}"


def test_the_digest_changes_with_a_byte_and_with_a_name(folder: Path) -> None:
    before = digest(folder)
    (folder / "deep" / "weights").write_bytes(b"\x00\x02")
    changed = digest(folder)
    (folder / "deep" / "weights").rename(folder / "deep" / "other")
    assert len({before, changed, digest(folder)}) == 3


def test_a_link_is_refused(folder: Path) -> None:
    (folder / "link").symlink_to("mlplat.json")
    with pytest.raises(BundleError, match="plain files only"):
        digest(folder)


def test_an_empty_folder_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no files"):
        digest(tmp_path)


def test_a_contract_survives_its_file(folder: Path) -> None:
    assert read_contract(folder) == contract()


@pytest.mark.parametrize(
    ("text", "said"), [("{}", "project"), ("no json", "Invalid JSON"), ('{"version": 2}', "version")]
)
def test_a_contract_that_does_not_hold_is_refused(folder: Path, text: str, said: str) -> None:
    (folder / "mlplat.json").write_text(text)
    with pytest.raises(BundleError, match=said):
        read_contract(folder)


def test_a_missing_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="missing"):
        read_contract(tmp_path)


def test_a_contract_names_look_ups_only_where_it_has_some() -> None:
    """A server of before reads bundles without them, and one of those written anew keeps its digest."""
    assert {"features", "lookups"}.isdisjoint(contract().model_dump())
    key = Column(name="origin", type="string")
    look_up = LookUp(group="airport", keys=(key,), columns=("a",), ttl_seconds=60)
    made = contract().model_copy(update={"features": "m_0a1b2c3d", "lookups": (look_up,)})
    assert parse_contract(made.model_dump_json().encode(), "here") == made
    assert made.requested == {"origin": key}
