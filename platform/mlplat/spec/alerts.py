"""Who is told of alerts on one computer; on a cluster that is Alertmanager's (`kubernetes.monitoring.receivers`)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from mlplat.spec.base import Spec


def _path(text: str) -> str:
    # Not shown: what stands here in the place of a path may be the address, with its token.
    if not text.startswith(("/", "~/")):
        raise ValueError(
            "is no absolute path: the address itself stays out of this file, and stands in a file of its own"
        )
    return text


class AlertsSpec(Spec):
    """Who is told of alerts on one computer, beside the controller's log."""

    webhook_file: Annotated[str, AfterValidator(_path)] | None = Field(
        None,
        description="Path of a file, readable by its owner alone, with the address that alerts are posted to, in the"
        " form of Alertmanager's webhooks: https, or of this computer; unset, they are told in the log alone.",
    )
