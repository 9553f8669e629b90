"""The feature server of one computer: `mlplat.online` on SQLite, for every project that tells it of its features.

A project is there as soon as it has put its definitions. What one has put and pushed lies in a folder of its own below
the service's data, so that no project's rows are in another's tables.
"""

from __future__ import annotations

from mlplat.services.service import Http, Ref, Service
from mlplat.spec.platform import PlatformSpec

NAME = "features"


def features(spec: PlatformSpec) -> tuple[Service, ...]:
    """Return the feature server's service; none where it is not enabled."""
    if not spec.features.enabled:
        return ()
    return (
        Service(
            name=NAME,
            image=NAME,
            argv=(
                *("python", "-m", "mlplat.online", "--folder", Ref("data")),
                *("--host", Ref("host"), "--port", str(spec.features.port)),
            ),
            ready=Http("/ready", timeout=120),
            # Feast writes moments to a file as a clock on the wall shows them, and in spring that skips an hour.
            env={"FEAST_USAGE": "False", "TZ": "UTC"},
            ports={"http": spec.features.port},
            code=True,
        ),
    )
