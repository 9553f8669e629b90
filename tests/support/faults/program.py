"""Faults of what the engine is told: providers, protection, order, names and tags. Each field is legal by itself."""

from __future__ import annotations

from faults.base import GONE, Fault, rule

PROGRAM: list[Fault] = [
    rule("provider_is_explicit", "whatever credentials there are", "s3.Bucket/data", provider=None),
    rule("provider_is_bound", "any account", "provider/aws", {"allowedAccountIds": GONE}),
    rule("data_is_kept", "bucket that can be deleted", "s3.Bucket/data", protect=False),
    rule("data_is_kept", "key lost with the stack", "kms.Key/data", retain_on_delete=False),
    rule("data_is_kept", "leftovers of a trial", "s3.Bucket/data", stack="dev", retain_on_delete=True),
    rule("ground_is_kept", "cluster that can be replaced", "eks.Cluster", protect=False),
    rule("nothing_else_is_ignored", "drift unseen", "eks.Cluster", ignore_changes=("version",)),
    rule("inputs_are_spelled", "nested argument misspelt", "eks.Cluster", {"vpcConfig.endpoint_publik_access": False}),
    rule("references_are_there", "id of what is not made", "ec2.Vpc", gone=True),
    rule("keys_are_unique", "bucket declared twice", "s3.Bucket/data", twice=True),
    rule("nothing_waits_for_itself", "circle", "ec2.Vpc", depends_on=("aws:eks/cluster:Cluster::cluster",)),
    rule(
        "secrets_stay_outside",
        "token in the runner's environment",
        "codebuild.Project",
        {"environment.environmentVariables": [{"name": "TOKEN", "value": "ghp_" + "a" * 36}]},
    ),
    rule("secrets_stay_outside", "password in the state", "rds.Instance", {"password": "correct-horse-battery"}),
    rule("deployer_outlives_objects", "objects without their maker's access", "eks.AccessPolicyAssociation", gone=True),
    rule(
        "objects_name_their_provider",
        "objects replaced with an address",
        "provider/kubernetes",
        {"clusterIdentifier": GONE},
    ),
    rule("names_fit", "role with a name too long", "iam.Role/tracking", {"name": "r" * 65}),
    rule("names_fit", "bucket in capitals", "s3.Bucket/data", {"bucket": "MLPlat-Data"}),
    rule("names_fit", "name left to the engine", "sqs.Queue", {"name": GONE}),
    rule("names_hold_the_deployment", "name of another deployment", "sqs.Queue", {"name": "mlplat-prod-ffffff"}),
    rule("everything_is_tagged", "no deployment tag", "rds.Instance", {"tags": {}}),
    rule("everything_is_tagged", "tag of another deployment", "s3.Bucket/data", {"tags.mlplat:deployment": "f" * 16}),
    rule("tags_are_legal", "tag that AWS keeps to itself", "rds.Instance", {"tags.aws:mine": "1"}),
]
