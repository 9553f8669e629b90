"""S3: buckets, and the settings of a bucket that are resources of their own."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from fakecloud.emulated import Emulated, pairs, tagged
from fakecloud.world import Values


class Bucket(Emulated):
    """A bucket. One that is not empty is deleted only with `forceDestroy`, as AWS has it."""

    service = "s3"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        name = inputs["bucket"]
        self.aws.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": self.place.region})
        self._tag(name, inputs)
        return name, self._outputs(name)

    def _see(self, identity: str) -> tuple[Values, Values]:
        self.aws.head_bucket(Bucket=identity)
        return {"bucket": identity, "tags": self._tags(identity)}, self._outputs(identity)

    def _change(self, identity: str, _olds: Values, news: Values) -> None:
        self._tag(identity, news)

    def _end(self, identity: str, inputs: Values) -> None:
        if inputs.get("forceDestroy"):
            found = self.aws.list_object_versions(Bucket=identity)
            for each in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
                self.aws.delete_object(Bucket=identity, Key=each["Key"], VersionId=each["VersionId"])
        self.aws.delete_bucket(Bucket=identity)

    def _tag(self, name: str, inputs: Values) -> None:
        self.aws.put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs(inputs.get("tags"))})

    def _tags(self, name: str) -> Values:
        try:
            return tagged(self.aws.get_bucket_tagging(Bucket=name)["TagSet"])
        except ClientError:
            return {}

    def _outputs(self, name: str) -> Values:
        arn = f"arn:{self.place.partition}:s3:::{name}"
        domain = f"{name}.s3.{self.place.region}.amazonaws.com"
        return {
            "arn": arn,
            "region": self.place.region,
            "bucketDomainName": domain,
            "bucketRegionalDomainName": domain,
        }


class Setting(Emulated):
    """A setting of a bucket, whose id is the bucket's name."""

    service = "s3"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        self._set(inputs["bucket"], inputs)
        return inputs["bucket"], {}

    def _change(self, identity: str, _olds: Values, news: Values) -> None:
        self._set(identity, news)

    def _set(self, bucket: str, inputs: Values) -> None:
        raise NotImplementedError


class Versioning(Setting):
    """Whether old versions are kept; it cannot be undone, only suspended."""

    def _set(self, bucket: str, inputs: Values) -> None:
        status = inputs["versioningConfiguration"]["status"]
        self.aws.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def _see(self, identity: str) -> tuple[Values, Values]:
        status = self.aws.get_bucket_versioning(Bucket=identity).get("Status", "Disabled")
        return {"bucket": identity, "versioningConfiguration": {"status": status}}, {}

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.put_bucket_versioning(Bucket=identity, VersioningConfiguration={"Status": "Suspended"})


class Encryption(Setting):
    """By which key objects are encrypted."""

    def _set(self, bucket: str, inputs: Values) -> None:
        rules = [
            {
                "ApplyServerSideEncryptionByDefault": {
                    "SSEAlgorithm": rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"],
                    **_key(rule["applyServerSideEncryptionByDefault"]),
                },
                "BucketKeyEnabled": bool(rule.get("bucketKeyEnabled")),
            }
            for rule in inputs["rules"]
        ]
        self.aws.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.get_bucket_encryption(Bucket=identity)["ServerSideEncryptionConfiguration"]["Rules"]
        rules: list[dict[str, Any]] = []
        for rule in found:
            default = rule["ApplyServerSideEncryptionByDefault"]
            key = {"kmsMasterKeyId": default["KMSMasterKeyID"]} if "KMSMasterKeyID" in default else {}
            made = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": default["SSEAlgorithm"], **key}}
            rules.append({**made, **({"bucketKeyEnabled": True} if rule.get("BucketKeyEnabled") else {})})
        return {"bucket": identity, "rules": rules}, {}

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_bucket_encryption(Bucket=identity)


def _key(default: Values) -> Values:
    return {"KMSMasterKeyID": default["kmsMasterKeyId"]} if "kmsMasterKeyId" in default else {}


class PublicAccessBlock(Setting):
    """Four switches that keep a bucket private."""

    SWITCHES = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")

    def _set(self, bucket: str, inputs: Values) -> None:
        told = {name[0].upper() + name[1:]: bool(inputs.get(name)) for name in self.SWITCHES}
        self.aws.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=told)

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.get_public_access_block(Bucket=identity)["PublicAccessBlockConfiguration"]
        return {"bucket": identity, **{name: found[name[0].upper() + name[1:]] for name in self.SWITCHES}}, {}

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_public_access_block(Bucket=identity)


class Policy(Setting):
    """Who may do what with a bucket."""

    def _set(self, bucket: str, inputs: Values) -> None:
        self.aws.put_bucket_policy(Bucket=bucket, Policy=inputs["policy"])

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = json.loads(self.aws.get_bucket_policy(Bucket=identity)["Policy"])
        return {"bucket": identity, "policy": json.dumps(found, sort_keys=True)}, {}

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_bucket_policy(Bucket=identity)


KINDS = {
    "aws:s3/bucket:Bucket": Bucket,
    "aws:s3/bucketVersioning:BucketVersioning": Versioning,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Encryption,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": PublicAccessBlock,
    "aws:s3/bucketPolicy:BucketPolicy": Policy,
}
