"""Definitions of others' custom resources on a test cluster, their CEL rules with them.

Most lie in the modules that `tools/crds/go.mod` pins, which `scripts/tools cluster` copies into `.tools/crds`. What has
no module comes from the schemas that `MLPLAT_CRD_SCHEMAS` names (`crds.py`); without those, one line names the groups
that are not checked.
"""

from __future__ import annotations

import csv
import fcntl
import functools
import hashlib
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

import kubeapi
from commands import ROOT, until
from crds import VARIABLE
from mlplat.cluster import Cluster, ConflictError

MODULES = ROOT / ".tools" / "crds"
PACKED = ("argoproj.io", "cert-manager.io", "elbv2.k8s.aws", "external-secrets.io", "gateway.k8s.aws")
"""Groups that no module carries."""
DEFINITION = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
AT_ONCE = 4
CACHE = ROOT / ".cache" / "kubernetes"
KEPT = 1
"""Version of what is kept: another one when the way it is made changes."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # whichever there is
    """Reads a bare `=`, an operator of matchers, as the text that it is."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


def prepared() -> Path:
    """Return what an API server keeps that has every definition: made once for each set of them, in half a minute."""
    kept = CACHE / _key()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        # Every worker of a parallel run asks for it at once; one makes it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                with kubeapi.running(Path(folder) / "api") as api, api.cluster() as cluster:
                    install(cluster, [*carried(), *packed()])
                (Path(folder) / "api" / "etcd").rename(kept)
    return kept


def unchecked() -> list[str]:
    """Return the groups that there is no definition of."""
    return sorted({*PACKED} - {each["spec"]["group"] for each in packed()})


def install(cluster: Cluster, wanted: Sequence[dict[str, Any]]) -> None:
    """Put definitions on a cluster, and wait until all are served."""
    with ThreadPoolExecutor(AT_ONCE) as workers:
        list(workers.map(functools.partial(_create, cluster), wanted))
    for each in wanted:
        name = each["metadata"]["name"]
        until(functools.partial(established, cluster, name), what=f"the definition {name}")


def established(cluster: Cluster, name: str) -> bool:
    """Return whether a cluster serves a definition."""
    conditions = ((cluster.get(*DEFINITION, name) or {}).get("status") or {}).get("conditions") or []
    return ("Established", "True") in {(each["type"], each["status"]) for each in conditions}


def carried() -> list[dict[str, Any]]:
    """Return the definitions that Go modules carry, in the order of their files."""
    files = (path.read_text("utf-8") for path in sorted(MODULES.glob("*.yaml")))
    found = [each for text in files for each in yaml.load_all(text, _Loader)]
    return [_alone(each) for each in found if each and each["kind"] == DEFINITION[1]]


def packed() -> Iterator[dict[str, Any]]:
    """Yield definitions made of the schemas for groups that no module carries; none without the schemas."""
    folder = _pack()
    if not folder.is_dir():
        return
    kinds: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in csv.DictReader((folder / "INDEX.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t"):
        if row["group"] in PACKED:
            kinds[row["group"], row["kind"]].append(row)
    for (group, kind), rows in kinds.items():
        yield _definition(folder, group, kind, rows)


def _key() -> str:
    # Of the files, not of what they say: to read 12 MB of YAML takes longer than the API server takes to start.
    sums = hashlib.sha256(f"{KEPT} {PACKED}".encode())
    for path in [*sorted(MODULES.glob("*.yaml")), *_pack_files()]:
        sums.update(path.name.encode() + path.read_bytes())
    return sums.hexdigest()[:16]


def _pack() -> Path:
    return Path(os.environ.get(VARIABLE) or "no-such-folder")


def _pack_files() -> list[Path]:
    folder = _pack()
    if not folder.is_dir():
        return []
    return [folder / "INDEX.tsv", *(each for group in PACKED for each in sorted(folder.glob(f"{group}_*")))]


def _definition(folder: Path, group: str, kind: str, rows: list[dict[str, str]]) -> dict[str, Any]:
    stored = next((row for row in rows if row["storage"] == "storage"), rows[0])
    plural = _plural(kind.lower())
    return {
        "apiVersion": DEFINITION[0],
        "kind": DEFINITION[1],
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": stored["scope"],
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": row["version"],
                    "served": True,
                    "storage": row is stored,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": json.loads(
                            (folder / f"{group}_{row['version']}_{kind}.json").read_text("utf-8")
                        )
                    },
                }
                for row in rows
            ],
        },
    }


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return word if word.endswith("params") else word + ("es" if word.endswith(("s", "x", "ch")) else "s")


def _alone(definition: dict[str, Any]) -> dict[str, Any]:
    # A test cluster has none of the controllers that would convert between versions.
    definition["spec"].pop("conversion", None)
    definition["metadata"].pop("creationTimestamp", None)
    definition.pop("status", None)
    return definition


def _create(cluster: Cluster, definition: dict[str, Any]) -> None:
    try:
        cluster.create(definition)
    except ConflictError:
        return
