"""Faults in charts: which, how they are installed, and with which values. Each is legal by itself."""

from __future__ import annotations

from clusterfaults.base import GONE, ClusterFault, fault

KUEUE = "values.managerConfig.controllerManagerConfigYaml"
PROMETHEUS = "values.prometheus.prometheusSpec"
ALERTS = "values.alertmanager.alertmanagerSpec"
STACK = "chart/kube-prometheus-stack"
DEFINITION = "CustomResourceDefinition"

CHARTS: list[ClusterFault] = [
    fault("charts_are_pinned", "chart of any version", "chart/keda", {"version": ">=2.20"}),
    fault(
        "charts_are_pinned",
        "chart of nobody's",
        "chart/keda",
        {"chart": "keda-add-ons-http", "name": "keda-add-ons-http"},
    ),
    fault("charts_are_pinned", "repository that has moved", "chart/opencost", {"repositoryOpts.repo": "https://x.org"}),
    fault("charts_are_pinned", "newer than was read", "chart/argo-workflows", {"version": "1.1.0"}),
    fault(
        "definitions_are_pinned",
        "kind of every namespace",
        f"{DEFINITION}/gateways.gateway.networking.k8s.io",
        {"spec.scope": "Cluster"},
    ),
    fault(
        "definitions_are_pinned",
        "field that is lost",
        f"{DEFINITION}/jobsets.jobset.x-k8s.io",
        {"spec.versions": [{"name": "v1alpha2", "served": True, "storage": True}]},
    ),
    fault("no_component_is_remote", "not in the plan", "PriorityClass", type="kubernetes:yaml/v2:ConfigGroup"),
    fault("releases_are_steady", "name of the engine's own", "chart/external-secrets", {"name": GONE}),
    fault("releases_are_steady", "namespace of its own", "chart/keda", {"createNamespace": True}),
    fault("releases_are_steady", "nobody waits", "chart/kueue", {"skipAwait": True}),
    fault("releases_are_steady", "given up too soon", STACK, {"timeout": 60}),
    fault("releases_are_steady", "every version kept", STACK, {"maxHistory": GONE}),
    fault("releases_are_steady", "failed upgrade left behind", STACK, {"cleanupOnFail": False}),
    fault("hooks_run", "class without hooks", "chart/gateway-helm", type="kubernetes:helm.sh/v4:Chart"),
    fault("definitions_come_apart", "definitions for ever", "chart/jobset", {"skipCrds": False}),
    fault("definitions_come_apart", "gateway's in the chart", "chart/gateway-helm", {"values.crds.enabled": True}),
    fault("definitions_come_apart", "monitors' in the chart", STACK, {"values.crds.enabled": GONE}),
    fault(
        "definitions_come_apart",
        "no order",
        "chart/jobset",
        without=("customresourcedefinition-jobsets.jobset.x-k8s.io",),
    ),
    fault(
        "budgets_let_nodes_go",
        "drain that never ends",
        "chart/kueue",
        {"values.controllerManager.podDisruptionBudget.minAvailable": 2},
    ),
    fault(
        "budgets_let_nodes_go",
        "gateway that holds its node",
        "chart/gateway-helm",
        {"values.podDisruptionBudget.minAvailable": 2},
    ),
    fault(
        "hooks_of_the_cluster_have_two",
        "one admits all jobs",
        "chart/kueue",
        {"values.controllerManager.replicas": GONE, "values.controllerManager.podDisruptionBudget.enabled": False},
    ),
    fault("nothing_is_pulled_anew", "broken sign-on", "chart/argo-workflows", {"values.images.tag": "v4.1.1"}),
    fault(
        "nothing_is_pulled_anew",
        "registry at each step",
        "chart/argo-workflows",
        {"values.images.pullPolicy": "Always"},
    ),
    fault(
        "secrets_are_the_platforms",
        "vault for every team",
        "chart/external-secrets",
        {"values.scopedNamespace": GONE},
    ),
    fault(
        "secrets_are_the_platforms",
        "account without the role",
        "chart/external-secrets",
        {"values.serviceAccount.name": "eso"},
    ),
    fault(
        "secrets_are_the_platforms",
        "store signs in by itself",
        "SecretStore",
        {"spec.provider.aws.auth": {"jwt": {"serviceAccountRef": {"name": "external-secrets"}}}},
        stack="prod",
    ),
    fault(
        "kinds_are_looked_for_where_defined",
        "kind that is not there",
        "chart/external-secrets",
        {"values.processPushSecret": GONE},
    ),
    fault("argo_needs_no_way_out", "download by default", "chart/argo-workflows", {"values.crds.full": GONE}),
    fault("argo_needs_no_way_out", "workflows go too", "chart/argo-workflows", {"values.crds.keep": False}),
    fault(
        "workflows_end",
        "workflows for ever",
        "chart/argo-workflows",
        {"values.controller.workflowDefaults.spec.ttlStrategy": GONE},
    ),
    fault(
        "workflows_end",
        "pods for ever",
        "chart/argo-workflows",
        {"values.controller.workflowDefaults.spec.podGC": GONE},
    ),
    fault("kueue_has_all_of_its_configuration", "no hooks", "chart/kueue", {f"{KUEUE}.webhook": GONE}),
    fault("kueue_has_all_of_its_configuration", "no election", "chart/kueue", {f"{KUEUE}.leaderElection": GONE}),
    fault(
        "kueue_has_all_of_its_configuration",
        "steps unseen",
        "chart/kueue",
        {f"{KUEUE}.integrations.frameworks": ["batch/job"]},
    ),
    fault(
        "kueue_holds_up_nobody_else",
        "every namespace",
        "chart/kueue",
        {f"{KUEUE}.managedJobsNamespaceSelector": GONE},
    ),
    fault(
        "kueue_holds_up_nobody_else",
        "label that nobody has",
        "chart/kueue",
        {f"{KUEUE}.managedJobsNamespaceSelector.matchLabels": {"mlp/queue": "true"}},
    ),
    fault(
        "kueue_holds_up_nobody_else",
        "model servers wait",
        "chart/kueue",
        {f"{KUEUE}.manageJobsWithoutQueueName": True},
    ),
    fault("training_is_admitted", "disk is counted", "chart/kueue", {f"{KUEUE}.resources": GONE}),
    fault(
        "quotas_are_measured", "quotas unseen", "chart/kueue", {f"{KUEUE}.metrics.enableClusterQueueResources": GONE}
    ),
    fault("every_monitor_is_read", "rules unread", STACK, {f"{PROMETHEUS}.ruleSelectorNilUsesHelmValues": GONE}),
    fault(
        "every_monitor_is_read",
        "proxies unread",
        STACK,
        {f"{PROMETHEUS}.podMonitorSelectorNilUsesHelmValues": True},
    ),
    fault("metrics_fit_their_disk", "disk that fills", STACK, {f"{PROMETHEUS}.retentionSize": "50GiB"}),
    fault("metrics_fit_their_disk", "metrics in memory", STACK, {f"{PROMETHEUS}.storageSpec": GONE}),
    fault("alerts_are_routed", "deaf routes", STACK, {f"{ALERTS}.alertmanagerConfigMatcherStrategy": GONE}),
    fault("alerts_are_routed", "every team's routes", STACK, {f"{ALERTS}.alertmanagerConfigNamespaceSelector": GONE}),
    fault(
        "alerts_are_routed",
        "routes unread",
        STACK,
        {f"{ALERTS}.alertmanagerConfigNamespaceSelector.matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
    ),
    fault(
        "operator_waits_for_no_certificate",
        "operator waits for ever",
        STACK,
        {"values.prometheusOperator.tls.enabled": GONE},
    ),
    fault(
        "operator_waits_for_no_certificate",
        "certificate at each up",
        STACK,
        {"values.prometheusOperator.admissionWebhooks.enabled": True},
    ),
    fault(
        "one_trouble_is_told_once",
        "two messages for a node",
        STACK,
        {"values.defaultRules.disabled.KubeNodeUnreachable": GONE},
    ),
    fault(
        "one_trouble_is_told_once", "crashes untold", STACK, {"values.defaultRules.disabled.KubePodCrashLooping": True}
    ),
    fault(
        "one_trouble_is_told_once",
        "nobody tells of a node",
        "PrometheusRule/mlplat-nodes",
        {"spec.groups.0.rules.0.alert": "NodeReady"},
    ),
    fault("nothing_unseen_is_missed", "hidden scheduler", STACK, {"values.kubeScheduler.enabled": GONE}),
    fault(
        "dashboards_are_found",
        "own namespace alone",
        STACK,
        {"values.grafana.sidecar.dashboards.searchNamespace": GONE},
    ),
    fault("nobody_knows_the_password", "everybody's password", STACK, {"values.grafana.adminPassword": GONE}),
    fault(
        "costs_are_of_this_cluster",
        "another cluster's cost",
        "chart/opencost",
        {"values.opencost.exporter.defaultClusterId": "default-cluster"},
    ),
    fault(
        "costs_are_of_this_cluster",
        "Prometheus that is not there",
        "chart/opencost",
        {"values.opencost.prometheus.internal.serviceName": "prometheus-server"},
    ),
    fault("charts_ask_for_what_they_need", "asks for nothing", "chart/kueue", {"values.controllerManager.manager": {}}),
    fault(
        "charts_ask_for_what_they_need",
        "takes its node with it",
        STACK,
        {f"{PROMETHEUS}.resources.limits": GONE},
    ),
    fault(
        "system_taints_are_tolerated",
        "operator without a place",
        "chart/keda",
        {"values.tolerations": []},
        stack="prod",
    ),
    fault(
        "system_taints_are_tolerated",
        "node that goes",
        "chart/gateway-helm",
        {"values.deployment.pod.nodeSelector": {}},
        stack="prod",
    ),
    fault(
        "system_taints_are_tolerated",
        "setup without a place",
        "Job",
        {"spec.template.spec.tolerations": []},
        stack="prod",
    ),
    fault(
        "every_node_is_watched",
        "GPU nodes unwatched",
        STACK,
        {"values.prometheus-node-exporter.tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}]},
    ),
    fault(
        "no_secret_is_in_the_state",
        "password in the values",
        "chart/argo-workflows",
        {"values.controller.persistence": {"postgresql": {"password": "abc"}}},
    ),
]
