"""The bucket and the key that a stack on AWS is remembered with: made by `mlplat state init`, and by nothing else.

They are older than any stack and outlive it, so no stack holds them and no deployment's tag is on them. Every step
looks first and changes only what differs: what an interrupted run left half made is finished by the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from mlplat.errors import RefusedError, UsageError
from mlplat.targets.aws import session as sessions
from mlplat.targets.aws.iam import Statement, document, tls_only

if TYPE_CHECKING:
    import boto3

    from mlplat.spec.platform import PlatformSpec

Say = Callable[[str], None]
S3, KMS = "s3", "awskms"
ROTATION_DAYS = 365
OLD_DAYS = 90
"""Days for which an older state can be brought back."""
ABORT_DAYS = 7
PURPOSE = {"mlplat:purpose": "state"}
KEY_TAG = "mlplat:state-key"
"""Tag of a key by which one that has no alias yet is found again."""


@dataclass(frozen=True)
class Place:
    """Where a stack's state is kept, read from the stack file."""

    account: str
    region: str
    partition: str
    bucket: str
    alias: str | None
    """`alias/name` of the key; None where the stack file names a key by its id or ARN, which must be there."""
    key: str | None
    """Id or ARN of that key; None without one."""

    @classmethod
    def of(cls, spec: PlatformSpec) -> Place:
        """Return a stack's place. Raises `UsageError` for a backend or a key that is none of AWS's."""
        aws, engine = spec.aws, spec.engine
        if aws is None or engine is None or engine.backend is None:
            raise UsageError(
                "the stack names no bucket for its state",
                hint="write `engine: {backend: s3://NAME?region=REGION, secrets: awskms://alias/NAME?region=REGION}`",
            )
        backend = urlsplit(engine.backend)
        if backend.scheme != S3 or not backend.netloc:
            raise UsageError(f"`engine.backend` is `{engine.backend}`, and only a bucket `s3://NAME` can be made")
        alias, key = _key(engine.secrets, aws.region)
        return cls(aws.account, _region(backend.query, aws.region), aws.partition, backend.netloc, alias, key)

    def bucket_arn(self) -> str:
        """Return the bucket's ARN."""
        return f"arn:{self.partition}:s3:::{self.bucket}"


def init(spec: PlatformSpec, session: boto3.Session, say: Say) -> list[str]:
    """Make what is missing of a stack's bucket and key; return a line for each thing done. Raises `MlplatError`."""
    place = Place.of(spec)
    made: list[str] = []

    def done(text: str) -> None:
        made.append(text)
        say(text)

    tags = {**PURPOSE, **({"mlplat:owner": spec.owner} if spec.owner else {})}
    with sessions.telling(f"for the key and the bucket {place.bucket}"):
        key = _make_key(sessions.client(session, "kms", region=place.region), session, place, tags, done)
        _make_bucket(sessions.client(session, "s3", region=place.region), place, key, tags, done)
    return made


def _key(secrets: str | None, region: str) -> tuple[str | None, str | None]:
    if secrets is None:
        return None, None
    read = urlsplit(secrets)
    name = read.netloc + read.path
    if read.scheme != KMS or not name:
        raise UsageError(f"`engine.secrets` is `{secrets}`, and only a key `awskms://alias/NAME` can be made")
    if (named := _region(read.query, region)) != region:
        raise UsageError(f"`engine.secrets` is in {named}, and the stack in {region}")
    return (name, None) if name.startswith("alias/") else (None, name.removeprefix("/"))


def _region(query: str, default: str) -> str:
    return parse_qs(query).get("region", [default])[0]


def _make_key(kms: Any, session: boto3.Session, place: Place, tags: dict[str, str], done: Say) -> str | None:
    """Return the ARN of the key, made where it is not there; None for a stack that names none."""
    if place.alias is None:
        return _described(kms, place.key)["Arn"] if place.key else None
    try:
        found = _described(kms, place.alias)
    except kms.exceptions.NotFoundException:
        found = _unnamed(session, kms, place) or _create_key(kms, place, tags, done)
        kms.create_alias(AliasName=place.alias, TargetKeyId=found["KeyId"])
        done(f"named it {place.alias}")
    if not kms.get_key_rotation_status(KeyId=found["KeyId"])["KeyRotationEnabled"]:
        kms.enable_key_rotation(KeyId=found["KeyId"], RotationPeriodInDays=ROTATION_DAYS)
        done(f"had {place.alias} turned every {ROTATION_DAYS} days")
    return str(found["Arn"])


def _described(kms: Any, name: str) -> Any:
    found = kms.describe_key(KeyId=name)["KeyMetadata"]
    if found["KeyState"] not in ("Enabled", "Creating"):
        raise RefusedError(
            f"the key {name} is {found['KeyState']}: what it encrypted cannot be read",
            hint=f"`aws kms cancel-key-deletion --key-id {found['KeyId']}`, then `aws kms enable-key`, bring it back",
        )
    return found


def _unnamed(session: boto3.Session, kms: Any, place: Place) -> Any:
    """Return the key that an interrupted run made and did not name."""
    tagging = sessions.client(session, "resourcegroupstaggingapi", region=place.region)
    found = tagging.get_resources(
        TagFilters=[{"Key": KEY_TAG, "Values": [str(place.alias)]}], ResourceTypeFilters=["kms:key"]
    )["ResourceTagMappingList"]
    keys = [kms.describe_key(KeyId=each["ResourceARN"])["KeyMetadata"] for each in found]
    return next((each for each in keys if each["KeyState"] == "Enabled"), None)


