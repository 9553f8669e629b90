"""Copy secrets of the platform's namespace into those of teams, where pods cannot read another namespace's.

`python -m mlplat.jobs.copies --secret NAME … --to NAMESPACE …` makes what is missing and changes what differs, as often
as it runs: a key that was turned reaches the teams with the next run. It prints what became of each copy as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from mlplat.errors import MlplatError

NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
MANAGER = "mlplat-copies"
Outcome = Literal["made", "changed", "unchanged"]


class Secrets(Protocol):
    """The part of a cluster that keeps secrets."""

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Return an object; None where there is none."""
        ...

    def apply(self, document: dict[str, Any], *, manager: str) -> dict[str, Any]:
        """Make an object, or change what differs."""
        ...


def run(cluster: Secrets, source: str, secrets: Iterable[str], namespaces: Sequence[str]) -> dict[str, Outcome]:
    """Copy each secret into each namespace; return what was done, by `namespace/name`.

    Raises `MlplatError` for a secret that is not there, before anything is copied.
    """
    held = {name: _read(cluster, source, name) for name in secrets}
    return {f"{to}/{name}": _copy(cluster, found, to) for name, found in held.items() for to in namespaces}


def _read(cluster: Secrets, namespace: str, name: str) -> dict[str, Any]:
    found = cluster.get("v1", "Secret", name, namespace)
    if found is None:
        raise MlplatError(
            f"the namespace `{namespace}` has no secret `{name}`", hint="`mlplat doctor` says what belongs in it"
        )
    return found


def _copy(cluster: Secrets, found: dict[str, Any], to: str) -> Outcome:
    name = found["metadata"]["name"]
    there = cluster.get("v1", "Secret", name, to)
    if there is not None and _content(there) == _content(found):
        return "unchanged"
    labels = {"app.kubernetes.io/part-of": "mlplat", "app.kubernetes.io/managed-by": MANAGER}
    metadata = {"name": name, "namespace": to, "labels": labels}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **_content(found)}, manager=MANAGER)
    return "made" if there is None else "changed"


def _content(secret: dict[str, Any]) -> dict[str, Any]:
    return {"type": secret.get("type", "Opaque"), "data": secret.get("data") or {}}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlplat.jobs.copies", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--secret", action="append", required=True, metavar="NAME", help="may be repeated")
    parser.add_argument("--to", action="append", required=True, metavar="NAMESPACE", help="may be repeated")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program, in a pod: 0 done, 1 could not, 2 wrong usage."""
    given = _arguments(argv)
    from mlplat.cluster import Cluster

    try:
        with Cluster.of_pod() as cluster:
            done = run(cluster, NAMESPACE.read_text(encoding="utf-8").strip(), given.secret, given.to)
    except MlplatError as error:
        sys.stderr.write(f"error: {error.told()}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(done, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
