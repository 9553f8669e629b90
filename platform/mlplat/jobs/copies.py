"""Copy secrets of the platform's namespace into those of teams, where pods cannot read another namespace's.

`python -m mlplat.jobs.copies --secret NAME … --key NAME … --to NAMESPACE …` makes what is missing and changes what
differs, as often as it runs: a key that was turned reaches the teams with the next run. A `--key` is each team's own:
it is made of random bytes where there is none, and never changed. What became of each secret is printed as JSON.
"""

from __future__ import annotations

import argparse
import base64
import json
import secrets
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from mlplat.errors import MlplatError

KEY_BYTES, KEY = 32, "key"
"""Size of a key that is made, and its name within its secret."""
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

    def create(self, document: dict[str, Any], *, manager: str) -> dict[str, Any]:
        """Make an object that is not there."""
        ...


def run(
    cluster: Secrets, source: str, names: Iterable[str], namespaces: Sequence[str], keys: Sequence[str] = ()
) -> dict[str, Outcome]:
    """Copy each named secret into each namespace, and make each key there; return what was done, by `namespace/name`.

    Raises `MlplatError` for a secret that is not there, before anything is written.
    """
    held = {name: _read(cluster, source, name) for name in names}
    made = {f"{to}/{key}": _make(cluster, key, to) for key in keys for to in namespaces}
    return made | {f"{to}/{name}": _copy(cluster, found, to) for name, found in held.items() for to in namespaces}


def _make(cluster: Secrets, name: str, to: str) -> Outcome:
    if cluster.get("v1", "Secret", name, to) is not None:
        return "unchanged"
    data = {KEY: base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}
    # Made, and never applied: of two runs at once, the key of the first stays.
    cluster.create(_secret(name, to, {"type": "Opaque", "data": data}), manager=MANAGER)
    return "made"


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
    cluster.apply(_secret(name, to, _content(found)), manager=MANAGER)
    return "made" if there is None else "changed"


def _secret(name: str, to: str, content: dict[str, Any]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "mlplat", "app.kubernetes.io/managed-by": MANAGER}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": to, "labels": labels},
        **content,
    }


def _content(secret: dict[str, Any]) -> dict[str, Any]:
    return {"type": secret.get("type", "Opaque"), "data": secret.get("data") or {}}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlplat.jobs.copies", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--secret", action="append", default=[], metavar="NAME", help="is copied; may be repeated")
    parser.add_argument("--key", action="append", default=[], metavar="NAME", help="is made; may be repeated")
    parser.add_argument("--to", action="append", required=True, metavar="NAMESPACE", help="may be repeated")
    given = parser.parse_args(argv)
    if not (given.secret or given.key):
        parser.error("name at least one `--secret` or `--key`")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program, in a pod: 0 done, 1 could not, 2 wrong usage."""
    given = _arguments(argv)
    from mlplat.cluster import Cluster

    try:
        with Cluster.of_pod() as cluster:
            done = run(cluster, NAMESPACE.read_text(encoding="utf-8").strip(), given.secret, given.to, given.key)
    except MlplatError as error:
        sys.stderr.write(f"error: {error.told()}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(done, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
