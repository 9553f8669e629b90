"""What the Kubernetes layer stands on in an account: the foundation's leaves, unread, as its ground.

Two jobs run before the services: one makes databases and users and writes how to reach them into the account's vault,
the other gives tables of features what the feature server does not, again and again, since they come with each new
feature view.
"""

from __future__ import annotations

from typing import Any

import pulumi

from mlplat.contracts import ClusterFoundation
from mlplat.services import Http, Job, Ref, Resources, Service
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws.compute import STORAGE_CLASS, Compute
from mlplat.targets.aws.database import APPLICATIONS
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.tolerations import ON_SYSTEM_NODES
from mlplat.targets.kubernetes.foundation import secrets
from mlplat.targets.kubernetes.ground import BUCKETS, Cloud, Ground, Objects
from mlplat.targets.kubernetes.setup import Setup

JOB = Resources(cpu=0.05, memory_mib=128, memory_limit_mib=256)
HOURLY = "17 * * * *"
"""Away from the full hour, at which everybody asks AWS."""
ENDPOINTS = "endpoints"
"""First word of the name under which endpoints answer; the certificate of the domain is for all such names."""


def on_cluster(spec: PlatformSpec, site: Site) -> PlatformSpec:
    """Return a platform's spec as the layer reads it: what the account decides is said of the cluster too."""
    images = spec.kubernetes.images
    told = {
        "version": site.aws.cluster.version,
        "production": site.aws.environment != "dev",
        "storage_class": STORAGE_CLASS,
        "images": images.model_copy(update={"registry": images.registry or f"{site.registry}/{site.path()}"}),
    }
    return spec.model_copy(update={"kubernetes": spec.kubernetes.model_copy(update=told)})


def ground(spec: PlatformSpec, site: Site, on: ClusterFoundation, compute: Compute) -> Ground:
    """Return the ground: nothing is put on the cluster before its nodes can be had, or after they cannot."""
    name = endpoints(site)
    return Ground(
        provider=compute.kubernetes,
        production=spec.kubernetes.production,
        objects=Objects({each: on.buckets[each] for each in BUCKETS}, site.region),
        databases=secrets(None),
        storage_class=STORAGE_CLASS,
        placement=ON_SYSTEM_NODES,
        ready=compute.ready,
        cloud=Cloud(
            region=site.region,
            cluster=on.cluster,
            alerts=on.alerts,
            tags=site.tags("gateway"),
            applications={each: on.database["applications"][each] for each in APPLICATIONS},
            certificate=on.domain["certificate"] if name else None,
            hostname=name,
        ),
    )


def endpoints(site: Site) -> str | None:
    """Return the name under which endpoints answer; None while nobody would find it."""
    domain = site.aws.domain
    return f"{ENDPOINTS}.{domain.name}" if domain and domain.answers else None


def warn_unfound(site: Site) -> None:
    """Say that endpoints have no name and no TLS yet where the domain is not known above."""
    if site.aws.domain and not site.aws.domain.answers:
        pulumi.log.warn(
            f"nobody finds names in {site.aws.domain.name} yet, so endpoints answer under the load balancer's own name,"
            " without TLS: have the zone above name the servers among this stack's outputs, then set"
            " `aws.domain.delegated`"
        )


def setup(site: Site) -> list[Setup]:
    """Return the jobs."""
    return [_databases(), *([_tables(site)] if site.aws.online_store.kind == "dynamodb" else [])]


def references(on: ClusterFoundation, site: Site) -> dict[str, Any]:
    """Return what the references of the jobs and of the feature server mean."""
    return {
        "account:region": site.region,
        "account:master": on.database["master_secret"],
        "account:server": on.database["endpoint"],
        "account:tables": on.online_store["table_prefix"],
        "account:key": on.online_store["key"],
        **{f"account:{each}": on.database["applications"][each] for each in APPLICATIONS},
    }


def _databases() -> Setup:
    each = [word for name in APPLICATIONS for word in ("--application", (f"{name}=", Ref(f"account:{name}")))]
    make = Job(
        "make",
        resources=JOB,
        argv=(
            *("python", "-m", "mlplat.jobs.databases", "--region", Ref("account:region")),
            *("--master", Ref("account:master"), "--host", Ref("account:server"), *each),
        ),
    )
    return Setup(_only("databases", make))


def _tables(site: Site) -> Setup:
    recovery = () if site.aws.online_store.point_in_time_recovery else ("--no-recovery",)
    tags = [word for key, value in sorted(site.tags("online-store").items()) for word in ("--tag", f"{key}={value}")]
    mend = Job(
        "mend",
        resources=JOB,
        argv=(
            *("python", "-m", "mlplat.jobs.tables", "--region", Ref("account:region")),
            *("--prefix", Ref("account:tables"), "--key", Ref("account:key"), *recovery, *tags),
        ),
    )
    return Setup(_only("tables", mend), HOURLY)


def _only(name: str, job: Job) -> Service:
    return Service(
        name=name,
        image="controller",
        argv=(),
        ready=Http("/"),
        setup=(job,),
        reaches=("internet", "identity", *(("database",) if name == "databases" else ())),
    )
