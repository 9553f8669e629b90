"""The real Envoy Gateway on a test's node: its controller built of its Go module, its proxy from the wheel.

What its chart does is done by documents here, as far as these tests need it. The class, the Gateway and its settings
are the platform's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubeapi
import kubeimage
import kubenode
from mlplat import environment
from mlplat.manifests.names import PROXIES

CONTROLLER = "registry.local/gateway:1"
PROXY = "registry.local/envoy:1"
DEFAULT_PROXY = "docker.io/envoyproxy/envoy:distroless-v1.39.0"
"""What Envoy Gateway 1.9 starts where nobody says otherwise."""
RUNTIME = "gateway.envoyproxy.io/v1alpha1"
NAME = "envoy-gateway"
LOCAL = {"imagePullPolicy": "Never"}


def missing() -> str | None:
    """Return the line that says why there can be no gateway here, or None."""
    return kubenode.missing() or (None if (kubeapi.TOOLS / NAME).is_file() else f"no {NAME} here: `scripts/tools node`")


def images(folder: Path) -> list[Path]:
    """Write the images of controller and proxy below a folder; return their archives."""
    # The proxy's pod waits for it with a shell.
    shell = kubeimage.with_libraries(Path("/bin/sh"))
    controller = {**shell, f"/bin/{NAME}": kubeapi.TOOLS / NAME}
    envoy = next(environment.service("gateway", progress=lambda _: None).parents[1].rglob("_bin/envoy"))
    proxy = {**shell, **kubeimage.with_libraries(envoy), "/usr/local/bin/envoy": envoy}
    return [
        kubeimage.write(folder / "gateway.tar", CONTROLLER, controller, [f"/bin/{NAME}"]),
        kubeimage.write(folder / "envoy.tar", PROXY, proxy, ["/usr/local/bin/envoy"]),
    ]


def documents() -> list[dict[str, Any]]:
    """Return what its chart would put there: the controller, its rights, its proxies' certificates."""
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": PROXIES}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROXIES}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(NAME)},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [account],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _meta(f"{NAME}-config"),
            "data": {f"{NAME}.yaml": json.dumps(_settings())},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta(NAME),
            "spec": {
                "selector": {"app": NAME},
                "ports": [
                    {"name": "grpc", "port": 18000},
                    {"name": "ratelimit", "port": 18001},
                    {"name": "wasm", "port": 18002},
                ],
            },
        },
        _job(),
        _deployment(),
    ]


def _meta(name: str) -> dict[str, str]:
    return {"name": name, "namespace": PROXIES}


def _settings() -> dict[str, Any]:
    ours = {"container": {"image": CONTROLLER}}
    return {
        "apiVersion": RUNTIME,
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {"shutdownManager": {"image": CONTROLLER}, "rateLimitDeployment": ours},
        },
    }


def _job() -> dict[str, Any]:
    container = {"name": "certgen", "image": CONTROLLER, **LOCAL, "args": ["certgen"], "env": _where()}
    pod = {"serviceAccountName": NAME, "restartPolicy": "OnFailure", "containers": [container]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _meta("certgen"), "spec": {"template": {"spec": pod}}}


def _deployment() -> dict[str, Any]:
    container = {
        "name": NAME,
        "image": CONTROLLER,
        **LOCAL,
        "args": ["server", f"--config-path=/config/{NAME}.yaml"],
        "env": _where(),
        "ports": [{"containerPort": 18000}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8081}},
        "volumeMounts": [{"name": "config", "mountPath": "/config"}, {"name": "certs", "mountPath": "/certs"}],
    }
    volumes = [
        {"name": "config", "configMap": {"name": f"{NAME}-config"}},
        {"name": "certs", "secret": {"secretName": NAME}},
    ]
    pod = {"serviceAccountName": NAME, "containers": [container], "volumes": volumes}
    template = {"metadata": {"labels": {"app": NAME}}, "spec": pod}
    spec = {"selector": {"matchLabels": {"app": NAME}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _meta(NAME), "spec": spec}


def _where() -> list[dict[str, str]]:
    return [
        {"name": "ENVOY_GATEWAY_NAMESPACE", "value": PROXIES},
        {"name": "KUBERNETES_CLUSTER_DOMAIN", "value": "cluster.local"},
    ]
