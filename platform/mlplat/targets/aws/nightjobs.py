"""How pools go to sleep and wake: two CronJobs in the cluster, which may do nothing else.

A pool that grows is closed by a limit that no pod fits into. It is a key of its own in the pool's limits (`pods`), of
which the program says nothing: so an `up` at night neither opens the pool nor quarrels about who owns the field. A
static pool takes no such limit: its number is set to none. Then the nodes are taken away, and waited for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as kubernetes

from mlplat import versions
from mlplat.spec.aws.cluster import NightsSpec
from mlplat.spec.capacity import PoolSpec
from mlplat.targets.aws import pools as values
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.dependencies import given
from mlplat.targets.aws.nights import DRAIN_MINUTES, moments
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.tolerations import ON_SYSTEM_NODES

NAMESPACE, NAME = "kube-system", "mlplat-nights"
GATE = "pods"
SECURE: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
NOBODY = 65532

State = Literal["evening", "morning"]

DEADLINES: Mapping[State, int] = {"evening": DRAIN_MINUTES, "morning": 60}
"""Minutes after which a job is given up."""


def commands(pools: Mapping[str, PoolSpec], state: State) -> list[list[str]]:
    """Return the arguments of `kubectl`, in order: each is a step of its own, since the image has no shell."""
    made = [_patch(each, state) for name, pool in pools.items() for each in values.node_pools(name, pool)]
    if state == "evening":
        # Waits until Karpenter has drained and ended every node: the system nodes, and Karpenter with them, leave next.
        made.append(["delete", "nodeclaims.karpenter.sh", "--all", "--wait", f"--timeout={DRAIN_MINUTES - 5}m"])
    return made


def rules() -> list[dict[str, Any]]:
    """Return all that the jobs may do in the cluster."""
    return [
        {"apiGroups": ["karpenter.sh"], "resources": ["nodepools"], "verbs": ["get", "patch"]},
        {"apiGroups": ["karpenter.sh"], "resources": ["nodeclaims"], "verbs": ["get", "list", "watch", "delete"]},
    ]


def job(pools: Mapping[str, PoolSpec], nights: NightsSpec, state: State) -> dict[str, Any]:
    """Return the spec of a state's CronJob."""
    when = moments(nights)["pools_close" if state == "evening" else "pools_open"]
    *first, last = [_container(number, each) for number, each in enumerate(commands(pools, state), start=1)]
    pod = {
        "serviceAccountName": NAME,
        "restartPolicy": "OnFailure",
        **ON_SYSTEM_NODES,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": first,
        "containers": [last],
    }
    return {
        "schedule": when.cron(),
        "timeZone": nights.time_zone,
        "concurrencyPolicy": "Replace",
        # In the morning there is no node at first: the pod waits for one. A whole night late it would be wrong.
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "spec": {
                # An evening that is not over when the nodes leave is over then: its pod would wait for the first node
                # of the morning, and close the pools behind it.
                "activeDeadlineSeconds": DEADLINES[state] * 60,
                "backoffLimit": 6,
                "ttlSecondsAfterFinished": 86_400,
                "template": {"spec": pod},
            },
        },
    }


class NightJobs(Component):
    """The two jobs, their account and their rights."""

    def __init__(
        self,
        name: str,
        nights: NightsSpec,
        *,
        site: Site,
        pools: Mapping[str, PoolSpec],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("NightJobs", name, site, opts)
        self._after = given(opts)
        if pools:
            rights = self._rights()
            for state in ("evening", "morning"):
                kubernetes.batch.v1.CronJob(
                    state,
                    metadata={"name": f"{NAME}-{state}", "namespace": NAMESPACE},
                    spec=job(pools, nights, state),
                    opts=self.child(depends_on=[*self._after, *rights]),
                )
        self.register_outputs({})

    def _rights(self) -> Sequence[pulumi.Resource]:
        opts = self.child(depends_on=self._after)
        named = {"name": NAME}
        account = kubernetes.core.v1.ServiceAccount("nights", metadata={**named, "namespace": NAMESPACE}, opts=opts)
        role = kubernetes.rbac.v1.ClusterRole("nights", metadata=named, rules=rules(), opts=opts)
        binding = kubernetes.rbac.v1.ClusterRoleBinding(
            "nights",
            metadata=named,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
            opts=self.child(depends_on=[account, role]),
        )
        return [account, role, binding]


def _patch(pool: Mapping[str, Any], state: State) -> list[str]:
    if "replicas" in pool["spec"]:
        change: dict[str, Any] = {"replicas": 0 if state == "evening" else pool["spec"]["replicas"]}
    else:
        change = {"limits": {GATE: "0" if state == "evening" else None}}
    patch = json.dumps({"spec": change}, sort_keys=True)
    return ["patch", "nodepools.karpenter.sh", pool["metadata"]["name"], "--type=merge", f"--patch={patch}"]


def _container(number: int, arguments: list[str]) -> dict[str, Any]:
    return {
        "name": f"step-{number}",
        "image": versions.KUBECTL,
        "command": ["kubectl"],
        # Its cache would want a folder to write in, and there is none.
        "args": [*arguments, "--cache-dir=/dev/null"],
        "securityContext": {**SECURE},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }
