"""What makes nodes on the cluster: controllers, device plugins, the storage class, and the pools themselves.

These are Kubernetes' own objects. They are made by the foundation's administrator, after its access entry, and go
before it; pools go before the controller that takes their nodes away, else the nodes would outlive the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from mlplat import versions
from mlplat.contracts import ClusterFoundation
from mlplat.spec.aws.cluster import NightsSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import charts, kubeconfig, nights, nodeclass, pools
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.dependencies import given
from mlplat.targets.aws.nightjobs import NightJobs
from mlplat.targets.aws.site import Site

NAMESPACE = "kube-system"
STORAGE_CLASS = "gp3"
RELEASE_SECONDS = 600
CREATED = pulumi.CustomTimeouts(create="10m", update="10m", delete="40m")
"""Deletion of a pool ends when its last node is gone."""


def storage_parameters(site: Site, key: Any) -> dict[str, Any]:
    """Return the parameters of the default storage class: encrypted, and each volume with the deployment's tags."""
    tags = {
        f"tagSpecification_{number}": f"{name}={value}"
        for number, (name, value) in enumerate(sorted(site.tags("volumes").items()), start=1)
    }
    return {"type": "gp3", "encrypted": "true", "kmsKeyId": key, **tags}


class Compute(Component):
    """Everything by which a cluster gets its nodes."""

    def __init__(
        self,
        name: str,
        spec: PlatformSpec,
        *,
        site: Site,
        foundation: ClusterFoundation,
        admin: Any,
        key: Any,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Raise `SpecError` for pools that no machine fits, and `UsageError` for nights that must not be.

        `admin` is the role that enters the cluster where the spec names none, and `key` that of disks; both may be
        outputs.
        """
        super().__init__("Compute", name, site, opts)
        pools.check(spec.pools)
        nights.check(site.aws)
        self.spec, self.foundation, self.key = spec, foundation, key
        self._after = given(opts)
        self.kubernetes = self._on_cluster_by(admin)
        self.storage_class = self._storage_class()
        self.balancers = self._release(
            versions.LOAD_BALANCERS,
            charts.load_balancers(site, cluster=foundation.cluster, vpc=foundation.vpc),
        )
        plugins = self._plugins()
        self.karpenter = self._karpenter()
        self.pools = self._pools([self.karpenter, *plugins])
        self.ready: list[pulumi.Resource] = [self.storage_class, self.balancers, *plugins, self.karpenter, *self.pools]
        if site.aws.cluster.nights:
            self._nights(site.aws.cluster.nights)
        self.register_outputs({})

    def on_cluster(self, after: Sequence[pulumi.Resource] = (), **more: Any) -> pulumi.ResourceOptions:
        """Return the options of an object on the cluster."""
        return self.child(provider=self.kubernetes, depends_on=[*self._after, *after], **more)

    def _on_cluster_by(self, admin: Any) -> kubernetes.Provider:
        on = self.foundation
        document = kubeconfig.document(
            self.site,
            cluster=on.cluster,
            endpoint=on.cluster_endpoint,
            authority=on.cluster_authority,
            # Asked of the spec: read from another stack, nobody knows yet whether there is such a role.
            role=None if self.site.aws.cluster.admins else admin,
        )
        return kubernetes.Provider(
            "cluster",
            kubeconfig=pulumi.Output.json_dumps(document, sort_keys=True),
            # By this, and not by address or certificate, it knows whether it is the same cluster: a new certificate
            # would otherwise replace every object.
            cluster_identifier=_arn(self.site, on.cluster),
            enable_server_side_apply=True,
            opts=self.child(depends_on=self._after),
        )

    def _release(
        self, chart: versions.Chart, values: dict[str, Any], after: Sequence[pulumi.Resource] = (), **more: Any
    ) -> kubernetes.helm.v3.Release:
        # `v3.Release` and not `v4.Chart`: charts' hooks run in the first alone.
        return kubernetes.helm.v3.Release(
            chart.name,
            name=chart.name,
            namespace=NAMESPACE,
            chart=chart.repository if chart.oci else chart.name,
            repository_opts=None if chart.oci else {"repo": chart.repository},
            version=chart.version,
            values=values,
            # What failed stays to be looked at, as with the add-ons, and the next `up` goes on from it. What served
            # before an upgrade serves until the new pods are ready, whether that is taken back or not.
            atomic=False,
            cleanup_on_fail=True,
            max_history=3,
            timeout=RELEASE_SECONDS,
            opts=self.on_cluster(after),
            **more,
        )

    def _karpenter(self) -> kubernetes.helm.v3.Release:
        definitions = self._release(versions.KARPENTER_CRDS, {})
        on = self.foundation
        values = charts.karpenter(
            self.site, self.spec.pools, cluster=on.cluster, endpoint=on.cluster_endpoint, queue=on.queue
        )
        return self._release(versions.KARPENTER, values, [definitions], skip_crds=True)

    def _plugins(self) -> list[pulumi.Resource]:
        made: list[pulumi.Resource] = []
        if any(pools.has_gpus(each) for each in self.spec.pools.values()):
            made.append(self._release(versions.DEVICE_PLUGIN, charts.device_plugin(self.spec.pools)))
            made.append(self._release(versions.GPU_METRICS, charts.gpu_metrics()))
        if any(each.efa for each in self.spec.pools.values()):
            made.append(self._release(versions.EFA_PLUGIN, charts.efa_plugin()))
        return made

    def _pools(self, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        return [made for name in self.spec.pools for made in self._pool(name, after)]

    def _pool(self, name: str, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        pool, on = self.spec.pools[name], self.foundation
        sleeps = self.site.aws.cluster.nights is not None
        setup = nodeclass.node_class(
            name, pool, site=self.site, cluster=on.cluster, node_role=on.node_role, key=self.key
        )
        made = self._custom(setup, after)
        overlays = [self._custom(each, [made]) for each in pools.overlays(name, pool)]
        # Karpenter must know what a shared GPU holds before it looks for room on one.
        nodes = [self._custom(each, [made, *overlays]) for each in pools.node_pools(name, pool, sleeps=sleeps)]
        return [made, *overlays, *nodes]

    def _custom(
        self, document: dict[str, Any], after: Sequence[pulumi.Resource]
    ) -> kubernetes.apiextensions.CustomResource:
        annotations = {
            # Not ready says why, at `up` and not when the first job waits: no subnet, no image, no right.
            "pulumi.com/waitFor": "condition=Ready",
            # Its nodes first: an orphan would be paid for until somebody finds it.
            "pulumi.com/deletionPropagationPolicy": "foreground",
        }
        if "replicas" in document["spec"]:
            # Nights change the number; `up` sets it back, and must not refuse to.
            annotations["pulumi.com/patchForce"] = "true"
        return kubernetes.apiextensions.CustomResource(
            f"{document['kind']}-{document['metadata']['name']}".lower(),
            api_version=document["apiVersion"],
            kind=document["kind"],
            metadata={**document["metadata"], "annotations": annotations},
            spec=document["spec"],
            opts=self.on_cluster(after, custom_timeouts=CREATED),
        )

    def _storage_class(self) -> kubernetes.storage.v1.StorageClass:
        return kubernetes.storage.v1.StorageClass(
            STORAGE_CLASS,
            metadata={
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            provisioner="ebs.csi.aws.com",
            parameters=storage_parameters(self.site, self.key),
            reclaim_policy="Delete",
            allow_volume_expansion=True,
            # In the zone of the pod that asks, which is not known before there is one.
            volume_binding_mode="WaitForFirstConsumer",
            opts=self.on_cluster(),
        )

    def _nights(self, when: NightsSpec) -> None:
        NightJobs(
            "nights",
            when,
            site=self.site,
            pools=self.spec.pools,
            opts=pulumi.ResourceOptions(
                parent=self, providers=[self.kubernetes], depends_on=[*self._after, self.karpenter, *self.pools]
            ),
        )


def _arn(site: Site, cluster: Any) -> Any:
    prefix = site.arn("eks", "cluster/")
    return f"{prefix}{cluster}" if isinstance(cluster, str) else pulumi.Output.concat(prefix, cluster)
