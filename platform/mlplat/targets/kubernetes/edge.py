"""The one address under which endpoints answer: Gateway API's objects, and Envoy Gateway's own beside them.

Routes are the controller's. What is said here holds for all of them: who may attach one, how it is entered, how long a
client may take, and that a route for which nobody said who may call it is closed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlplat.manifests import names
from mlplat.manifests.route import API, ENVOY, LISTENER
from mlplat.services.gateway import BUCKETS_MS
from mlplat.spec.kubernetes import ExposureSpec
from mlplat.targets.kubernetes import callers, people, writers
from mlplat.targets.kubernetes.ground import Cloud, Ground

CONTROLLER = f"{ENVOY}/gatewayclass-controller"
SERVICES = {"load-balancer": "LoadBalancer", "node-port": "NodePort", "cluster-ip": "ClusterIP"}
BALANCER = "service.beta.kubernetes.io/aws-load-balancer"
BALANCER_CLASS = "service.k8s.aws/nlb"
CPU, MEMORY, MEMORY_LIMIT = "100m", "512Mi", "1Gi"
"""What a proxy is given: Envoy Gateway's own request, and a limit above which one proxy ends and not the node."""
DRAIN_SECONDS = 60
"""Longest time for which a proxy that is to end finishes requests; a load balancer needs some of it to notice."""
RECEIVED_SECONDS = 60
LOGGED: Mapping[str, str] = {
    "time": "%START_TIME%",
    # Who it was, as the gateway knows it: empty in front of an answer 401.
    "caller": f"%REQ({callers.HEADER.upper()})%",
    "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "authority": "%REQ(:AUTHORITY)%",
    # As what answers has it, and without its query, in which some clients write what is nobody's business.
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "milliseconds": "%DURATION%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "upstream": "%UPSTREAM_HOST%",
    "id": "%REQ(X-REQUEST-ID)%",
}
"""What a proxy writes of each request, as JSON on a line: Envoy's own names of these values."""

Documents = list[dict[str, Any]]


def port(exposure: ExposureSpec, cloud: Cloud | None) -> int:
    """Return the port under which endpoints answer."""
    return 443 if exposure.tls_secret or (cloud and cloud.certificate is not None) else 80


def hostname(exposure: ExposureSpec, cloud: Cloud | None) -> str | None:
    """Return the name under which endpoints answer: the written one, or that of the account's domain."""
    return exposure.hostname or (cloud.hostname if cloud else None)


def kind() -> Documents:
    """Return the class of our gateways, which Envoy Gateway takes as its own."""
    metadata = {"name": names.GATEWAY, "labels": {names.PART_OF: "mlplat"}}
    return [{**_of(API, "v1", "GatewayClass"), "metadata": metadata, "spec": {"controllerName": CONTROLLER}}]


def gateway(exposure: ExposureSpec, ground: Ground) -> Documents:
    """Return the gateway and how its proxies run; proxies first: it is refused without them."""
    return [_proxies(exposure, ground), _gateway(exposure, ground.cloud)]


def policies(exposure: ExposureSpec) -> Documents:
    """Return what holds for every connection and every route."""
    closed = [] if exposure.authentication == "none" else [_closed()]
    return [_clients(exposure), *closed]


def team_policy(team: str, exposure: ExposureSpec) -> Documents:
    """Return who may call a team's endpoints; a policy of a route takes the place of the gateway's."""
    admitted = callers.admitted(
        exposure, secret=callers.ENDPOINT_KEYS, header=callers.ENDPOINT_KEY_HEADER, teams=[team]
    )
    if admitted is None:
        return []
    return [
        {
            **_of(ENVOY, "v1alpha1", "SecurityPolicy"),
            "metadata": _named("callers", team),
            # Every route of the namespace: one that is made by hand is no way around it.
            "spec": {"targetSelectors": [{"group": API, "kind": "HTTPRoute"}], **admitted},
        }
    ]


def _proxies(exposure: ExposureSpec, ground: Ground) -> dict[str, Any]:
    return {
        **_of(ENVOY, "v1alpha1", "EnvoyProxy"),
        "metadata": _named(names.GATEWAY, names.NAMESPACE),
        "spec": {
            "provider": {
                "type": "Kubernetes",
                "kubernetes": {
                    "envoyDeployment": _deployment(exposure, ground),
                    **({"envoyPDB": {"maxUnavailable": 1}} if exposure.replicas > 1 else {}),
                    "envoyService": _service(exposure, ground.cloud),
                },
            },
            "bootstrap": {"type": "Merge", "value": bootstrap()},
            "shutdown": {"drainTimeout": f"{DRAIN_SECONDS}s"},
            "telemetry": {"metrics": {"prometheus": {}}, "accessLog": {"settings": [_log()]}},
        },
    }


def _log() -> dict[str, Any]:
    sink = {"type": "File", "file": {"path": "/dev/stdout"}}
    return {"format": {"type": "JSON", "json": dict(LOGGED)}, "sinks": [sink]}


