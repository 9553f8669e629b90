"""What a team's flows, and whoever asks for its data, are told of the platform."""

from __future__ import annotations

from typing import Any

from mlplat.manifests import flows, names
from mlplat.manifests.meta import text
from mlplat.services.cluster.controller import nodes
from mlplat.services.cluster.features import has_server, online
from mlplat.services.cluster.tracking import tracking
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import place
from mlplat.targets.kubernetes.ground import Ground

FOLDER = "metaflow"


def document(team: str, spec: PlatformSpec, ground: Ground) -> dict[str, Any]:
    """Return the ConfigMap that `mlplat publish` and `mlplat data` read: without pipelines there are logs as well."""
    return flows.document(team, place.later(terms(team, spec, ground), text))


def terms(team: str, spec: PlatformSpec, ground: Ground) -> dict[str, Any]:
    """Return what is told, as `mlplat.manifests.flows.Terms` reads it; a leaf may be an output."""
    on, kept = spec.kubernetes, ground.objects
    return {
        "platform": spec.name,
        "tracking": place.url(tracking(spec)),
        "root": place.later(["s3://", kept.buckets["pipelines"], f"/{team}/{FOLDER}"], "".join),
        "data": place.later(["s3://", kept.buckets["data"], f"/{team}"], "".join),
        "region": kept.region,
        "endpoint": kept.endpoint,
        "secret": kept.secret,
        "clock": spec.clock.isoformat() if spec.clock else None,
        **({"features": place.url(online(spec))} if has_server(spec) else {}),
        "queue": names.LOCAL_QUEUE if on.addons.queues != "off" else None,
        "pools": {name: nodes(name, spec) for name in sorted(spec.pools) if _may_use(team, name, spec)},
        "pull_secret": on.images.pull_secret,
        "registry": on.images.registry,
        "base": on.images.base,
        "processors": on.images.platform,
    }


def _may_use(team: str, name: str, spec: PlatformSpec) -> bool:
    pool = spec.pools[name]
    # Model servers' pools are theirs alone.
    return pool.workload != "serving" and (not pool.teams or team in pool.teams)
