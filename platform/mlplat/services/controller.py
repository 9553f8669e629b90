"""The controller: makes what runs agree with the endpoint documents."""

from __future__ import annotations

from mlplat.services.service import Http, Ref, Service
from mlplat.spec.platform import PlatformSpec


def controller(spec: PlatformSpec) -> Service:
    """Return the controller's service."""
    return Service(
        name="controller",
        image="platform",
        argv=("python", "-m", "mlplat.controller", "--settings", (Ref("files"), "/settings.json")),
        ready=Http("/health"),
        ports={"http": spec.controller.port},
        live={"settings.json": settings(spec)},
        code=True,
        needs=("tracking", "gateway"),
    )


def settings(spec: PlatformSpec) -> dict[str, object]:
    """Return what `mlplat.controller.settings.Settings` reads; all but its port is followed live."""
    log = spec.serving.prediction_log
    return {
        "state": Ref("state"),
        "tracking": Ref("url:tracking"),
        "gateway": Ref("url:gateway"),
        "gateway_admin": f"http://127.0.0.1:{spec.gateway.admin_port}",
        "xds": (Ref("state"), "/gateway/xds"),
        "store": Ref("store"),
        "python": Ref("python:serving"),
        "code": Ref("code"),
        "clock": Ref("clock"),
        **({"features": Ref("url:features")} if spec.features.enabled else {}),
        "first_port": spec.serving.first_port,
        "port": spec.controller.port,
        "interval": spec.controller.interval_seconds,
        **({"webhook": spec.alerts.webhook_file} if spec.alerts.webhook_file else {}),
        "log_enabled": log.enabled,
        "log_rows": log.rows_per_part,
        "log_seconds": log.seconds_per_part,
        "log_keep_bytes": log.retention.megabytes * 1_000_000,
        "log_keep_seconds": log.retention.days * 86_400 if log.retention.days is not None else None,
        "service_log_bytes": spec.logs.megabytes * 1_000_000,
        "service_log_backups": spec.logs.backups,
    }
