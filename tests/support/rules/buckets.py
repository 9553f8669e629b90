"""Rules on buckets: each with all of its parts, closed, and not dearer than it must be."""

from __future__ import annotations

from capture import Graph
from rules.base import Found, at, aws, listed, named, refs, rule, statements

PARTS = {
    "s3.BucketPublicAccessBlock": "is open unless somebody closes it",
    "s3.BucketServerSideEncryptionConfiguration": "is not encrypted by a key that we chose",
    "s3.BucketVersioning": "cannot bring back what was overwritten",
    "s3.BucketOwnershipControls": "takes access lists",
    "s3.BucketLifecycleConfiguration": "keeps everything for ever",
    "s3.BucketPolicy": "answers without encryption on the way",
}
"""What every bucket has beside itself, and what one without is."""


@rule
def buckets_are_whole(graph: Graph) -> Found:
    """A bucket's settings are resources of their own: every bucket has each of them."""
    for name, without in PARTS.items():
        having = {key for each in aws(graph, name) for key in named(graph, each.inputs.get("bucket"), "s3.Bucket")}
        for bucket in aws(graph, "s3.Bucket"):
            if bucket.key not in having:
                yield bucket.key, without


@rule
def buckets_are_closed(graph: Graph) -> Found:
    """All four switches against public access are on, access lists are off, and versions are kept."""
    for each in aws(graph, "s3.BucketPublicAccessBlock"):
        for switch in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
            if each.inputs.get(switch) is not True:
                yield each.key, f"`{switch}` is off"
    for each in aws(graph, "s3.BucketOwnershipControls"):
        if at(each.inputs, "rule.objectOwnership") != "BucketOwnerEnforced":
            yield each.key, "takes access lists"
    for each in aws(graph, "s3.BucketVersioning"):
        if at(each.inputs, "versioningConfiguration.status") != "Enabled":
            yield each.key, "keeps no versions"


@rule
def buckets_refuse_strangers(graph: Graph) -> Found:
    """A bucket's policy refuses whoever does not encrypt the way, and lets in nobody without a condition."""
    for each in aws(graph, "s3.BucketPolicy"):
        if not any(_refuses_plain(found) for found in statements(each)):
            yield each.key, "lets in whoever does not encrypt the way"
        if any(_lets_everybody_in(found) for found in statements(each)):
            yield each.key, "lets everybody in"


def _refuses_plain(statement: dict[str, object]) -> bool:
    return statement.get("Effect") == "Deny" and at(statement, "Condition.Bool") == {"aws:SecureTransport": "false"}


def _lets_everybody_in(statement: dict[str, object]) -> bool:
    principal = statement.get("Principal")
    everybody = principal == "*" or (isinstance(principal, dict) and "*" in listed(principal.get("AWS")))
    return statement.get("Effect") == "Allow" and everybody and not statement.get("Condition")


@rule
def buckets_cost_what_they_must(graph: Graph) -> Found:
    """A bucket key saves nearly all calls to KMS, and a half upload is thrown away in every bucket."""
    for each in aws(graph, "s3.BucketServerSideEncryptionConfiguration"):
        for found in each.inputs.get("rules", []):
            wrapped = at(found, "applyServerSideEncryptionByDefault.sseAlgorithm")
            if wrapped == "aws:kms" and found.get("bucketKeyEnabled") is not True:
                yield each.key, "calls KMS for every object"
            if wrapped == "aws:kms" and not refs(at(found, "applyServerSideEncryptionByDefault.kmsMasterKeyId")):
                yield each.key, "names no key of ours"
            if wrapped not in ("aws:kms", "AES256"):
                yield each.key, f"encrypts with {wrapped!r}"
    for each in aws(graph, "s3.BucketLifecycleConfiguration"):
        found = [rule_ for rule_ in each.inputs.get("rules", []) if rule_.get("status") == "Enabled"]
        if not any(rule_.get("abortIncompleteMultipartUpload") and not _narrow(rule_) for rule_ in found):
            yield each.key, "keeps half uploads of some prefix for ever"


def _narrow(written: dict[str, object]) -> bool:
    return any(bool(value) for value in (at(written, "filter") or {}).values()) if written.get("filter") else False
