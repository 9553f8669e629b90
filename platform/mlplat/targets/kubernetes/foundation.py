"""The ground of a cluster that is there: its context, and what it is told of databases and an object store."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from mlplat.spec.kubernetes import DatabasesSpec, KubernetesSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes.ground import BUCKETS, Ground, Objects

APPLICATIONS = ("tracking", "features", "pipelines")
SMALL_REGION = "us-east-1"
SMALL_ENDPOINT = "http://objects.mlplat.svc:8333"
"""Where the small object store answers, which is a service of the platform then."""
SMALL_SECRET = "objects"  # noqa: S105 - the name of one


def provide(spec: PlatformSpec, identity: str | None) -> Ground:
    """Return the ground; nothing is made but the way to the cluster."""
    on = spec.kubernetes
    return Ground(
        provider=provider(on, identity),
        production=on.production,
        objects=objects(on),
        databases=secrets(on.databases),
        storage_class=on.storage_class,
    )


def provider(on: KubernetesSpec, identity: str | None) -> kubernetes.Provider:
    """Return the one way to the cluster: the context of the spec, whatever `kubectl` is set to."""
    return kubernetes.Provider(
        "cluster",
        context=on.context,
        kubeconfig=on.kubeconfig,
        # By this it knows whether it is the same cluster: a new address or certificate, or another name of the
        # context, would otherwise replace every object.
        cluster_identifier=identity,
        enable_server_side_apply=True,
        suppress_helm_hook_warnings=True,
        opts=pulumi.ResourceOptions(),
    )


def objects(on: KubernetesSpec) -> Objects:
    """Return the object store: that of the spec, or the small one in the cluster."""
    if on.objects is None:
        return Objects({each: f"mlplat-{each}" for each in BUCKETS}, SMALL_REGION, SMALL_ENDPOINT, SMALL_SECRET)
    given = on.objects
    return Objects(
        {str(purpose): name for purpose, name in given.buckets.items()}, given.region, given.endpoint, given.secret
    )


def secrets(given: DatabasesSpec | None) -> dict[str, str]:
    """Return the secret of each application's database; the small one in the cluster has all of them."""
    if given is None:
        return {each: f"{each}-database" for each in APPLICATIONS}
    named = {each: getattr(given, each) for each in APPLICATIONS}
    return {each: secret for each, secret in named.items() if secret is not None}
