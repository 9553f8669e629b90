from __future__ import annotations

from pathlib import Path

import pytest

from knowncluster import KnownCluster, made
from mlplat.errors import MlplatError, RefusedError
from mlplat.targets.kubernetes import identity

FILE = """\
# Ours.
config:
  mlplat:platform:
    name: acme  # kept
"""


def test_a_cluster_is_known_by_the_id_of_its_own_namespace() -> None:
    cluster = KnownCluster(made("Namespace", "kube-system", metadata={"uid": "1111"}))
    assert identity.of(cluster) == "1111"  # type: ignore[arg-type]
    with pytest.raises(MlplatError, match="cannot be told from others"):
        identity.of(KnownCluster())  # type: ignore[arg-type]


def test_it_is_written_once_and_nothing_else_of_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.staging.yaml"
    file.write_text(FILE)
    file.chmod(0o640)
    assert identity.read(file) is None
    identity.write(file, "1111")
    assert identity.read(file) == "1111"
    assert all(line in file.read_text() for line in FILE.splitlines())
    assert file.stat().st_mode & 0o777 == 0o640


def test_another_cluster_is_refused_and_an_unnamed_one_is_not() -> None:
    identity.refuse_other(None, "1111", source="file", context="here")
    identity.refuse_other("1111", "1111", source="file", context="here")
    with pytest.raises(RefusedError, match="`here` leads to the cluster 1111, and file is of the cluster 2222"):
        identity.refuse_other("2222", "1111", source="file", context="here")
