"""The whole layer, in the order in which a cluster can take it; it is ended in the reverse.

    namespace → definitions → add-ons → secrets → services, gateway, what is watched, queues → teams → controller

Teams come late and so go early: their routes, jobs and nodes need the gateway, Kueue and what makes nodes to be there
while they leave. Their endpoints hold a finalizer that the controller takes away, by rights that it has in their
namespaces; so `mlplat down` ends endpoints before anything else, and what `close` makes, last of all, cannot be deleted
while there are any: plain `pulumi destroy` then ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi

from mlplat.manifests import crd, names, rbac
from mlplat.manifests.workload import workload
from mlplat.services import Service
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import (
    access,
    admission,
    copies,
    edge,
    features,
    flows,
    namespaces,
    objects,
    people,
    queues,
    secrets,
    teams,
    writers,
)
from mlplat.targets.kubernetes import place as places
from mlplat.targets.kubernetes.addons.component import Addons, releases
from mlplat.targets.kubernetes.component import Component, last
from mlplat.targets.kubernetes.ground import Ground
from mlplat.targets.kubernetes.setup import Setup, documents
from mlplat.watching import documents as watched

Made = list[pulumi.Resource]


class Layer(Component):
    """Everything that the platform puts on a cluster."""

    def __init__(
        self,
        name: str,
        spec: PlatformSpec,
        *,
        ground: Ground,
        services: Sequence[Service],
        setup: Sequence[Setup] = (),
        images: Mapping[str, Any],
        references: Mapping[str, Any] | None = None,
        home: Mapping[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`images` is the reference of each image: without any, the platform's own services are left out.

        `setup` is jobs that run before services, `references` what theirs mean beside those of services; `home` is
        annotations of the platform's namespace, before which nothing is made.
        """
        # The images are in the state by it, also that of model servers, which is in nothing that the engine makes.
        super().__init__("Layer", name, ground=ground, props={"images": dict(images)}, opts=opts)
        teams.refuse_reserved(spec)
        self.spec = spec
        self.gateway: objects.Declared | None = None
        """The gateway, by whose status one knows its address; None where there is none."""
        # One object that waits for all below, and for which all above waits: else each would name all of them.
        told = {**admission.teams(spec), **(home or {})}
        space = namespaces.namespace(names.NAMESPACE, _security(spec), **writers.labels(spec))
        self.home = self.put([_annotated(space, told)])[0]
        self.ground = replace(ground, ready=[self.home])
        self._after = [self.home]
        self.addons = Addons("addons", spec, ground=self.ground, opts=pulumi.ResourceOptions(parent=self))
        first = [places.priority(), *namespaces.closed(names.NAMESPACE), crd.definition()]
        kept = [*self.put(first), *self.addons.crds]
        self._keep(kept)
        self._place = places.place(self.ground, services, images, spec, references) if images else None
        self._made: dict[str, Made] = {}
        """What was made of each service, by its name."""
        kept += self._prepared(setup, kept)
        self._run([each for each in services if each.name != rbac.ACCOUNT], kept)
        kept += [*self._edge(services), *self._watching(), *self.put(access.roles()), *self._queues()]
        admitted = self._teams([*kept, *releases(self.addons)])
        # After all services: it is not ready before it may look into every team's namespace, and those waited for them.
        controller = [each for each in services if each.name == rbac.ACCOUNT]
        self._run(controller, [*self._rights(), *(admitted or kept)])
        self.register_outputs({})

    def close(self, after: Sequence[pulumi.Resource] = ()) -> None:
        """Declare what is deleted first of all, and by that everything else: it waits for all, and for `after`."""
        self.put([admission.standing()], [*last(self, self.addons), *after])

    def _keep(self, defined: Made) -> None:
        self.put(admission.endpoints(self.spec.teams), defined)
        if self.spec.kubernetes.addons.pipelines != "off":
            self.put(admission.workflows(self.spec.teams), [*defined, *self.addons.ready["pipelines"]])

    def _prepared(self, setup: Sequence[Setup], after: Made) -> Made:
        place = self._place
        if place is None:
            return []
        jobs = [made for each in setup for made in self._chain(documents(each, place), after)]
        return [*jobs, *self._vault([*after, *jobs])]

    def _run(self, services: Sequence[Service], after: Made) -> None:
        if self._place is None:
            return
        for service in ordered(services):
            needed = [made for name in service.needs for made in self._made.get(name, [])]
            self._made[service.name] = self._chain(workload(service, self._place), [*after, *needed])

    def _rights(self) -> Made:
        # Without a gateway there is no namespace of its proxies, and nothing to ask them.
        absent = names.PROXIES if self.spec.kubernetes.addons.gateway == "off" else None
        own = [each for each in rbac.documents([]) if each["metadata"]["namespace"] != absent]
        return self.put(own, self.addons.namespaces.values()) if self._place else []

    def _vault(self, after: Made) -> Made:
        cloud = self.ground.cloud
        if cloud is None or self.spec.kubernetes.addons.secrets == "off":
            return []
        store = self.put([secrets.store(cloud)], [*after, *self.addons.ready["secrets"]])
        return [*store, *self.put(secrets.databases(cloud.applications, self.ground.databases), store)]

    def _chain(self, documents: Iterable[dict[str, Any]], after: Made) -> Made:
        """Declare documents; what stands after a Job waits until that has ended well."""
        made: Made = []
        ended: Made = []
        for document in documents:
            # A job needs what stands before it: its account, its configuration, its way through the network.
            waited = [*after, *(made if document["kind"] == "Job" else ended)]
            resource = self.put([document], waited)
            made += resource
            ended += resource if document["kind"] == "Job" else []
        return made

    def _edge(self, services: Sequence[Service]) -> Made:
        exposure = self.spec.kubernetes.exposure
        if self.spec.kubernetes.addons.gateway == "off":
            return []
        kind = self.put(edge.kind(), [*self.addons.crds, *self.addons.ready["gateway"]])
        proxies, gateway = edge.gateway(exposure, self.ground)
        self.gateway = objects.declare(gateway, self.on_cluster(self.put([proxies], kind)), status=True)
        self.declared.append(self.gateway)
        held = [self.gateway, *self.put(edge.policies(exposure), [self.gateway])]
        tracking = [each for each in services if each.name == writers.NAME and each.name in self._made]
        ways = [document for each in tracking for document in writers.documents(each, self.spec)]
        pages = people.documents(self.spec, tracking)
        after = [*held, *self._made.get(writers.NAME, []), *self.addons.namespaces.values()]
        return [*kind, *held, *self.put([*ways, *pages], after)]

    def _watching(self) -> Made:
        topic = self.ground.cloud.alerts if self.ground.cloud else None
        return self.put(watched(self.spec, topic=topic), [*self.addons.crds, *self.addons.ready["monitoring"]])

    def _queues(self) -> Made:
        if self.spec.kubernetes.addons.queues == "off":
            return []
        return self.put(queues.documents(self.spec), self.addons.ready["queues"])

    def _teams(self, after: Made) -> Made:
        """Declare every team's namespace and what is in it; return what the controller waits for."""
        spaces = {team: self.put([teams.ground(team, self.spec)], after) for team in self.spec.teams}
        shared = copies.wanted(self.spec, self.ground)
        written = [*shared, *copies.keys(self.spec)]
        if spaces and written and self._place:
            found = [made for team, space in spaces.items() for made in self.put(copies.rights(team, written), space)]
            self._chain(documents(copies.setup(self.spec, shared), self._place), found)
        return [made for team, space in spaces.items() for made in self._team(team, space)]

    def _team(self, team: str, space: Made) -> Made:
        within = teams.within(team, self.spec, on_cloud=self.ground.cloud is not None)
        told = [flows.document(team, self.spec, self.ground), *features.documents(team, self.spec)]
        self.put([*within, *teams.callers(team, self.spec), *told], space)
        if self.spec.kubernetes.addons.queues != "off":
            self.put([queues.local_queue(team)], space)
        return self.put(rbac.team_documents(team), space) if self._place else []


def ordered(services: Sequence[Service]) -> list[Service]:
    """Return services with each after those that it needs. Raises `ValueError` where they go round in a circle."""
    left, found = list(services), list[Service]()
    known = {each.name for each in services}
    while left:
        done = {each.name for each in found}
        free = [each for each in left if {*each.needs} & known <= done]
        if not free:
            raise ValueError(f"these need each other: {', '.join(each.name for each in left)}")
        found += free
        left = [each for each in left if each not in free]
    return found


def _security(spec: PlatformSpec) -> namespaces.Security:
    # The public image of Metaflow's service keeps its migrations in the folder of root.
    return "baseline" if spec.kubernetes.metadata_service else "restricted"


def _annotated(document: dict[str, Any], annotations: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, "metadata": {**document["metadata"], "annotations": dict(annotations)}}
