"""Faults of the cluster: its settings, its order, its nodes and who is let in. Each field is legal by itself."""

from __future__ import annotations

from faults.base import GONE, Fault, rule

SPEC = "spec.template.spec"

CLUSTER: list[Fault] = [
    rule("cluster_is_ours", "Kubernetes that there is not", "eks.Cluster", {"version": "1.99"}),
    rule(
        "cluster_is_ours",
        "maker is administrator",
        "eks.Cluster",
        {"accessConfig.bootstrapClusterCreatorAdminPermissions": True},
    ),
    rule("cluster_is_ours", "add-ons of nobody", "eks.Cluster", {"bootstrapSelfManagedAddons": True}),
    rule("cluster_is_ours", "extended support", "eks.Cluster", {"upgradePolicy.supportType": "EXTENDED"}),
    rule("cluster_is_ours", "no private address", "eks.Cluster", {"vpcConfig.endpointPrivateAccess": False}),
    rule("cluster_is_ours", "public by default", "eks.Cluster", {"vpcConfig.endpointPublicAccess": GONE}),
    rule("cluster_is_ours", "can be deleted", "eks.Cluster", {"deletionProtection": False}),
    rule("addons_come_in_order", "network of pods after the nodes", "eks.NodeGroup", depends_on=()),
    rule("addons_come_in_order", "names before the nodes", "eks.Addon/coredns", depends_on=()),
    rule("addons_come_in_order", "no pod identity", "eks.Addon/eks-pod-identity-agent", gone=True),
    rule("addons_are_pinned", "add-on of any version", "eks.Addon/vpc-cni", {"addonVersion": GONE}),
    rule("addons_are_pinned", "settings cut off", "eks.Addon/vpc-cni", {"configurationValues": '{"env":'}),
    rule("addons_are_pinned", "chart of any version", "chart/karpenter", {"version": ">=1.14"}),
    rule(
        "addons_have_their_roles",
        "disks without a role",
        "eks.Addon/aws-ebs-csi-driver",
        {"podIdentityAssociations": GONE},
    ),
    rule("nodes_wait_for_the_network", "nodes before their way out", "eks.NodeGroup", depends_on=()),
    rule("cluster_ends_before_the_network", "cluster in no order", "eks.Cluster", depends_on=()),
    rule("cluster_is_logged", "log group left to EKS", "cloudwatch.LogGroup/logs", gone=True),
    rule("cluster_is_logged", "no audit log", "eks.Cluster", {"enabledClusterLogTypes": ["api"]}),
    rule("sizes_agree", "more at least than at most", "eks.NodeGroup", {"scalingConfig.minSize": 9}),
    rule("sizes_agree", "wanted more than allowed", "eks.NodeGroup", {"scalingConfig.desiredSize": 20}),
    rule("sizes_agree", "size taken back", "eks.NodeGroup", ignore_changes=()),
    rule("machines_exist", "machine that there is not", "eks.NodeGroup", {"instanceTypes": ["m99.large"]}),
    rule("machines_exist", "image of another processor", "eks.NodeGroup", {"instanceTypes": ["m7g.large"]}),
    rule("machines_exist", "image with drivers, no GPU", "eks.NodeGroup", {"amiType": "AL2023_x86_64_NVIDIA"}),
    rule(
        "machines_are_locked",
        "two hops to the node's role",
        "ec2.LaunchTemplate",
        {"metadataOptions.httpPutResponseHopLimit": 2},
    ),
    rule(
        "machines_are_locked", "disk in the clear", "EC2NodeClass", {"spec.blockDeviceMappings.0.ebs.encrypted": False}
    ),
    rule("taints_are_spelled", "effect as Kubernetes spells it", "eks.NodeGroup", {"taints.0.effect": "NoSchedule"}),
    rule(
        "taints_are_spelled",
        "effect as EKS spells it",
        "NodePool/gpu-training",
        {f"{SPEC}.taints.0.effect": "NO_SCHEDULE"},
    ),
    rule(
        "taints_are_tolerated",
        "GPUs that nobody shows",
        "chart/nvidia-device-plugin",
        {"values.tolerations": [{"key": "nvidia.com/gpus", "operator": "Exists"}]},
    ),
    rule("taints_are_tolerated", "controller without a place", "chart/karpenter", {"values.tolerations": []}),
    rule("taints_are_tolerated", "system taint misspelt", "eks.NodeGroup", {"taints.0.key": "CriticalAddonOnly"}),
    rule("gpu_pools_are_kept_apart", "GPUs for everybody", "NodePool/gpu-training", {f"{SPEC}.taints": []}),
    rule(
        "gpu_pools_are_kept_apart",
        "GPUs that the plugin does not see",
        "NodePool/gpu-training",
        {"spec.template.metadata.labels": {}},
    ),
    rule("pools_are_bounded", "pool without an end", "NodePool/cpu", {"spec.limits": GONE}),
    rule("pools_have_their_class", "class that there is not", "NodePool/cpu", {f"{SPEC}.nodeClassRef.name": "cpus"}),
    rule(
        "pools_have_their_class",
        "newest image",
        "EC2NodeClass",
        {"spec.amiSelectorTerms": [{"alias": "al2023@latest"}]},
    ),
    rule("nodes_are_admitted", "role that there is not", "EC2NodeClass", {"spec.role": "node"}),
    rule("nodes_are_admitted", "nodes not let in", "eks.AccessEntry/node", gone=True),
    rule(
        "entries_are_roles",
        "policy of IAM on a cluster",
        "eks.AccessPolicyAssociation",
        {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    rule("entries_are_roles", "nobody admitted", "eks.AccessEntry", {"principalArn": "cluster-admins"}),
    rule("karpenter_hears_of_ends", "spot's end unheard", "cloudwatch.EventTarget", gone=True),
    rule(
        "karpenter_hears_of_ends",
        "another queue",
        "chart/karpenter",
        {"values.settings.interruptionQueue": "karpenter"},
    ),
    rule("karpenter_hears_of_ends", "events not let in", "sqs.QueuePolicy/interruptions", gone=True),
    rule("karpenter_hears_of_ends", "another cluster", "chart/karpenter", {"values.settings.clusterName": "mlplat"}),
    rule("kinds_come_before_objects", "no kinds of Karpenter", "chart/karpenter-crd", gone=True),
    rule("machines_are_tagged", "machines without the deployment", "EC2NodeClass", {"spec.tags": {}}),
    rule("machines_are_tagged", "template without the deployment", "ec2.LaunchTemplate", {"tagSpecifications": []}),
    rule(
        "balancers_are_tagged",
        "load balancers without the deployment",
        "chart/aws-load-balancer-controller",
        {"values.defaultTags": {}},
    ),
]
