"""Every version of somebody else's that a cluster gets: add-ons, charts, machine images, container images.

A line is changed after reading that part's release notes against `KUBERNETES`; tests hold that every part takes every
Kubernetes listed. The comments above the lines are for Renovate, which proposes the changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KUBERNETES = ("1.35", "1.36")
"""Versions of Kubernetes for which all of this is known to work together."""

MACHINE_IMAGE = "al2023@v20260714"
"""Karpenter's name of the image of its nodes; it takes the one with NVIDIA's driver for types with GPUs by itself.
`@latest` would replace the whole fleet on the day that AWS publishes one."""


@dataclass(frozen=True)
class Chart:
    """A Helm chart."""

    name: str
    version: str
    repository: str
    """Address of its repository; one that begins with `oci://` ends with the chart's own name."""
    kubernetes: tuple[str, ...]
    """Versions of Kubernetes for which its makers, or facts of their code, say that it works."""
    reason: str
    """Why this version and no other."""

    @property
    def oci(self) -> bool:
        """Tell whether it comes from a container registry."""
        return self.repository.startswith("oci://")


@dataclass(frozen=True)
class Addon:
    """An EKS add-on: AWS builds one for each version of Kubernetes."""

    name: str
    versions: Mapping[str, str]
    """Its version by that of Kubernetes."""

    def version(self, kubernetes: str) -> str:
        """Return the version for a Kubernetes."""
        return self.versions[kubernetes]


BOTH = KUBERNETES
EKS_CHARTS = "https://aws.github.io/eks-charts"

# renovate: datasource=docker depName=public.ecr.aws/karpenter/karpenter
KARPENTER_VERSION = "1.14.1"
KARPENTER_CRDS = Chart(
    "karpenter-crd",
    KARPENTER_VERSION,
    "oci://public.ecr.aws/karpenter/karpenter-crd",
    BOTH,
    "A release of its own: Helm never upgrades definitions that lie in a chart's `crds` folder.",
)
KARPENTER = Chart(
    "karpenter",
    KARPENTER_VERSION,
    "oci://public.ecr.aws/karpenter/karpenter",
    BOTH,
    "1.35 needs 1.9 or newer and 1.36 needs 1.13; 1.14 has the policy `Balanced`.",
)
LOAD_BALANCERS = Chart(
    "aws-load-balancer-controller",
    # renovate: datasource=helm depName=aws-load-balancer-controller registryUrl=https://aws.github.io/eks-charts
    "3.5.0",
    EKS_CHARTS,
    BOTH,
    "Below 3.4.3 it has GHSA-8hm3-878p-6823.",
)
DEVICE_PLUGIN = Chart(
    "nvidia-device-plugin",
    # renovate: datasource=helm depName=nvidia-device-plugin registryUrl=https://nvidia.github.io/k8s-device-plugin
    "0.20.0",
    "https://nvidia.github.io/k8s-device-plugin",
    BOTH,
    "The machine image has driver and toolkit, and no plugin.",
)
GPU_METRICS = Chart(
    "dcgm-exporter",
    # renovate: datasource=helm depName=dcgm-exporter registryUrl=https://nvidia.github.io/dcgm-exporter/helm-charts
    "4.8.2",
    "https://nvidia.github.io/dcgm-exporter/helm-charts",
    BOTH,
    "Power draw and activity of each GPU, by which use is judged and billed.",
)
EFA_PLUGIN = Chart(
    "aws-efa-k8s-device-plugin",
    # renovate: datasource=helm depName=aws-efa-k8s-device-plugin registryUrl=https://aws.github.io/eks-charts
    "v0.5.30",
    EKS_CHARTS,
    BOTH,
    "The network of several-node training; only where a pool has it.",
)
CHARTS = (KARPENTER_CRDS, KARPENTER, LOAD_BALANCERS, DEVICE_PLUGIN, GPU_METRICS, EFA_PLUGIN)

# AWS publishes no list that Renovate could read: `aws eks describe-addon-versions --kubernetes-version 1.35`.
VPC_CNI = Addon("vpc-cni", {"1.35": "v1.22.4-eksbuild.3", "1.36": "v1.22.4-eksbuild.3"})
POD_IDENTITY = Addon("eks-pod-identity-agent", {"1.35": "v1.3.10-eksbuild.3", "1.36": "v1.3.10-eksbuild.3"})
KUBE_PROXY = Addon("kube-proxy", {"1.35": "v1.35.3-eksbuild.29", "1.36": "v1.36.0-eksbuild.25"})
COREDNS = Addon("coredns", {"1.35": "v1.13.2-eksbuild.31", "1.36": "v1.14.3-eksbuild.23"})
EBS_CSI = Addon("aws-ebs-csi-driver", {"1.35": "v1.63.1-eksbuild.1", "1.36": "v1.63.1-eksbuild.1"})
METRICS_SERVER = Addon("metrics-server", {"1.35": "v0.9.0-eksbuild.5", "1.36": "v0.9.0-eksbuild.9"})
NODE_MONITORING = Addon("eks-node-monitoring-agent", {"1.35": "v1.7.0-eksbuild.1", "1.36": "v1.7.0-eksbuild.1"})
ADDONS = (VPC_CNI, POD_IDENTITY, KUBE_PROXY, COREDNS, EBS_CSI, METRICS_SERVER, NODE_MONITORING)

# renovate: datasource=docker depName=registry.k8s.io/kubectl
KUBECTL = "registry.k8s.io/kubectl:v1.35.4"
"""The command line alone, without a shell; one minor away from either Kubernetes, as it may be."""
