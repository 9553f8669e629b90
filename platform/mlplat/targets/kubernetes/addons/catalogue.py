"""Every group of add-ons with what it brings: which charts and definitions, into which namespaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlplat.manifests import names
from mlplat.spec.kubernetes import AddonsSpec
from mlplat.targets.kubernetes.addons import autoscaling, cost, gateway, monitoring, pipelines, queues, secrets
from mlplat.targets.kubernetes.addons.release import Release
from mlplat.targets.kubernetes.addons.standing import Standing
from mlplat.targets.kubernetes.namespaces import Security
from mlplat.versions import Definitions


@dataclass(frozen=True)
class Group:
    """What one key of `kubernetes.addons` installs."""

    releases: Callable[[Standing], tuple[Release, ...]]
    definitions: tuple[Definitions, ...] = ()
    """Files that come before it."""
    before: tuple[Release, ...] = ()
    """Charts of definitions, likewise."""
    after: tuple[str, ...] = ()
    """Groups that it needs."""


GROUPS: Mapping[str, Group] = {
    "gateway": Group(gateway.releases, gateway.DEFINITIONS),
    "secrets": Group(secrets.releases),
    "autoscaling": Group(autoscaling.releases),
    "pipelines": Group(pipelines.releases),
    "queues": Group(queues.releases, queues.DEFINITIONS),
    "monitoring": Group(monitoring.releases, before=(monitoring.DEFINITIONS,)),
    "cost": Group(cost.releases, after=("monitoring",)),
}

NAMESPACES: Mapping[str, Security] = {
    names.PROXIES: "baseline",
    autoscaling.NAMESPACE: "baseline",
    pipelines.NAMESPACE: "baseline",
    queues.NAMESPACE: "baseline",
    queues.JOBSETS: "baseline",
    # What exports a node's own metrics reads its files and network.
    monitoring.NAMESPACE: "privileged",
    cost.NAMESPACE: "baseline",
}
"""Namespaces of add-ons, and which pods each admits. The platform's own namespace, which some come to, is not ours.

None has a default deny. Hooks and metrics of the API are asked by the API server, from addresses that are another
cluster's own affair: a rule that is wrong there stops every write of the kinds that a hook hears of, on the whole
cluster. What the rules would keep out is kept in already: teams' pods and the platform's reach what they name, and no
add-on but the gateway's proxies.
"""


def installed(spec: AddonsSpec) -> dict[str, Group]:
    """Return the groups that the platform installs itself."""
    return {name: group for name, group in GROUPS.items() if getattr(spec, name) == "install"}


def releases(on: Standing) -> dict[str, tuple[Release, ...]]:
    """Return every release by its group; those of definitions first within each."""
    return {name: (*group.before, *group.releases(on)) for name, group in installed(on.spec.addons).items()}


def namespaces(on: Standing) -> list[str]:
    """Return the namespaces that add-ons are given."""
    used = {each.namespace for found in releases(on).values() for each in found}
    return [each for each in NAMESPACES if each in used]
