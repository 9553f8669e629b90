"""The controller on a cluster."""

from __future__ import annotations

import mlplat
from mlplat.services.cluster import standing
from mlplat.services.cluster.features import ONLINE, has_server
from mlplat.services.service import Http, Ref, Resources, Service
from mlplat.spec.platform import PlatformSpec

SETTINGS = "settings.json"
SHORTEST = 5.0
"""Seconds between two looks at everything: each asks the API for all of it, and changes are told in between."""
PROMETHEUS = "http://prometheus-operated.monitoring.svc:9090"
"""The service that the operator keeps for whatever Prometheus it runs."""
PART_SECONDS = 60.0
"""Shortest time that a part of a prediction log is filled for: each is an object, written once and read for years."""
POOL = "mlplat/pool"
TEAM = "mlplat/team"
"""Label of a pool's nodes, and taint of those that are for some teams only."""
GPU, SHARED_GPU = "nvidia.com/gpu", "nvidia.com/gpu.shared"
"""What pods ask for to get a GPU, whole or a share of one."""
EQUAL = {"operator": "Equal", "effect": "NoSchedule"}
ON_GPUS = {**EQUAL, "key": GPU, "value": "true"}


def controller(spec: PlatformSpec) -> Service:
    """Return the controller's service: one pod at a time, which holds a lease."""
    return Service(
        name="controller",
        image="controller",
        version=mlplat.__version__,
        argv=(
            *("python", "-m", "mlplat.controller.kubernetes", "--settings", (Ref("files"), f"/{SETTINGS}")),
            *("--host", Ref("host")),
        ),
        ready=Http("/health"),
        env=standing.objects(spec),
        ports={"http": spec.controller.port},
        live={SETTINGS: settings(spec)},
        code=True,
        needs=("tracking", *standing.needs(spec, standing.OBJECTS)),
        # Model servers are asked before they get traffic, and the gateway's proxies what became of it.
        reaches=(*standing.reaches(spec, standing.OBJECTS), "api", "serving", "gateway"),
        callers=("monitoring",) if spec.kubernetes.addons.monitoring != "off" else (),
        resources=Resources(cpu=0.1, memory_mib=256, memory_limit_mib=768),
        metrics="/metrics" if spec.kubernetes.addons.monitoring != "off" else None,
        token=True,
        exclusive=True,
    )


def settings(spec: PlatformSpec) -> dict[str, object]:
    """Return what `mlplat.controller.kubernetes.settings.Settings` reads; all but its port is followed live."""
    on = spec.kubernetes
    return {
        "tracking": Ref("url:tracking"),
        "namespaces": namespaces(spec),
        "image": Ref("image:serving"),
        "objects": _objects(spec),
        "log": _log(spec),
        "port": spec.controller.port,
        "interval": max(spec.controller.interval_seconds, SHORTEST),
        "clock": spec.clock.isoformat() if spec.clock else None,
        **({"features": Ref(f"url:{ONLINE}")} if has_server(spec) else {}),
        "production": on.production,
        "pools": {name: nodes(name, spec) for name in sorted(spec.pools)},
        "pull_secret": on.images.pull_secret,
        "hostname": on.exposure.hostname or domain(spec),
        "requests_per_second": on.exposure.requests_per_second,
        "parallel_requests": on.exposure.parallel_requests,
        "prometheus": prometheus(spec),
    }


def _log(spec: PlatformSpec) -> dict[str, object] | None:
    log = spec.serving.prediction_log
    if not log.enabled:
        return None
    return {
        "bucket": Ref("bucket:data"),
        "rows": log.rows_per_part,
        "seconds": max(log.seconds_per_part, PART_SECONDS),
        "keep_bytes": log.retention.megabytes * 1_000_000,
        "keep_seconds": log.retention.days * 86_400 if log.retention.days is not None else None,
    }


def namespaces(spec: PlatformSpec) -> dict[str, str]:
    """Return the namespace of each project: its team's."""
    return {project: team for team, each in sorted(spec.teams.items()) for project in sorted(each.projects)}


def domain(spec: PlatformSpec) -> str | None:
    """Return the platform's name in an account; None where it has none."""
    return spec.aws.domain.name if spec.aws and spec.aws.domain else None


def nodes(name: str, spec: PlatformSpec) -> dict[str, object]:
    """Return how a pod gets onto a pool's nodes: their labels, and what it has to put up with there."""
    pool = spec.pools[name]
    gpus = {"gpu_resource": SHARED_GPU if pool.shared_by > 1 else GPU}
    if spec.target == "kubernetes":
        return {"node_selector": dict(pool.node_selector), "tolerations": [ON_GPUS] if pool.gpu_count else [], **gpus}
    # Whether a type of machine has GPUs is the cloud's to know; to put up with a taint that is not there is harmless.
    return {"node_selector": {POOL: name}, "tolerations": [ON_GPUS, {**EQUAL, "key": TEAM, "value": name}], **gpus}


def prometheus(spec: PlatformSpec) -> str | None:
    """Return where KEDA finds figures of endpoints; None where not both of them are there, or where nobody knows."""
    on = spec.kubernetes
    there = {"install": PROMETHEUS, "adopt": on.monitoring.prometheus, "off": None}[on.addons.monitoring]
    return there if on.addons.autoscaling != "off" else None


def _objects(spec: PlatformSpec) -> dict[str, object]:
    endpoint = "AWS_ENDPOINT_URL_S3" in standing.objects(spec)
    return {
        "bucket": Ref("bucket:artifacts"),
        "region": Ref("region"),
        "endpoint": Ref("objects") if endpoint else None,
        "secret": standing.objects_secret(spec),
    }
