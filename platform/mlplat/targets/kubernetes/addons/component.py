"""The component that installs add-ons: definitions first, then each group's charts in its own namespace."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as kubernetes

from mlplat import definitions
from mlplat.errors import UsageError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import namespaces
from mlplat.targets.kubernetes.addons import catalogue, secrets
from mlplat.targets.kubernetes.addons.catalogue import Group
from mlplat.targets.kubernetes.addons.release import Release
from mlplat.targets.kubernetes.addons.standing import Standing
from mlplat.targets.kubernetes.component import Component
from mlplat.targets.kubernetes.ground import Ground

RELEASE_SECONDS = 600
"""Images of a whole chart are pulled within it, also onto a node that is new."""


class Addons(Component):
    """What the platform needs of a cluster beyond Kubernetes itself.

    The platform's own namespace has to be there before it: pass it by `after`.
    """

    def __init__(
        self,
        name: str,
        spec: PlatformSpec,
        *,
        ground: Ground,
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Raise `UsageError` for a team that is called as a namespace of an add-on."""
        super().__init__("Addons", name, ground=ground, after=after, opts=opts)
        refuse_taken(spec)
        self.standing = Standing.of(spec.kubernetes, ground, spec.name)
        self.namespaces = {each: self._namespace(each) for each in catalogue.namespaces(self.standing)}
        """Namespaces by name."""
        groups = catalogue.installed(spec.kubernetes.addons)
        self.crds: list[pulumi.Resource] = [made for each in groups.values() for made in self._definitions(each)]
        """Definitions that are there before any chart."""
        self.ready: dict[str, list[pulumi.Resource]] = {each: [] for each in catalogue.GROUPS}
        """What has to be there before anything uses a group; empty for one that is adopted, or off."""
        for key, group in groups.items():
            needed = [made for each in group.after for made in self.ready[each]]
            self.ready[key] = [self._release(each, [*self.crds, *needed]) for each in group.releases(self.standing)]
        if "secrets" in groups:
            self.ready["secrets"] += self.put(secrets.policies(self.standing))
        self.register_outputs({})

    def _namespace(self, name: str) -> pulumi.Resource:
        return self.put([namespaces.namespace(name, catalogue.NAMESPACES[name])])[0]

    def _definitions(self, group: Group) -> list[pulumi.Resource]:
        files = [made for each in group.definitions for made in self.put(definitions.documents(each))]
        charts = [self._release(each, []) for each in group.before]
        return [*files, *charts]

    def _release(self, release: Release, after: Sequence[pulumi.Resource]) -> kubernetes.helm.v3.Release:
        chart = release.chart
        there = [self.namespaces[release.namespace]] if release.namespace in self.namespaces else []
        # `v3.Release` and not `v4.Chart`: charts' hooks run in the first alone, and two of these make certificates so.
        made = kubernetes.helm.v3.Release(
            chart.name,
            # Without it, the engine adds signs of its own, and service accounts are called otherwise than their roles.
            name=chart.name,
            namespace=release.namespace,
            create_namespace=False,
            chart=chart.repository if chart.oci else chart.name,
            repository_opts=None if chart.oci else {"repo": chart.repository},
            version=chart.version,
            values=release.values,
            skip_crds=release.skip_crds,
            # What failed stays to be looked at, and the next `up` goes on from it.
            atomic=False,
            cleanup_on_fail=True,
            max_history=3,
            timeout=RELEASE_SECONDS,
            skip_await=False,
            opts=self.on_cluster([*there, *after]),
        )
        self.declared.append(made)
        return made


def refuse_taken(spec: PlatformSpec) -> None:
    """Raise `UsageError` for a team that is called as a namespace of an add-on, whether it is installed or not."""
    if taken := sorted({*catalogue.NAMESPACES} & set(spec.teams)):
        raise UsageError(
            f"`teams.{taken[0]}`: an add-on has a namespace of that name", hint="give the team another name"
        )


def releases(addons: Addons) -> list[pulumi.Resource]:
    """Return everything that a group has to be there for, for whoever needs all of them."""
    return [*addons.crds, *(each for made in addons.ready.values() for each in made)]