def bootstrap() -> str:
    """Return what is merged into Envoy's own start-up file: the histogram that rollouts are judged by."""
    value = {
        # Histograms are otherwise up to five seconds old when a rollout is judged by them.
        "stats_flush_on_admin": True,
        "stats_config": {"histogram_bucket_settings": [{"match": {"prefix": "cluster."}, "buckets": list(BUCKETS_MS)}]},
    }
    return json.dumps(value, sort_keys=True)


def _deployment(exposure: ExposureSpec, ground: Ground) -> dict[str, Any]:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        # With one node left, two proxies on it are better than one that waits.
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {f"{ENVOY}/owning-gateway-name": names.GATEWAY}},
    }
    return {
        "replicas": exposure.replicas,
        "container": {"resources": {"requests": {"cpu": CPU, "memory": MEMORY}, "limits": {"memory": MEMORY_LIMIT}}},
        "pod": {**ground.placement, "topologySpreadConstraints": [spread]},
    }


def _service(exposure: ExposureSpec, cloud: Cloud | None) -> dict[str, Any]:
    made: dict[str, Any] = {"type": SERVICES[exposure.service]}
    if exposure.service != "cluster-ip":
        # Clients' own addresses, and no second way through the cluster.
        made["externalTrafficPolicy"] = "Local"
    if exposure.service == "load-balancer" and cloud:
        # By its class, and not by an annotation: the controller's webhook for Services is off, because it refuses
        # every Service of the cluster while the controller is down.
        made["loadBalancerClass"] = BALANCER_CLASS
        made["annotations"] = _balancer(exposure, cloud)
    return made


def _balancer(exposure: ExposureSpec, cloud: Cloud) -> Mapping[str, Any]:
    tls = {
        # The load balancer ends TLS with the account's certificate, and speaks plainly to the proxies, in the network.
        f"{BALANCER}-ssl-cert": cloud.certificate,
        f"{BALANCER}-ssl-ports": str(port(exposure, cloud)),
        f"{BALANCER}-ssl-negotiation-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
    }
    return {
        f"{BALANCER}-nlb-target-type": "ip",
        f"{BALANCER}-scheme": "internal" if exposure.internal else "internet-facing",
        f"{BALANCER}-attributes": "load_balancing.cross_zone.enabled=true",
        f"{BALANCER}-additional-resource-tags": ",".join(f"{key}={value}" for key, value in sorted(cloud.tags.items())),
        **(tls if cloud.certificate is not None and not exposure.tls_secret else {}),
    }


def _gateway(exposure: ExposureSpec, cloud: Cloud | None) -> dict[str, Any]:
    named = hostname(exposure, cloud)
    secret = exposure.tls_secret
    listener = {
        "name": LISTENER,
        "port": port(exposure, cloud),
        "protocol": "HTTPS" if secret else "HTTP",
        **({"hostname": named} if named else {}),
        **({"tls": {"mode": "Terminate", "certificateRefs": [{"name": secret}]}} if secret else {}),
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {names.ROUTES: "true"}}}},
    }
    return {
        **_of(API, "v1", "Gateway"),
        "metadata": _named(names.GATEWAY, names.NAMESPACE),
        "spec": {
            "gatewayClassName": names.GATEWAY,
            "infrastructure": {"parametersRef": {"group": ENVOY, "kind": "EnvoyProxy", "name": names.GATEWAY}},
            "listeners": [listener, *people.listeners(exposure)],
        },
    }


def received_seconds(exposure: ExposureSpec) -> int:
    """Return the time in which a request has to have arrived: it is one and the same for all routes.

    Where the gateway knows its callers, it is as long as files take to MLflow: who is unknown is answered by the
    headers alone, and holds nothing behind the gateway.
    """
    return RECEIVED_SECONDS if exposure.authentication == "none" else writers.SECONDS


def _clients(exposure: ExposureSpec) -> dict[str, Any]:
    return {
        **_of(ENVOY, "v1alpha1", "ClientTrafficPolicy"),
        "metadata": _named("clients", names.NAMESPACE),
        "spec": {
            "targetRefs": [_to_gateway()],
            # Whoever sends its headers or its request drop by drop would hold a connection for ever.
            "timeout": {
                "http": {
                    "requestHeadersReceivedTimeout": "10s",
                    "requestReceivedTimeout": f"{received_seconds(exposure)}s",
                    "idleTimeout": "300s",
                }
            },
            "connection": {"bufferLimit": "1Mi"},
            "headers": {
                "withUnderscoresAction": "RejectRequest",
                "earlyRequestHeaders": {"remove": [callers.HEADER]},
            },
            **({"tls": {"minVersion": "1.2"}} if exposure.tls_secret or exposure.pages else {}),
        },
    }


def _closed() -> dict[str, Any]:
    return {
        **_of(ENVOY, "v1alpha1", "SecurityPolicy"),
        "metadata": _named("closed", names.NAMESPACE),
        "spec": {"targetRefs": [_to_gateway()], **callers.NOBODY},
    }


def _to_gateway() -> dict[str, str]:
    return {"group": API, "kind": "Gateway", "name": names.GATEWAY}


def _of(group: str, version: str, kind: str) -> dict[str, str]:
    return {"apiVersion": f"{group}/{version}", "kind": kind}


def _named(name: str, namespace: str) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "labels": {names.PART_OF: "mlplat"}}
