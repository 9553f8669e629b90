"""How a person's own Kubernetes tools reach a platform's cluster: a kubeconfig without a credential in it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mlplat.errors import MlplatError, RefusedError, StateError
from mlplat.files import PRIVATE, write_atomic
from mlplat.spec.base import read_text, read_yaml
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.token import VERSION

LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
"""Parts of a kubeconfig, and what each entry of them holds beside its name."""


def described(session: Any, site: Site) -> dict[str, Any]:
    """Return what AWS says of a site's cluster. Raises `RefusedError` where there is none."""
    from botocore.exceptions import ClientError

    from mlplat.targets.aws.cluster import cluster_name
    from mlplat.targets.aws.session import client, telling

    name = cluster_name(site)
    with telling("what the cluster is"):
        try:
            found: dict[str, Any] = client(session, "eks").describe_cluster(name=name)["cluster"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            raise RefusedError(
                f"there is no cluster `{name}` in {site.region} of account {site.account}",
                hint=f"`mlplat up -s {site.stack}` makes it",
            ) from error
    if "certificateAuthority" not in found:
        raise MlplatError(f"the cluster `{name}` is {found.get('status', 'not ready')}", hint="wait until it is active")
    return found


def kubeconfig(cluster: Mapping[str, Any], site: Site, *, role: str | None = None) -> dict[str, Any]:
    """Return a kubeconfig whose tokens come from `mlplat aws token`, by a role where one is given."""
    name = str(cluster["name"])
    call = ["aws", "token", "--cluster", name, "--region", site.region, "--account", site.account]
    call += ["--role", role] if role else []
    # Whoever reads the file later need not have set the profile that it was made with.
    profile = os.environ.get("AWS_PROFILE")
    asks = {
        "apiVersion": VERSION,
        "command": _program(),
        "args": call,
        "env": [{"name": "AWS_PROFILE", "value": profile}] if profile else None,
        "interactiveMode": "IfAvailable",
        "installHint": "`mlplat` gives the token: install `mlplat[aws]`",
    }
    reached = {
        "server": cluster["endpoint"],
        "certificate-authority-data": cluster["certificateAuthority"]["data"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": reached}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": {"exec": asks}}],
        "preferences": {},
    }


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kubeconfig that has all of both; of entries of one name the new one counts."""
    lists = {part: _entries(old.get(part), new[part]) for part in LISTS}
    return {**new, **old, **lists, "current-context": new["current-context"]}


def text(made: Mapping[str, Any]) -> str:
    """Return a kubeconfig as YAML."""
    out = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.dump(dict(made), out)
    return out.getvalue()


def default_file() -> Path:
    """Return the file that Kubernetes' tools write to: the first of `KUBECONFIG`, or the one in the home folder."""
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return Path(named[0] if named else "~/.kube/config").expanduser()


def write(file: Path, made: Mapping[str, Any]) -> None:
    """Merge a kubeconfig into a file in one step. Raises `StateError` for one that is none, or cannot be written."""
    place = file.resolve()
    old = read_yaml(read_text(place), str(file)) if place.exists() else {}
    if not isinstance(old, dict) or any(not isinstance(old.get(part) or [], list) for part in LISTS):
        raise StateError(f"{file} is no kubeconfig", hint="name another file with `--file`")
    try:
        write_atomic(place, text(merged(old, made)), mode=PRIVATE)
    except OSError as error:
        raise StateError(f"{file}: cannot be written: {error.strerror}") from error


def _entries(old: Any, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = {each["name"] for each in new}
    return [*(each for each in old or [] if each.get("name") not in names), *new]


def _program() -> str:
    """Return the program as any shell finds it, with or without this environment."""
    beside = Path(sys.executable).parent / "mlplat"
    return str(beside) if beside.exists() else "mlplat"
