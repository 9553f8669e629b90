"""Every version of somebody else's that a cluster gets: add-ons, charts, machine images, container images.

A line is changed after reading that part's release notes against `KUBERNETES`; tests hold that every part takes every
Kubernetes listed. The comments above the lines are for Renovate, which proposes the changes. What another version of a
part does to a platform that stands, and from where it is reached, is written in `upgrades/ways.py`.
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
    app: str = ""
    """Version of what it installs, where that is another than its own."""

    @property
    def oci(self) -> bool:
        """Tell whether it comes from a container registry."""
        return self.repository.startswith("oci://")


@dataclass(frozen=True)
class File:
    """A file at a tag, and what it holds there."""

    address: str
    sha256: str
    """Digest of its bytes, in hexadecimal: tags can be moved."""


@dataclass(frozen=True)
class Definitions:
    """Custom resource definitions that come as files, because their chart never brings them up to date.

    Helm makes what lies in a chart's `crds` folder once, and never changes it; and a release that holds all of Envoy
    Gateway's is larger than the secret of 1 MiB in which Helm keeps it. The engine applies files like any other object.
    A new version has new digests: `scripts/tools cluster` brings its files into `.tools/crds`, of which they are.
    """

    name: str
    version: str
    files: tuple[File, ...]
    """The files of a tag."""
    groups: tuple[str, ...]
    """API groups that they define."""
    kubernetes: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Addon:
    """An EKS add-on: AWS builds one for each version of Kubernetes."""

    name: str
    versions: Mapping[str, str]
    """Its version by that of Kubernetes."""

    def version(self, kubernetes: str) -> str:
        """Return the version for a Kubernetes."""
        return self.versions[kubernetes]


def _files(begins: str, digests: Mapping[str, str]) -> tuple[File, ...]:
    """Return files of a tag by what their names end with."""
    return tuple(File(f"{RAW}/{begins}_{name}.yaml", digest) for name, digest in digests.items())


RAW = "https://raw.githubusercontent.com"
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

# renovate: datasource=github-releases depName=kubernetes-sigs/gateway-api
GATEWAY_API_VERSION = "1.6.1"
_GATEWAY_API_FILES = {
    "backendtlspolicies": "0d48c9e4b53dd9510cf615b9b1192d9d7afb07a1cc0498c9515627cb1c075419",
    "gatewayclasses": "53710048ba26f8620eed59d5e51b157ecf040daf5c6eef31a4b991e0808c4be5",
    "gateways": "25b885f5870b8fff1ae82efa2628b2761cef3745900c2aecf8fb76629a01255a",
    "grpcroutes": "53a8d029da8f07e55d3fa58a5cf6de5950dab19fbb8d6a8082fb5e51ca5ef6fc",
    "httproutes": "a424a0d6c953b162e71d1d97bb7e75012d8f1ac264e7274f2763d1b96ab39852",
    "listenersets": "bf4d4b02564999b2558b96e31465129895db9b3a8adfb90adb9c80eac52a3a70",
    "referencegrants": "8c645e9333cfa67790cc2a53e0c00076f88b2bd4230d2b49688c78bc34f9b2c3",
    "tcproutes": "d5104d0cf30e924f5e3c9e2e76abd46876401c34ca33b9e79321523eee78c7f6",
    "tlsroutes": "bb8b67926e5d9652cbfd2e19063b7c1d9e78806c9dd671608f57baef2f2e3bbb",
    "udproutes": "4b80684c2bf8ef4b0a2a3ab45164ac9f96258fc69912645ff50ced595b0aa6de",
    "vap_safeupgrades": "afb0ea1b3cc2e9344d93b0926fbe741aeb48ab4439f9f7b4b77b9ac94faf6c2e",
}
GATEWAY_API = Definitions(
    "gateway-api",
    GATEWAY_API_VERSION,
    _files(
        f"kubernetes-sigs/gateway-api/v{GATEWAY_API_VERSION}/config/crd/standard/gateway.networking.k8s.io",
        _GATEWAY_API_FILES,
    ),
    ("gateway.networking.k8s.io",),
    BOTH,
    "What Envoy Gateway 1.9 is built on. A cluster has one owner of it: its policy refuses older and other ones.",
)
# renovate: datasource=docker depName=docker.io/envoyproxy/gateway-helm
ENVOY_GATEWAY_VERSION = "1.9.0"
_ENVOY_GATEWAY_FILES = {
    "backends": "bb1901aea758d05458b853b07db04a96a1ea4346b177e392e5ce7398573805be",
    "backendtrafficpolicies": "cd75a4c222df5487aa9ca8957b48bcc3255eb25de02ed9153faf620bc160f786",
    "clienttrafficpolicies": "2c7eaa1ce30de626e9c362b8d9002281c2f435f970020fa81902ad7f30b38d5b",
    "envoyextensionpolicies": "92f4dfdd67be4b242511381d6175f517782e655233fdf5b5e28a400ea5601f79",
    "envoypatchpolicies": "8e9110c32b414ea5c43a85e272dc2dee8917ed0bfa36a9a2b72fde1f3fba6083",
    "envoyproxies": "3e9ea2f348445e3798b02daf02bf024b0d944227cf5ef8a18da7f675a1afd223",
    "httproutefilters": "ad46193dbec0a28cc97fa93a64bcd1f464858544d884eeac5e4d767526dcfd3d",
    "securitypolicies": "6412914ec5b7c48f58b85f60a80767ba15a50c8d374480cf5f2d872e4a764466",
}
ENVOY_GATEWAY_DEFINITIONS = Definitions(
    "envoy-gateway-definitions",
    ENVOY_GATEWAY_VERSION,
    _files(
        f"envoyproxy/gateway/v{ENVOY_GATEWAY_VERSION}/charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io",
        _ENVOY_GATEWAY_FILES,
    ),
    ("gateway.envoyproxy.io",),
    BOTH,
    "Of the chart's own version: an older one loses fields without a word.",
)
ENVOY_GATEWAY = Chart(
    "gateway-helm",
    ENVOY_GATEWAY_VERSION,
    "oci://docker.io/envoyproxy/gateway-helm",
    ("1.33", "1.34", *BOTH),
    "The newest minor, supported until 2027-02; names of its metrics and clusters were read in its source.",
)
EXTERNAL_SECRETS = Chart(
    "external-secrets",
    # renovate: datasource=helm depName=external-secrets registryUrl=https://charts.external-secrets.io
    "2.8.0",
    "https://charts.external-secrets.io",
    BOTH,
    "2.9 is tested on 1.36 alone. Only the newest minor gets fixes: to be looked at every month.",
)
KEDA = Chart(
    "keda",
    # renovate: datasource=helm depName=keda registryUrl=https://kedacore.github.io/charts
    "2.20.2",
    "https://kedacore.github.io/charts",
    BOTH,
    "The newest patch of the minor whose definitions are checked here.",
)
ARGO_WORKFLOWS = Chart(
    "argo-workflows",
    # renovate: datasource=helm depName=argo-workflows registryUrl=https://argoproj.github.io/argo-helm
    "1.0.18",
    "https://argoproj.github.io/argo-helm",
    BOTH,
    "Argo 4.0: 4.1.0 and 4.1.1 break single sign-on.",
    # renovate: datasource=docker depName=quay.io/argoproj/workflow-controller
    app="4.0.10",
)
KUEUE = Chart(
    "kueue",
    # renovate: datasource=docker depName=registry.k8s.io/kueue/charts/kueue
    "0.19.2",
    "oci://registry.k8s.io/kueue/charts/kueue",
    BOTH,
    "Stores `v1beta2`, in which queues are written here.",
)
# renovate: datasource=docker depName=registry.k8s.io/jobset/charts/jobset
JOBSET_VERSION = "0.12.0"
_JOBSET_FILES = {
    "jobsets": "d022b87624512cf0b6741b31b24a2bea9945b5a838b50713af29332c878bb6fe",
}
JOBSET_DEFINITIONS = Definitions(
    "jobset-definitions",
    JOBSET_VERSION,
    _files(f"kubernetes-sigs/jobset/v{JOBSET_VERSION}/config/components/crd/bases/jobset.x-k8s.io", _JOBSET_FILES),
    ("jobset.x-k8s.io",),
    BOTH,
    "Of the chart's own version.",
)
JOBSET = Chart(
    "jobset",
    JOBSET_VERSION,
    "oci://registry.k8s.io/jobset/charts/jobset",
    BOTH,
    "The version that Kueue 0.19 is tested with: several nodes of one step are one job.",
)
MONITORING_DEFINITIONS = Chart(
    "prometheus-operator-crds",
    # renovate: datasource=helm depName=prometheus-operator-crds registryUrl=https://prometheus-community.github.io/helm-charts
    "31.0.1",
    "https://prometheus-community.github.io/helm-charts",
    BOTH,
    "Definitions of the operator 0.93.1: monitors of other charts need them before there is a Prometheus.",
    app="0.93.1",
)
MONITORING = Chart(
    "kube-prometheus-stack",
    # renovate: datasource=helm depName=kube-prometheus-stack registryUrl=https://prometheus-community.github.io/helm-charts
    "88.5.3",
    "https://prometheus-community.github.io/helm-charts",
    BOTH,
    "Has the operator of the definitions above.",
    app="0.93.1",
)
COST = Chart(
    "opencost",
    # renovate: datasource=helm depName=opencost registryUrl=https://opencost.github.io/opencost-helm-chart
    "2.5.17",
    "https://opencost.github.io/opencost-helm-chart",
    BOTH,
    "Cost by label, from the metrics that are there.",
    app="1.120.1",
)

CHARTS = (
    *(KARPENTER_CRDS, KARPENTER, LOAD_BALANCERS, DEVICE_PLUGIN, GPU_METRICS, EFA_PLUGIN),
    *(ENVOY_GATEWAY, EXTERNAL_SECRETS, KEDA, ARGO_WORKFLOWS, KUEUE, JOBSET, MONITORING_DEFINITIONS, MONITORING, COST),
)
DEFINITIONS = (GATEWAY_API, ENVOY_GATEWAY_DEFINITIONS, JOBSET_DEFINITIONS)

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
