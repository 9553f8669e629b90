"""Telling a feature server again what versions look up: one whose store was lost, or made anew, knows of none.

Each registered version's contract says what it told once. So what serves is answered again, with its own columns, and
nobody has to train for it. Values are pushed anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import httpx

from mlplat.bundle import CONTRACT_FILE, BundleError, Contract, parse_contract
from mlplat.contracts import Connection
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.runtime import registry
from mlplat.runtime.online import Online
from mlplat.spec.project import ProjectSpec
from mlplat.tracking import Tracking, by_key

SECONDS = 10.0
"""For one answer of the registry."""
TAG = "mlplat.features"
"""Of a version: its feature service."""


def retell(server: Online, spec: ProjectSpec, say: Callable[[str], None], *, group: str | None = None) -> list[str]:
    """Tell of all that registered versions look up; return the feature services that are there from now on.

    Nothing is told where none of them looks the `group` up, if one is given. What does not fit newer versions is said
    and left out. Raises `UnreachableError` where the registry or the server is away.
    """
    told: list[str] = []
    known = list(_contracts(spec, say))
    if group and not any(each.group == group for contract in known for each in contract.lookups):
        return told
    for contract in known:
        try:
            server.define(contract)
        except RefusedError as error:
            say(f"`{contract.features}` is not told again: {error.message}")
            continue
        told.append(contract.features)
    return told


def _contracts(spec: ProjectSpec, say: Callable[[str], None]) -> Iterator[Contract]:
    """Yield the contracts of versions that look something up, one a service, the newest first."""
    address = os.environ.get(registry.TRACKING) or Connection.of_run(spec.platform).tracking
    with httpx.Client(trust_env=False) as http:
        tracking = Tracking(address, http, seconds=SECONDS)
        wanted = f"name='{Name(spec.project, spec.model).id}'"
        found = tracking.search("model-versions/search", "model_versions", filter=wanted)
        seen: set[str] = set()
        for version in sorted(found, key=lambda each: -int(each["version"])):
            if (service := by_key(version.get("tags", [])).get(TAG)) and service not in seen:
                seen.add(service)
                source = version["source"]
                try:
                    content = tracking.artifact(source, CONTRACT_FILE)
                    contract = parse_contract(content, f"{source}/{CONTRACT_FILE}")
                except (RefusedError, BundleError) as error:  # somebody has removed it, or changed it
                    say(f"what version {version['version']} looks up is not known: {error.message}")
                    continue
                yield contract
