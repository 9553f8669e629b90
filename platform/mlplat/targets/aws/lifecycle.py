"""How long objects stay, and where: lifecycle rules of each bucket."""

from __future__ import annotations

from typing import Any

from mlplat.spec.aws.data import StorageSpec

UNFINISHED_DAYS = 7
"""Days for which the parts of an upload that never ended are kept; nobody sees them, and they are paid for."""
TIERED = ("data", "artifacts")


def rules(kind: str, spec: StorageSpec) -> list[Any]:
    """Return the rules of a bucket, named by what it holds."""
    made = [_unfinished(), _previous(spec.previous_days)]
    if kind in TIERED:
        made.append(_rule("infrequent", transitions=[{"days": spec.infrequent_days, "storage_class": "STANDARD_IA"}]))
    if kind == "pipelines":
        made.append(_rule("intermediate", expiration={"days": spec.pipeline_days}))
    if kind == "logs":
        made.append(_rule("old", expiration={"days": spec.log_days}))
    return made


def _unfinished() -> dict[str, Any]:
    return _rule("unfinished", abort_incomplete_multipart_upload={"days_after_initiation": UNFINISHED_DAYS})


def _previous(days: int) -> dict[str, Any]:
    # A deleted object leaves a marker, which goes once no version is left behind it.
    markers = {"expired_object_delete_marker": True}
    return _rule("previous", noncurrent_version_expiration={"noncurrent_days": days}, expiration=markers)


def _rule(name: str, **actions: Any) -> dict[str, Any]:
    return {"id": name, "status": "Enabled", **actions}
