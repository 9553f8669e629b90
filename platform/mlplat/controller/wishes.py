"""What people may wish of an endpoint: pure functions from the document that is there to the next wish.

Going on, going back and giving up are all the same wish: to have a certain revision serve, at once.
"""

from __future__ import annotations

from mlplat.controller.document import MOVING, PREPARING, Action, Endpoint, EndpointSpec, Force, Revision
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.spec.privacy import LoggedColumns
from mlplat.spec.retraining import RetrainingPolicy
from mlplat.spec.rollout import RolloutPolicy
from mlplat.spec.scale import ScaleSpec


def deploy(
    name: Name,
    model: Name,
    version: str,
    policy: RolloutPolicy,
    *,
    by: str,
    force: Force | None = None,
    log: LoggedColumns | None = None,
    scale: ScaleSpec | None = None,
    retraining: RetrainingPolicy | None = None,
    present: Endpoint | None = None,
) -> EndpointSpec:
    """Wish for a version of a model to serve.

    Without a `log`, a `scale` or a `retraining`, which are a project's to say, what was said before for the same model
    stays: a column does not get into the log, no server is taken away, and no retraining is forgotten, because somebody
    deployed from another folder.
    """
    before = present.spec if present and present.spec.model == str(model) else None
    return EndpointSpec(
        name=str(name),
        model=str(model),
        version=version,
        policy=policy,
        force=force,
        by=by,
        log=log or (before.log if before else LoggedColumns()),
        scale=scale or (before.scale if before else ScaleSpec()),
        retraining=retraining or (before.retraining if before else RetrainingPolicy()),
    )


def promote(present: Endpoint | None, name: Name, *, by: str, reason: str) -> EndpointSpec:
    """Wish for the challenger to serve without its remaining steps. Raises `RefusedError` when none waits for it."""
    endpoint = _existing(present, name)
    status = endpoint.status
    challenger = status.revision(status.challenger)
    if not _observed(endpoint) or status.phase not in ("rolling", "inconclusive") or challenger is None:
        raise RefusedError(
            f"{name} has no rollout to promote: it is {status.phase}",
            hint="a version that failed is deployed anew: `mlplat deploy --version N --strategy direct`",
        )
    return _go_to(endpoint, challenger, "promote", by=by, reason=reason)


def abort(present: Endpoint | None, name: Name, *, by: str, reason: str) -> EndpointSpec:
    """Wish for the rollout to end and the champion to go on. Raises `RefusedError` when there is no rollout."""
    endpoint = _existing(present, name)
    status = endpoint.status
    if _observed(endpoint) and status.phase not in MOVING:
        raise RefusedError(
            f"{name} has no rollout to abort: it is {status.phase}",
            hint=f"`mlplat endpoint rollback {name}` returns to the version before",
        )
    return _go_to(endpoint, status.revision(status.champion), "abort", by=by, reason=reason)


def rollback(present: Endpoint | None, name: Name, *, by: str, reason: str) -> EndpointSpec:
    """Wish for the version before to serve again; during a rollout this is to abort it.

    Raises `RefusedError` when there is none.
    """
    endpoint = _existing(present, name)
    status = endpoint.status
    if not _observed(endpoint) or status.phase in (*PREPARING, "rolling"):
        return abort(present, name, by=by, reason=reason)
    previous = status.revision(status.previous)
    if previous is None or status.phase == "deleting":
        raise RefusedError(
            f"{name} has no version to return to", hint=f"`mlplat rollout history {name}` shows what it has served"
        )
    return _go_to(endpoint, previous, "rollback", by=by, reason=reason)


def delete(present: Endpoint | None, name: Name, *, by: str, reason: str = "") -> EndpointSpec:
    """Wish for the endpoint not to be. Raises `RefusedError` when it does not exist."""
    spec = _existing(present, name).spec
    return spec.model_copy(update={"action": "delete", "revision": None, "by": by, "reason": reason})


def no_endpoint(name: Name) -> RefusedError:
    """Return the error for an endpoint that does not exist."""
    return RefusedError(
        f"there is no endpoint {name}", hint="`mlplat endpoint list` shows them; `mlplat deploy` makes one"
    )


def _existing(present: Endpoint | None, name: Name) -> Endpoint:
    if present is None:
        raise no_endpoint(name)
    return present


def _observed(endpoint: Endpoint) -> bool:
    return endpoint.status.observed_generation == endpoint.spec.generation


def _go_to(endpoint: Endpoint, revision: Revision | None, action: Action, *, by: str, reason: str) -> EndpointSpec:
    to = {"model": revision.model, "version": revision.version, "revision": revision.number} if revision else {}
    changes = {"revision": None, **to, "action": action, "by": by, "reason": reason, "force": None}
    return endpoint.spec.model_copy(update=changes)
