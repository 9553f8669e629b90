"""The digests of the table are those of the files that the Go modules carry, and the engine can have every object."""

from __future__ import annotations

import json

import pytest

import definitionfiles
from commands import ROOT
from mlplat import definitions, versions
from mlplat.targets.kubernetes import objects
from mlplat.versions import Definitions

pytestmark = pytest.mark.cluster
MOST_BYTES = 1536 * 1024
"""What etcd takes of one object."""


@pytest.mark.parametrize("pin", versions.DEFINITIONS, ids=lambda each: each.name)
def test_a_digest_is_that_of_the_modules_file(pin: Definitions) -> None:
    for file in pin.files:
        carried = definitionfiles.MODULES / definitionfiles.name(file)
        assert definitions.digest(carried.read_bytes()) == file.sha256, f"{carried.name}: one was changed alone"


@pytest.mark.parametrize("pin", versions.DEFINITIONS, ids=lambda each: each.name)
def test_no_file_of_the_modules_folder_is_left_out(pin: Definitions) -> None:
    carried = {each.name for each in definitionfiles.MODULES.glob(f"{pin.groups[0]}_*.yaml")}
    assert {definitionfiles.name(each) for each in pin.files} == carried


@pytest.mark.parametrize("pin", versions.DEFINITIONS, ids=lambda each: each.name)
def test_an_address_is_of_the_folder_that_the_modules_files_are_copied_from(pin: Definitions) -> None:
    folders = {line.split()[1] for line in (ROOT / "tools" / "crds" / "folders").read_text().splitlines()}
    for file in pin.files:
        assert file.address.rpartition("/")[0].partition(f"/v{pin.version}/")[2] in folders


def test_every_object_can_be_kept_and_has_a_name_of_its_own() -> None:
    found = definitionfiles.carried().values()
    names = [objects.logical_name(each) for each in found]
    assert sorted(names) == sorted(set(names))
    assert all(len(json.dumps(each, separators=(",", ":"))) < MOST_BYTES for each in found)


def test_the_small_ones_of_the_tests_are_called_as_the_real_ones() -> None:
    small = {definitionfiles.key(one) for each in versions.DEFINITIONS for one in definitionfiles.small(each)}
    policies = {each for each in definitionfiles.carried() if each.startswith("ValidatingAdmissionPolicyBinding")}
    assert {*definitionfiles.carried()} - policies == small
