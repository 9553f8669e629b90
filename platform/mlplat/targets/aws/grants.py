"""Statements that workloads are made of: which actions on which part of a bucket, a table, a secret.

Every statement names what it is about. A key can be used only by way of the service whose things it encrypts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlplat.contracts import PREDICTIONS
from mlplat.targets.aws.iam import Statement, Texts
from mlplat.targets.aws.online import live_table, table_prefix, user_id
from mlplat.targets.aws.site import Site

READ = ("s3:GetObject",)
WRITE = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:PutObject")
LOOK = "dynamodb:DescribeTable"
READ_ITEMS = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")
WRITE_ITEMS = ("dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
ROWS = ("dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Scan")
"""What the feature server does with rows: all of a view are read to erase those of an entity."""
TEAM_BUCKETS = ("artifacts", "data", "features", "pipelines")
"""Buckets in which each team has a part, under its own name."""
EVENTS = "mlplat.events"
"""Part of the data bucket that the stream fills for all; no team is called so, for a label holds no dot."""


@dataclass(frozen=True)
class Wiring:
    """What statements name; ARNs are texts where the program knows them, and outputs where only AWS does."""

    site: Site
    buckets: Mapping[str, Texts]
    """ARN by kind: `data`, `artifacts`, `features`, `pipelines`."""
    data_key_arn: Texts
    database_key_arn: Texts
    master_secret_arn: Texts
    application_secret_arns: Sequence[Texts] = field(default=())
    online: str = "dynamodb"
    """Kind of the online store."""
    stream_arn: Texts | None = None
    alerts_arn: Texts | None = None
    """Topic by which people are told."""
    alerts_key_arn: Texts | None = None
    """Key of what is written to it."""


def bucket(wiring: Wiring, kind: str, *, write: bool = False) -> tuple[Statement, ...]:
    """Return the right to a whole bucket."""
    arn = wiring.buckets[kind]
    name = kind.title()
    return (
        Statement(f"List{name}", ["s3:GetBucketLocation", "s3:ListBucket"], [arn]),
        Statement(f"{name}Objects", [*READ, *(WRITE if write else ())], [below(arn, "*")]),
    )


def prefix(wiring: Wiring, kind: str, team: str, *, write: bool = False) -> tuple[Statement, ...]:
    """Return the right to a team's part of a bucket.

    What may be listed begins with the name and a slash: without it, `flights` would also list `flights-eu`.
    """
    arn = wiring.buckets[kind]
    name = kind.title()
    return (
        Statement(f"List{name}", ["s3:ListBucket"], [arn], {"StringLike": {"s3:prefix": [f"{team}/*"]}}),
        Statement(f"{name}Objects", [*READ, *(WRITE if write else ())], [below(arn, f"{team}/*")]),
    )


def bundles(wiring: Wiring) -> tuple[Statement, ...]:
    """Return the right to publish every team's models to where its servers fetch them, and to take them away again."""
    return (Statement("Bundles", [*WRITE], [below(wiring.buckets["artifacts"], "*/bundles/*")]),)


def prediction_log(wiring: Wiring, team: str) -> tuple[Statement, ...]:
    """Return the right to add to a team's prediction log, without reading it."""
    objects = below(wiring.buckets["data"], f"{team}/{PREDICTIONS}/*")
    return (Statement("PredictionLog", ["s3:AbortMultipartUpload", "s3:PutObject"], [objects]),)


def log_keeper(wiring: Wiring) -> tuple[Statement, ...]:
    """Return the right to remove what is too old or too much of every team's prediction logs, without reading them."""
    arn = wiring.buckets["data"]
    listed = {"StringLike": {"s3:prefix": [f"*/{PREDICTIONS}/*"]}}
    return (
        Statement("ListPredictionLogs", ["s3:ListBucket"], [arn], listed),
        Statement("OldPredictions", ["s3:DeleteObject"], [below(arn, f"*/{PREDICTIONS}/*")]),
    )


def events(wiring: Wiring) -> tuple[Statement, ...]:
    """Return the right to read what the stream has left in the data bucket, and to write into the stream."""
    if wiring.stream_arn is None:
        return ()
    arn = wiring.buckets["data"]
    return (
        Statement("ListEvents", ["s3:ListBucket"], [arn], {"StringLike": {"s3:prefix": [f"{EVENTS}/*"]}}),
        Statement("EventObjects", [*READ], [below(arn, f"{EVENTS}/*")]),
        Statement("Stream", ["kinesis:DescribeStreamSummary", "kinesis:PutRecord", "kinesis:PutRecords"],
                  [wiring.stream_arn]),
    )  # fmt: skip


def data_key(wiring: Wiring, *services: str) -> Statement:
    """Return the right to use the key of data by way of services, such as `s3`, and in no other."""
    return _key("DataKey", wiring, wiring.data_key_arn, services)


