"""The provider `aws` of the tests: what moto emulates really stands in its account, everything else is a record.

Like the real one it asks who its credentials belong to, and refuses an account that it is not allowed to touch.
"""

from __future__ import annotations

import json
from typing import Any

from fakecloud import buckets, networks, replaces, rights, stores
from fakecloud.emulated import client
from fakecloud.kind import Kind, RefusedError
from fakecloud.recorded import Place, Recorded
from fakecloud.serve import main
from fakecloud.world import Values, World

EMULATED: dict[str, Any] = {**buckets.KINDS, **rights.KINDS, **stores.KINDS, **networks.KINDS}


class Amazon:
    """One account and region."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._place: Place | None = None
        self._fixed = replaces.load()

    def configure(self, settings: Values) -> None:
        """Find out whose credentials these are. Raises `RefusedError` for another account than is allowed."""
        region = settings["region"]
        found = client("sts", region).get_caller_identity()["Account"]
        allowed = settings.get("allowedAccountIds")
        # The engine hands a provider's settings over as JSON inside text.
        allowed = json.loads(allowed) if isinstance(allowed, str) else allowed
        if allowed and found not in allowed:
            raise RefusedError(f"AWS account ID not allowed: {found}")
        self._place = Place(found, region)

    def kind(self, token: str) -> Kind:
        """Return a kind by its type."""
        if not token.startswith("aws:"):
            raise RefusedError(f"{token} is nothing of AWS's")
        place = self._place or Place("", "")
        fixed = self._fixed.get(token, frozenset())
        if token in EMULATED:
            made: Kind = EMULATED[token](place, fixed)
            return made
        return Recorded(token, self._world, place, fixed)


if __name__ == "__main__":
    here = World.here()
    main(Amazon(here), here)