def _create_key(kms: Any, place: Place, tags: dict[str, str], done: Say) -> Any:
    root = f"arn:{place.partition}:iam::{place.account}:root"
    # The account's own IAM decides who uses it: `mlplat aws policy` says which rights that takes.
    allowed = Statement("Account", ["kms:*"], ["*"], {}, {"AWS": root}, own=True)
    made = kms.create_key(
        Description="Secrets in the state of mlplat's stacks, and that state.",
        Policy=document(allowed),
        Tags=[{"TagKey": key, "TagValue": value} for key, value in {**tags, KEY_TAG: str(place.alias)}.items()],
    )["KeyMetadata"]
    done(f"made the key {made['Arn']}")
    return made


def _make_bucket(s3: Any, place: Place, key: str | None, tags: dict[str, str], done: Say) -> None:
    if not _exists(s3, place):
        where = {} if place.region == "us-east-1" else {"LocationConstraint": place.region}
        s3.create_bucket(
            Bucket=place.bucket,
            **({"CreateBucketConfiguration": where} if where else {}),
            ObjectOwnership="BucketOwnerEnforced",
        )
        done(f"made the bucket {place.bucket} in {place.region}")
    for what, reads, wanted, writes in _settings(s3, place, key, tags):
        if _read(reads) != wanted:
            writes()
            done(f"set {what} of {place.bucket}")


def _exists(s3: Any, place: Place) -> bool:
    from botocore.exceptions import ClientError

    try:
        told = s3.head_bucket(Bucket=place.bucket, ExpectedBucketOwner=place.account)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:  # noqa: PLR2004
            return False
        if status == 403:  # noqa: PLR2004
            raise RefusedError(
                f"the bucket {place.bucket} is there, and is not account {place.account}'s or not for you to use",
                hint="bucket names are one list for everybody: choose another in `engine.backend`",
            ) from error
        raise
    region = told.get("BucketRegion") or told["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
    if region and region != place.region:
        raise RefusedError(
            f"the bucket {place.bucket} is in {region}, and `engine.backend` says {place.region}",
            hint=f"write `?region={region}` there, or choose another name",
        )
    return True


def _settings(s3: Any, place: Place, key: str | None, tags: dict[str, str]) -> list[tuple[str, Any, Any, Any]]:
    """Return each setting: its name, how it is read, what it is to be, how it is written."""
    own = {"Bucket": place.bucket, "ExpectedBucketOwner": place.account}
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    rule = _encryption(key)
    policy = document(*_policy(place))
    rules = _lifecycle()
    return [
        (
            "versions",
            lambda: s3.get_bucket_versioning(**own).get("Status"),
            "Enabled",
            lambda: s3.put_bucket_versioning(**own, VersioningConfiguration={"Status": "Enabled"}),
        ),
        (
            "encryption",
            lambda: s3.get_bucket_encryption(**own)["ServerSideEncryptionConfiguration"]["Rules"],
            [rule],
            lambda: s3.put_bucket_encryption(**own, ServerSideEncryptionConfiguration={"Rules": [rule]}),
        ),
        (
            "the refusal of public access",
            lambda: s3.get_public_access_block(**own)["PublicAccessBlockConfiguration"],
            closed,
            lambda: s3.put_public_access_block(**own, PublicAccessBlockConfiguration=closed),
        ),
        (
            "the policy",
            lambda: json.loads(s3.get_bucket_policy(**own)["Policy"]),
            json.loads(policy),
            lambda: s3.put_bucket_policy(**own, Policy=policy),
        ),
        (
            "the end of old versions",
            lambda: s3.get_bucket_lifecycle_configuration(**own)["Rules"],
            rules,
            lambda: s3.put_bucket_lifecycle_configuration(**own, LifecycleConfiguration={"Rules": rules}),
        ),
        (
            "the tags",
            lambda: {each["Key"]: each["Value"] for each in s3.get_bucket_tagging(**own)["TagSet"]},
            tags,
            lambda: s3.put_bucket_tagging(
                **own, Tagging={"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]}
            ),
        ),
    ]


def _encryption(key: str | None) -> dict[str, Any]:
    how = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "aws:kms"}
    return {"ApplyServerSideEncryptionByDefault": how, "BucketKeyEnabled": True}


def _policy(place: Place) -> list[Statement]:
    inside = f"{place.bucket_arn()}/*"
    locked = Statement(
        # Whoever wants that takes this statement away first, and so does it on purpose.
        "Locked",
        ["s3:DeleteBucket", "s3:DeleteObjectVersion"],
        [place.bucket_arn(), inside],
        {},
        {"AWS": "*"},
        effect="Deny",
        own=True,
    )
    return [tls_only(place.bucket_arn(), inside), locked]


def _lifecycle() -> list[dict[str, Any]]:
    return [
        {
            "ID": "old",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_DAYS},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_DAYS},
        }
    ]


def _read(reads: Callable[[], Any]) -> Any:
    from botocore.exceptions import ClientError

    try:
        return reads()
    except ClientError as error:
        # S3 answers a setting that was never made with a not-found of its own name for each.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004
            return None
        raise