def online_owner(wiring: Wiring) -> tuple[Statement, ...]:
    """Return the right to make and fill the tables of features, of which nobody else reads a row, or all of Valkey."""
    if wiring.online == "valkey":
        return (_connect(wiring, "features"),)
    return (Statement("Tables", ["dynamodb:CreateTable", LOOK, *ROWS], [_feature_tables(wiring.site)]),)


def online_writer(wiring: Wiring, team: str) -> tuple[Statement, ...]:
    """Return the right to read and write a team's live rows; features are written by way of the feature server."""
    if wiring.online == "valkey":
        return (_connect(wiring, f"{team}-pipeline"),)
    return _live(wiring, team, READ_ITEMS + WRITE_ITEMS)


def online_reader(wiring: Wiring, team: str) -> tuple[Statement, ...]:
    """Return the right to read a team's live rows; features are looked up by way of the feature server."""
    if wiring.online == "valkey":
        return (_connect(wiring, f"{team}-serving"),)
    return _live(wiring, team, READ_ITEMS)


def secrets_reader(wiring: Wiring) -> tuple[Statement, ...]:
    """Return the right to read every secret of the platform's path, and none beside it."""
    path = wiring.site.arn("secretsmanager", f"secret:{wiring.site.path('*')}")
    return (
        Statement("Secrets", ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], [path]),
        _key("DataKey", wiring, wiring.data_key_arn, ["secretsmanager"], write=False),
        _key("DatabaseKey", wiring, wiring.database_key_arn, ["secretsmanager"], write=False),
    )


def databases(wiring: Wiring) -> tuple[Statement, ...]:
    """Return the right to read the master's secret, and to write those of applications."""
    actions = ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")
    return (
        Statement("Master", actions, [wiring.master_secret_arn]),
        Statement("Applications", [*actions, "secretsmanager:PutSecretValue"], wiring.application_secret_arns),
        _key("DatabaseKey", wiring, wiring.database_key_arn, ["secretsmanager"]),
    )


def tables(wiring: Wiring) -> tuple[Statement, ...]:
    """Return the right to give tables key, recovery and protection, without reading a row."""
    actions = (
        "dynamodb:DescribeContinuousBackups",
        "dynamodb:DescribeTable",
        "dynamodb:ListTagsOfResource",
        "dynamodb:TagResource",
        "dynamodb:UpdateContinuousBackups",
        "dynamodb:UpdateTable",
    )
    made = [wiring.site.arn("dynamodb", f"table/{table_prefix(wiring.site)}*")]
    grant = Statement(
        "Grant",
        ["kms:CreateGrant"],
        [wiring.data_key_arn],
        {
            "StringEquals": {"kms:ViaService": via(wiring.site, "dynamodb")},
            "Bool": {"kms:GrantIsForAWSResource": "true"},
        },
    )
    return (
        Statement("Names", ["dynamodb:ListTables"]),
        Statement("Tables", actions, made),
        _key("DataKey", wiring, wiring.data_key_arn, ["dynamodb"]),
        grant,
    )


def alerts(wiring: Wiring, topics: Sequence[str | None]) -> tuple[Statement, ...]:
    """Return the right to publish to topics; None stands for the account's own, whose key it then may use."""
    arns = [wiring.alerts_arn if each is None else each for each in topics]
    publish = Statement("Publish", ["sns:Publish"], [each for each in arns if each is not None])
    if None not in topics or wiring.alerts_key_arn is None:
        return (publish,)
    return (publish, _key("AlertsKey", wiring, wiring.alerts_key_arn, ["sns"]))


def below(arn: Texts, path: str) -> Texts:
    """Return the ARN of objects of a bucket."""
    return f"{arn}/{path}" if isinstance(arn, str) else arn.apply(lambda found: f"{found}/{path}")


def via(site: Site, *services: str) -> list[str]:
    """Return what `kms:ViaService` names."""
    return [f"{each}.{site.region}.amazonaws.com" for each in services]


def _feature_tables(site: Site) -> str:
    # Of a project and a view: that of live rows has no second dot.
    return site.arn("dynamodb", f"table/{table_prefix(site)}*.*")


def _live(wiring: Wiring, team: str, actions: Sequence[str]) -> tuple[Statement, ...]:
    arn = wiring.site.arn("dynamodb", f"table/{live_table(wiring.site)}")
    # `ForAllValues` also holds where a request names no key: a scan, which is not among the actions.
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{team}/*"]}}
    return Statement("LiveTable", [LOOK], [arn]), Statement("LiveRows", actions, [arn], own)


def _connect(wiring: Wiring, user: str) -> Statement:
    site = wiring.site
    made = [f"replicationgroup:{user_id(site, 'online')}", f"user:{user_id(site, user)}"]
    return Statement("Connect", ["elasticache:Connect"], [site.arn("elasticache", each) for each in made])


def _key(sid: str, wiring: Wiring, arn: Texts, services: Sequence[str], *, write: bool = True) -> Statement:
    actions = ["kms:Decrypt", "kms:DescribeKey", *(["kms:GenerateDataKey"] if write else [])]
    return Statement(sid, actions, [arn], {"StringEquals": {"kms:ViaService": via(wiring.site, *services)}})
