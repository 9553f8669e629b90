"""Faults in objects of the layer: order, names of each other, pods, shares."""

from __future__ import annotations

from clusterfaults.base import GONE, ClusterFault, fault
from mlplat.manifests import names

POD = "spec.template.spec"

OBJECTS: list[ClusterFault] = [
    fault(
        "kinds_come_before_objects",
        "rule before its kind",
        "PrometheusRule",
        without=("prometheus-operator-crds", "kube-prometheus-stack"),
    ),
    fault("hooks_answer_before_objects", "class that nobody takes", "GatewayClass", without=("gateway-helm",)),
    fault(
        "monitors_come_after_their_kind",
        "monitor before its kind",
        "chart/argo-workflows",
        without=("prometheus-operator-crds",),
    ),
    fault("namespaces_come_first", "namespace that there is not", "ConfigMap", {"metadata.namespace": "ml-platform"}),
    fault(
        "namespaces_hold_their_pods",
        "every pod admitted",
        "Namespace/keda",
        {"metadata.labels": {"app.kubernetes.io/part-of": "mlplat"}},
    ),
    fault(
        "namespaces_hold_their_pods",
        "privileged team",
        "Namespace/flights",
        {"metadata.labels": lambda given: {**given, "pod-security.kubernetes.io/enforce": "privileged"}},
    ),
    fault(
        "routes_lead_to_who_listens",
        "port that nobody has",
        "HTTPRoute/tracking",
        {"spec.rules.0.backendRefs.0.port": 80},
    ),
    fault(
        "routes_lead_to_who_listens",
        "namespace whose routes are not taken",
        "Namespace/mlplat",
        {"metadata.labels": lambda given: {key: each for key, each in given.items() if key != names.ROUTES}},
    ),
    fault(
        "routes_know_their_callers",
        "guard of another route",
        "SecurityPolicy/tracking",
        {"spec.targetRefs.0.name": "features"},
    ),
    fault(
        "routes_know_their_callers",
        "token that nobody asks for",
        "SecurityPolicy/tracking",
        {"spec.jwt": GONE},
        stack="tokens",
    ),
    fault(
        "secrets_are_known",
        "keys that nobody is asked for",
        "SecurityPolicy/tracking",
        {"spec.apiKeyAuth.credentialRefs.0.name": "writers"},
    ),
    fault("providers_are_explicit", "whatever context is set", "Gateway", provider=None),
    fault("pods_ask_for_what_they_need", "asks for nothing", "Deployment", {f"{POD}.containers.0.resources": {}}),
    fault(
        "pods_ask_for_what_they_need",
        "idle processors unused",
        "Deployment",
        {f"{POD}.containers.0.resources.limits.cpu": "1"},
    ),
    fault(
        "images_are_locked",
        "image that can change",
        "Deployment/tracking",
        {f"{POD}.containers.0.image": "registry.example.com/mlplat/tracking:1.0"},
    ),
    fault(
        "secrets_are_known",
        "secret that nobody makes",
        "Deployment/tracking",
        {f"{POD}.imagePullSecrets": [{"name": "pull"}]},
    ),
    fault(
        "secrets_are_known",
        "certificate of another name",
        "Gateway",
        {"spec.listeners.0.tls.certificateRefs.0.name": "tls"},
    ),
    fault(
        "secrets_are_known",
        "password that nobody makes",
        "StatefulSet/database",
        {f"{POD}.imagePullSecrets": [{"name": "database-password"}]},
        stack="small",
    ),
    fault(
        "charts_have_their_roles",
        "vault without a role",
        "eks.PodIdentityAssociation/external-secrets",
        {"namespace": "external-secrets"},
        stack="told",
    ),
    fault(
        "charts_have_their_roles",
        "topic without a role",
        "eks.PodIdentityAssociation/monitoring-alertmanager",
        {"serviceAccount": "kube-prometheus-stack-alertmanager"},
        stack="told",
    ),
    fault("objects_are_new", "class that is there", "PriorityClass", {"metadata.name": "system-cluster-critical"}),
    fault("objects_are_new", "pool declared twice", "ResourceFlavor/gpu", twice=True),
    fault("bindings_bind_what_is_there", "role of another name", "RoleBinding/pipeline", {"roleRef.name": "pipelines"}),
    fault(
        "bindings_bind_what_is_there",
        "account of another name",
        "RoleBinding/pipeline",
        {"subjects.0.name": "pipelines"},
    ),
    fault(
        "pods_run_as_an_account_that_is_there",
        "account of nobody",
        "Deployment/tracking",
        {f"{POD}.serviceAccountName": "mlflow"},
    ),
    fault(
        "services_have_endpoints",
        "pods of another name",
        "Service/tracking",
        {"spec.selector": {"app.kubernetes.io/name": "mlflow"}},
    ),
    fault("services_have_endpoints", "port of nobody", "Service/tracking", {"spec.ports.0.targetPort": 8080}),
    fault(
        "monitors_read_somebody",
        "services of another name",
        "ServiceMonitor",
        {"spec.selector.matchLabels": {"app.kubernetes.io/name": "mlflow"}},
    ),
    fault("monitors_read_somebody", "port of another name", "ServiceMonitor", {"spec.endpoints.0.port": "metrics"}),
    fault("jobs_are_covered", "GPUs of no quota", "ClusterQueue/pricing", {"spec.resourceGroups": []}),
    fault(
        "flavors_are_there",
        "pool that is gone",
        "ClusterQueue/flights",
        {"spec.resourceGroups.0.flavors.0.name": "cpus"},
    ),
    fault(
        "flavors_are_pools",
        "nodes of another pool",
        "ResourceFlavor/cpu",
        {"spec.nodeLabels": {"example.com/pool": "gpu"}},
    ),
    fault("flavors_are_pools", "GPU nodes for everybody", "ResourceFlavor/gpu", {"spec.nodeTaints": GONE}),
    fault(
        "flavors_are_pools",
        "every job tolerates GPUs",
        "ResourceFlavor/gpu",
        {"spec.tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
    ),
    fault(
        "queues_lead_to_their_team",
        "share of the neighbours",
        "LocalQueue",
        {"spec.clusterQueue": lambda given: "pricing" if given == "flights" else "flights"},
    ),
    fault(
        "queues_lead_to_their_team",
        "share for everybody",
        "ClusterQueue/flights",
        {"spec.namespaceSelector": {}},
    ),
    fault("nobody_is_a_queue_by_default", "model servers wait", "LocalQueue", {"metadata.name": "default"}),
    fault("shares_are_one_cohort", "nothing lent", "ClusterQueue/flights", {"spec.cohortName": GONE}),
    fault(
        "shares_are_one_cohort",
        "loan for ever",
        "ClusterQueue/flights",
        {"spec.preemption.reclaimWithinCohort": "Never"},
    ),
    fault("priorities_have_a_value", "value where it is dropped", "WorkloadPriorityClass", {"value": GONE}),
    fault(
        "promises_can_be_kept",
        "more than there is",
        "ClusterQueue/flights",
        {"spec.resourceGroups.0.flavors.1.resources.2.nominalQuota": "9"},
    ),
]
