"""Definitions of others' kinds as if somebody had fetched them: small ones, and those of the Go modules."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from commands import ROOT
from mlplat import definitions, versions
from mlplat.versions import Definitions, File

MODULES = ROOT / ".tools" / "crds"
"""Where `scripts/tools cluster` puts the files of `tools/crds/folders`."""
POLICY = "safeupgrades"
Document = dict[str, Any]


def given() -> AbstractContextManager[Any]:
    """Let a program find small definitions in the place of each file, without fetching anything."""
    return mock.patch.object(definitions, "documents", side_effect=small)


def small(wanted: Definitions) -> list[Document]:
    """Return one object a file, called as the file is: its group and its kind."""
    return [_small(*_named(each)) for each in wanted.files]


def of(name: str) -> list[Document]:
    """Return the small definitions that stand for those of a name in the table of versions."""
    return next(small(each) for each in versions.DEFINITIONS if each.name == name)


@functools.cache
def carried() -> dict[str, Document]:
    """Return what the files say, of the copies that the Go modules carry, by kind and name."""
    files = [each for group in versions.DEFINITIONS for each in group.files]
    found = [one for each in files for one in definitions.parsed((MODULES / name(each)).read_bytes())]
    return {key(each): each for each in found}


def key(document: Document) -> str:
    """Return a document's kind and name."""
    return f"{document['kind']}/{document['metadata']['name']}"


def name(file: File) -> str:
    """Return the name of a file at the end of its address."""
    return file.address.rpartition("/")[2]


def _named(file: File) -> tuple[str, str]:
    group, _, kinds = name(file).removesuffix(".yaml").partition("_")
    return group, kinds


def _small(group: str, kinds: str) -> Document:
    if kinds.endswith(POLICY):
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": f"safe-upgrades.{group}"},
            "spec": {"validations": [{"expression": "true"}]},
        }
    kind = kinds.removesuffix("s").capitalize()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kinds}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": kinds},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True}],
        },
    }
