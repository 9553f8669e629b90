"""Telling the registry who serves, so that whoever asks it for the champion gets the one that answers."""

from __future__ import annotations

import logging

from mlplat.controller import transitions
from mlplat.controller.document import Endpoint
from mlplat.controller.means import Means
from mlplat.controller.registry import Registry
from mlplat.controller.transitions import Step
from mlplat.errors import MlplatError
from mlplat.labels import Name
from mlplat.tracking import AbsentError

log = logging.getLogger("mlplat.controller")


def mirrored(means: Means, endpoint: Endpoint) -> Step | None:
    """Have the registry's aliases follow the status; return what it was told. It may be down: nothing waits for it."""
    wanted, told = transitions.wanted_aliases(endpoint), endpoint.status.mirrored
    key = ("mirror", endpoint.spec.name)
    if wanted == told or not means.patience.due(key):
        return None
    model, registry = Name.parse(endpoint.spec.model), means.registry()
    try:
        found = means.errands.ask(
            (endpoint.spec.name, str(endpoint.spec.generation), "mirror"),
            lambda: _tell(registry, model, wanted, told),
        )
    except AbsentError as error:
        log.warning("%s: %s", endpoint.name, error.message)
        found = wanted
    except MlplatError as error:
        means.patience.failed(key)
        log.warning("%s: aliases are told later: %s", endpoint.name, error.message)
        return None
    if found is None:
        return None
    means.patience.succeeded(key)
    return Step(endpoint.status.model_copy(update={"mirrored": found}))


def _tell(registry: Registry, model: Name, wanted: dict[str, str], told: dict[str, str]) -> dict[str, str]:
    """Point aliases at who serves; return what was told."""
    for alias, number in wanted.items():
        if told.get(alias) != number:
            registry.set_alias(model, alias, number)
    champion = wanted.get("champion")
    # A challenger that has become champion is none any more; a newer one that was registered since stays.
    if "challenger" not in wanted and champion and registry.alias(model, "challenger") == champion:
        registry.set_alias(model, "challenger", None)
    return wanted
