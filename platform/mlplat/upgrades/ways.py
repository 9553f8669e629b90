"""For each part: what another version of it does, which steps its makers support, and whether there is a way back.

A bump of a pin in `versions.py` comes with reading that version's notes on upgrades here: tests hold `read` against the
pins. A limit is there only where its makers state one, or where its data could not be read afterwards; the source
stands above it. Nothing is refused because it is merely large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mlplat.upgrades import parts

Kind = Literal["migrates", "replaces", "restarts", "in place"]
KINDS: tuple[Kind, ...] = ("migrates", "replaces", "restarts", "in place")
"""From the gravest: data takes another form; machines are replaced; pods are; objects change under what runs."""


class Limit(NamedTuple):
    """Why a step is refused, and what to do instead; `{was}` and `{now}` stand for the versions."""

    why: str
    instead: str


class Oldest(NamedTuple):
    """The oldest version from which newer ones are reached directly."""

    version: str
    why: str
    instead: str


class Stride(NamedTuple):
    """The largest step: to the next `minor` version upwards, or none to another `major` one."""

    by: Literal["minor", "major"]
    why: str
    instead: str


@dataclass(frozen=True)
class Way:
    """What another version of a part does, and from where it is reached."""

    kind: Kind
    why: str
    read: str = ""
    """Minor version up to whose notes this was read; empty where it is not the version of a chart."""
    oldest: Oldest | None = None
    stride: Stride | None = None
    back: Limit | None = None
    """Against an older version: any where it migrates, otherwise one of an older minor version."""


STAY = "use the mlplat that brings {part} {was}, or a newer one"
RESTORE = f"{STAY}; to go back, restore the copies of its database from before into a platform of that version"
_THROUGH = "bring it to {oldest} first, with the mlplat that has that or by hand, as its makers describe"


def _from(version: str, why: str) -> Oldest:
    return Oldest(version, why, _THROUGH.replace("{oldest}", version))


# https://karpenter.sh/docs/upgrading/v1-migration/: 1.1 stops serving v1beta1 and has no conversion.
_KARPENTER_1 = _from("1.0", "1.0 is the only version that converts older node pools")
_ONE_BY_ONE = "one pod after another; "

WAYS: Mapping[str, Way] = {
    parts.MLPLAT: Way(
        "in place",
        "endpoints stay as they are; the next revision of each runs the new model server",
        back=Limit("an older mlplat would take away or break what a newer one has made", "use mlplat {was} or newer"),
    ),
    parts.KUBERNETES: Way("in place", "who keeps the cluster upgrades it; it is what all parts are chosen for"),
    # https://docs.aws.amazon.com/eks/latest/userguide/update-cluster.html: no way back. One minor version at a time:
    # https://docs.aws.amazon.com/eks/latest/eksctl/cluster-upgrade.html, and Kubernetes' own version skew policy.
    parts.EKS: Way(
        "replaces",
        "the control plane first, then every node, those of the platform and those of pools, a few at a time",
        stride=Stride(
            "minor",
            "a control plane is upgraded by one minor version at a time",
            "write the minor version after {was} in `aws.cluster.version`, run `mlplat up`, and go on from there;"
            " an older mlplat may be needed on the way",
        ),
        back=Limit("EKS takes no control plane back", "write {was} in `aws.cluster.version`"),
    ),
    parts.MACHINE_IMAGE: Way(
        "replaces", "Karpenter replaces the nodes of pools as their budgets let it; training is waited for"
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.html
    parts.RDS: Way(
        "migrates",
        "in the next maintenance window, in which nothing reaches the database; the way back is a snapshot",
        back=Limit(
            "RDS takes no database back to an older version",
            "write {was} in `aws.database.version`; a snapshot from before makes a new one by `aws.database.snapshot`",
        ),
    ),
    # https://mlflow.org/docs/latest/self-hosting/migration: migrations are not sure to be transactional, so a copy
    # comes first. A server refuses a schema that is not its own (`mlflow.store.db.utils._verify_schema`).
    "tracking": Way(
        "migrates",
        "a job brings MLflow's database to the new schema before any pod starts, and there is no way back:"
        " make a copy of it first",
        back=Limit("its database was migrated, and an older MLflow does not start on it", RESTORE),
    ),
    "metadata": Way(
        "migrates",
        "a job brings its database to the new schema before any pod starts, and there is no way back",
        back=Limit(
            "its database was migrated, and an older one does not know its form",
            "write the image of {was} in `kubernetes.metadata_service`, or of a newer version",
        ),
    ),
    "features": Way("restarts", f"{_ONE_BY_ONE}tables that its registry lacks are made before"),
    "online": Way("restarts", f"{_ONE_BY_ONE}features are looked up throughout"),
    "controller": Way("restarts", "its one pod; endpoints answer on, and rollouts wait until it is back"),
    # https://www.postgresql.org/docs/current/upgrading.html: another major version does not read the files.
    "database": Way(
        "restarts",
        "its one pod; whatever keeps its data in it waits",
        stride=Stride(
            "major",
            "PostgreSQL does not start on the files of another major version, and nobody turns them here",
            f"{STAY}; or write its databases out with `pg_dump`, name a PostgreSQL of your own in"
            " `kubernetes.databases`, and read them in there",
        ),
    ),
    "objects": Way("restarts", "its one pod; artifacts are neither read nor written meanwhile"),
    "karpenter-crd": Way("in place", "definitions, before Karpenter itself", "1.14", _KARPENTER_1),
    "karpenter": Way("restarts", f"{_ONE_BY_ONE}nodes stay", "1.14", _KARPENTER_1),
    # https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/4555
    "aws-load-balancer-controller": Way(
        "restarts",
        f"{_ONE_BY_ONE}load balancers go on; Helm leaves its definitions as they were: apply the new ones by hand",
        "3.5",
    ),
    "nvidia-device-plugin": Way("restarts", "on every node with GPUs; who has one keeps it", "0.20"),
    "dcgm-exporter": Way("restarts", "on every node with GPUs; their figures have a gap", "4.8"),
    "aws-efa-k8s-device-plugin": Way("restarts", "on every node with EFA; who has a card keeps it", "0.5"),
    # The bundle's own admission policy, `safe-upgrades`: config/crd in kubernetes-sigs/gateway-api.
    parts.GATEWAY_API: Way(
        "in place",
        "definitions, before all that uses them; routes stay",
        "1.6",
        back=Limit("the cluster's own policy refuses older definitions", STAY),
    ),
    # https://github.com/envoyproxy/gateway/pull/9915: each release runs the one Envoy that it was built with.
    "gateway-helm": Way(
        "restarts",
        "its definitions, then its own pods, then the proxies, a few at a time: each version brings its Envoy",
        "1.9",
        back=Limit("older definitions would lose what routes and policies say, without a word", STAY),
    ),
    # https://github.com/external-secrets/external-secrets/issues/6442, and the notes of 0.17.0.
    "external-secrets": Way(
        "restarts",
        f"{_ONE_BY_ONE}secrets stay; its makers advise one minor version at a time",
        "2.8",
        _from("0.17", "0.17 no longer reads secrets that were stored as `v1beta1`"),
    ),
    # https://keda.sh/docs/latest/migration/
    "keda": Way(
        "restarts",
        f"{_ONE_BY_ONE}model servers keep their number meanwhile",
        "2.20",
        _from("2.0", "KEDA 1 has to be removed, with its definitions, before there is a newer one"),
    ),
    # https://argo-workflows.readthedocs.io/en/latest/upgrading/: chart 1.0 brings Argo 4.
    "argo-workflows": Way(
        "restarts",
        f"{_ONE_BY_ONE}pipelines that run go on when it is back",
        "1.0",
        _from("1.0", "Argo 4 ignores `schedule` and `mutex`, and what has them would never run again"),
    ),
    # https://github.com/kubernetes-sigs/kueue/pull/8020: 0.16 stores v1beta2, and its script turns older objects.
    "kueue": Way(
        "restarts",
        f"{_ONE_BY_ONE}jobs that run go on, and new ones are admitted when it is back",
        "0.19",
        _from("0.16", "objects that were stored as `v1beta1` are turned by the script of 0.16"),
    ),
    "jobset": Way("restarts", f"its definitions, then {_ONE_BY_ONE}jobs that run go on", "0.12"),
    "prometheus-operator-crds": Way("in place", "definitions, before all charts that use them", "31.0"),
    "kube-prometheus-stack": Way("restarts", "while Prometheus reads its log again no alert fires", "88.5"),
    "opencost": Way("restarts", "its one pod; costs come from metrics, which stay", "2.5"),
    "vpc-cni": Way("restarts", "on every node in turn; pods keep their addresses"),
    "eks-pod-identity-agent": Way("restarts", "on every node in turn; credentials that pods have stay good"),
    "kube-proxy": Way("restarts", "on every node in turn; connections stay"),
    "coredns": Way("restarts", f"{_ONE_BY_ONE}names are answered throughout"),
    "aws-ebs-csi-driver": Way("restarts", "on every node in turn; volumes stay where they are"),
    "metrics-server": Way("restarts", f"{_ONE_BY_ONE}scaling by processor waits"),
    "eks-node-monitoring-agent": Way("restarts", "on every node in turn; nodes that fail are told later"),
}
SERVING = Way("in place", "the next revision of each endpoint runs it; those that run stay")
IMAGE = Way("restarts", "another image of the same version")


def way(part: str) -> Way:
    """Return what another version of a part does. Raises `KeyError` for one that nobody thought of."""
    if part.startswith(parts.IMAGE):
        return SERVING if part == f"{parts.IMAGE}serving" else IMAGE
    return WAYS[part]
