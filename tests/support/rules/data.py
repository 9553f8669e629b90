"""Rules on keys, logs and images: encrypted by us, kept for as long as was said."""

from __future__ import annotations

from capture import Graph
from rules.base import Found, at, aws, kind, listed, named, place, refs, rule, services, statements

ENCRYPTED = {
    kind(name): path
    for name, path in (
        ("backup.Vault", "kmsKeyArn"),
        ("cloudtrail.Trail", "kmsKeyId"),
        ("cloudwatch.LogGroup", "kmsKeyId"),
        ("codebuild.Project", "encryptionKey"),
        ("dynamodb.Table", "serverSideEncryption.kmsKeyArn"),
        ("ecr.Repository", "encryptionConfigurations.kmsKey"),
        ("ecr.RepositoryCreationTemplate", "encryptionConfigurations.kmsKey"),
        ("eks.Cluster", "encryptionConfig.provider.keyArn"),
        ("elasticache.ReplicationGroup", "kmsKeyId"),
        ("kinesis.Stream", "kmsKeyId"),
        ("rds.Instance", "kmsKeyId"),
        ("secretsmanager.Secret", "kmsKeyId"),
        ("sns.Topic", "kmsMasterKeyId"),
    )
}
"""Kinds that AWS encrypts with a key of ours, and where the key is written."""
LOG_DAYS = {
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
}  # fmt: skip
"""Days for which CloudWatch Logs can keep a group; it takes no others."""


@rule
def everything_is_encrypted(graph: Graph) -> Found:
    """What can be encrypted with a key of ours is."""
    keys = {each.key for each in aws(graph, "kms.Key")}
    for each in graph:
        if each.type in ENCRYPTED and not refs(at(each.inputs, ENCRYPTED[each.type])) & keys:
            yield each.key, f"`{ENCRYPTED[each.type]}` names no key of ours"
    for each in aws(graph, "rds.Instance"):
        for path in ("masterUserSecretKmsKeyId", "performanceInsightsKmsKeyId"):
            wanted = path.startswith("master") or each.inputs.get("performanceInsightsEnabled")
            if wanted and not refs(each.inputs.get(path)) & keys:
                yield each.key, f"`{path}` names no key of ours"
    for each in aws(graph, "sqs.Queue"):
        if not each.inputs.get("sqsManagedSseEnabled") and not refs(each.inputs.get("kmsMasterKeyId")) & keys:
            yield each.key, "is not encrypted"


@rule
def keys_are_turned(graph: Graph) -> Found:
    """A key turns, has a policy that was written, and a name."""
    named = {key for each in aws(graph, "kms.Alias") for key in refs(each.inputs.get("targetKeyId"))}
    for each in aws(graph, "kms.Key"):
        if each.inputs.get("enableKeyRotation") is not True:
            yield each.key, "is never turned"
        if not 7 <= (each.inputs.get("deletionWindowInDays") or 0) <= 30:
            yield each.key, "cannot be brought back for 7 to 30 days"
        if not each.inputs.get("policy"):
            yield each.key, "has the policy that AWS writes"
        if each.key not in named:
            yield each.key, "has no alias"


@rule
def keys_can_be_administered(graph: Graph) -> Found:
    """A key whose policy does not name the account is lost to everybody: not even its deletion is anybody's right."""
    for each in aws(graph, "kms.Key"):
        owner = f":{place(graph).account}:root"
        found = [
            statement for statement in statements(each)
            if statement.get("Effect") == "Allow" and "kms:*" in listed(statement.get("Action"))
            and any(str(arn).endswith(owner) for arn in listed(at(statement, "Principal.AWS")))
            and not statement.get("Condition")
        ]  # fmt: skip
        if not found:
            yield each.key, "does not let the account administer it"


@rule
def keys_admit_who_uses_them(graph: Graph) -> Found:
    """A service that is to write through a key is one that the key's policy admits."""
    region = place(graph).region
    needs = {
        "cloudwatch.LogGroup": (f"logs.{region}.amazonaws.com", "kmsKeyId"),
        "cloudtrail.Trail": ("cloudtrail.amazonaws.com", "kmsKeyId"),
    }
    admitted = {each.key: {s for found in statements(each) for s in services(found)} for each in aws(graph, "kms.Key")}
    for name, (service, path) in needs.items():
        for each in aws(graph, name):
            for key in refs(each.inputs.get(path)) & set(admitted):
                if service not in admitted[key] and "logs.amazonaws.com" not in admitted[key] - {service}:
                    yield key, f"does not admit `{service}`, which writes {each.key} through it"


@rule
def logs_end(graph: Graph) -> Found:
    """A log group is kept for a time that AWS takes: without one it is kept, and billed, for ever."""
    for each in aws(graph, "cloudwatch.LogGroup"):
        if each.inputs.get("retentionInDays") not in LOG_DAYS:
            yield each.key, f"is kept for {each.inputs.get('retentionInDays')!r} days, which AWS does not take"


@rule
def images_stay_as_they_are(graph: Graph) -> Found:
    """A tag names one image for ever; each is scanned, and the old ones go."""
    policies = aws(graph, "ecr.LifecyclePolicy")
    managed = {key for each in policies for key in named(graph, each.inputs.get("repository"), "ecr.Repository")}
    for each in aws(graph, "ecr.Repository"):
        if each.inputs.get("imageTagMutability") != "IMMUTABLE":
            yield each.key, "lets a tag be moved"
        if at(each.inputs, "imageScanningConfiguration.scanOnPush") is not True:
            yield each.key, "does not scan what is pushed"
        if each.key not in managed:
            yield each.key, "keeps every image for ever"


@rule
def caches_name_their_credentials(graph: Graph) -> Found:
    """ECR reads an upstream's credentials only from a secret whose name begins with `ecr-pullthroughcache/`."""
    for each in aws(graph, "secretsmanager.Secret"):
        name = str(each.inputs.get("name"))
        if "pullthrough" in name and not name.startswith("ecr-pullthroughcache/"):
            yield each.key, f"{name!r} is not where ECR looks"
    for each in aws(graph, "ecr.PullThroughCacheRule"):
        upstream = str(each.inputs.get("upstreamRegistryUrl"))
        if upstream in ("ghcr.io", "registry-1.docker.io") and not each.inputs.get("credentialArn"):
            yield each.key, f"{upstream} asks for credentials"
