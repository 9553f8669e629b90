"""DynamoDB, Secrets Manager, ECR, SQS, SNS and Logs: what holds rows, values, images, messages and lines."""

from __future__ import annotations

from typing import Any

from fakecloud.emulated import Emulated, pairs, tagged
from fakecloud.world import Values


class Table(Emulated):
    """A DynamoDB table, paid by request."""

    service = "dynamodb"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        name = inputs["name"]
        keys = [("HASH", inputs["hashKey"])] + ([("RANGE", inputs["rangeKey"])] if "rangeKey" in inputs else [])
        made = self.aws.create_table(
            TableName=name,
            BillingMode=inputs.get("billingMode", "PAY_PER_REQUEST"),
            KeySchema=[{"AttributeName": each, "KeyType": kind} for kind, each in keys],
            AttributeDefinitions=[
                {"AttributeName": each["name"], "AttributeType": each["type"]} for each in inputs["attributes"]
            ],
            DeletionProtectionEnabled=bool(inputs.get("deletionProtectionEnabled")),
            Tags=pairs(inputs.get("tags")),
        )["TableDescription"]
        return name, {"arn": made["TableArn"]}

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.describe_table(TableName=identity)["Table"]
        tags = tagged(self.aws.list_tags_of_resource(ResourceArn=found["TableArn"])["Tags"])
        protected = bool(found.get("DeletionProtectionEnabled"))
        seen = {"name": identity, "tags": tags, "deletionProtectionEnabled": protected}
        return seen, {"arn": found["TableArn"]}

    def _change(self, identity: str, _olds: Values, news: Values) -> None:
        protected = bool(news.get("deletionProtectionEnabled"))
        self.aws.update_table(TableName=identity, DeletionProtectionEnabled=protected)
        arn = self.aws.describe_table(TableName=identity)["Table"]["TableArn"]
        self.aws.tag_resource(ResourceArn=arn, Tags=pairs(news.get("tags")))

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_table(TableName=identity)


class Secret(Emulated):
    """A secret's name and key; its value is nobody's here."""

    service = "secretsmanager"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        named: dict[str, Any] = {"Name": inputs["name"], "Tags": pairs(inputs.get("tags"))}
        if "kmsKeyId" in inputs:
            named["KmsKeyId"] = inputs["kmsKeyId"]
        made = self.aws.create_secret(**named)
        return made["ARN"], {"arn": made["ARN"]}

    def _see(self, identity: str) -> tuple[Values, Values] | None:
        found = self.aws.describe_secret(SecretId=identity)
        if "DeletedDate" in found:
            return None
        return {"name": found["Name"], "tags": tagged(found.get("Tags", []))}, {"arn": found["ARN"]}

    def _change(self, identity: str, olds: Values, news: Values) -> None:
        if "description" in news:
            self.aws.update_secret(SecretId=identity, Description=news["description"])
        self.aws.untag_resource(SecretId=identity, TagKeys=sorted({*olds.get("tags", {})} - {*news.get("tags", {})}))
        self.aws.tag_resource(SecretId=identity, Tags=pairs(news.get("tags")))

    def _end(self, identity: str, inputs: Values) -> None:
        days = inputs.get("recoveryWindowInDays", 30)
        how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        self.aws.delete_secret(SecretId=identity, **how)


class Repository(Emulated):
    """A repository of container images. One that holds images is deleted only with `forceDelete`."""

    service = "ecr"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.create_repository(
            repositoryName=inputs["name"],
            imageTagMutability=inputs.get("imageTagMutability", "MUTABLE"),
            tags=pairs(inputs.get("tags")),
        )["repository"]
        return inputs["name"], _repository(made)

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.describe_repositories(repositoryNames=[identity])["repositories"][0]
        tags = tagged(self.aws.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"])
        seen = {"name": identity, "imageTagMutability": found["imageTagMutability"], "tags": tags}
        return seen, _repository(found)

    def _change(self, identity: str, _olds: Values, news: Values) -> None:
        mutable = news.get("imageTagMutability", "MUTABLE")
        self.aws.put_image_tag_mutability(repositoryName=identity, imageTagMutability=mutable)
        arn = self.aws.describe_repositories(repositoryNames=[identity])["repositories"][0]["repositoryArn"]
        self.aws.tag_resource(resourceArn=arn, tags=pairs(news.get("tags")))

    def _end(self, identity: str, inputs: Values) -> None:
        self.aws.delete_repository(repositoryName=identity, force=bool(inputs.get("forceDelete")))


def _repository(found: dict[str, Any]) -> Values:
    return {
        "arn": found["repositoryArn"],
        "repositoryUrl": found["repositoryUri"],
        "registryId": found["registryId"],
    }


class Queue(Emulated):
    """A queue: its id is its address."""

    service = "sqs"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.create_queue(QueueName=inputs["name"], tags=inputs.get("tags", {}))["QueueUrl"]
        return made, self._outputs(made)

    def _see(self, identity: str) -> tuple[Values, Values]:
        tags = self.aws.list_queue_tags(QueueUrl=identity).get("Tags", {})
        return {"name": identity.rpartition("/")[2], "tags": tags}, self._outputs(identity)

    def _change(self, identity: str, olds: Values, news: Values) -> None:
        gone = sorted({*olds.get("tags", {})} - {*news.get("tags", {})})
        self.aws.untag_queue(QueueUrl=identity, TagKeys=gone)
        self.aws.tag_queue(QueueUrl=identity, Tags=news.get("tags", {}))

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_queue(QueueUrl=identity)

    def _outputs(self, address: str) -> Values:
        arn = self.aws.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return {"arn": arn, "url": address}


class Topic(Emulated):
    """A topic: its id is its ARN."""

    service = "sns"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.create_topic(Name=inputs["name"], Tags=pairs(inputs.get("tags")))["TopicArn"]
        return made, {"arn": made}

    def _see(self, identity: str) -> tuple[Values, Values]:
        self.aws.get_topic_attributes(TopicArn=identity)
        tags = tagged(self.aws.list_tags_for_resource(ResourceArn=identity)["Tags"])
        return {"name": identity.rpartition(":")[2], "tags": tags}, {"arn": identity}

    def _change(self, identity: str, _olds: Values, news: Values) -> None:
        self.aws.tag_resource(ResourceArn=identity, Tags=pairs(news.get("tags")))

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_topic(TopicArn=identity)


class LogGroup(Emulated):
    """Where logs go; AWS names its ARN with and without a last `:*`, and Pulumi knows the one without."""

    service = "logs"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        name = inputs["name"]
        key = {"kmsKeyId": inputs["kmsKeyId"]} if "kmsKeyId" in inputs else {}
        self.aws.create_log_group(logGroupName=name, tags=inputs.get("tags", {}), **key)
        self._keep(name, inputs)
        return name, {"arn": self._arn(name)}

    def _keep(self, name: str, inputs: Values) -> None:
        if inputs.get("retentionInDays"):
            self.aws.put_retention_policy(logGroupName=name, retentionInDays=inputs["retentionInDays"])

    def _see(self, identity: str) -> tuple[Values, Values] | None:
        groups = self.aws.describe_log_groups(logGroupNamePrefix=identity)["logGroups"]
        found = next((each for each in groups if each["logGroupName"] == identity), None)
        if found is None:
            return None
        tags = self.aws.list_tags_for_resource(resourceArn=self._arn(identity))["tags"]
        seen = {"name": identity, "retentionInDays": found.get("retentionInDays", 0), "tags": tags}
        return seen, {"arn": self._arn(identity)}

    def _change(self, identity: str, olds: Values, news: Values) -> None:
        self._keep(identity, news)
        gone = sorted({*olds.get("tags", {})} - {*news.get("tags", {})})
        self.aws.untag_resource(resourceArn=self._arn(identity), tagKeys=gone)
        self.aws.tag_resource(resourceArn=self._arn(identity), tags=news.get("tags", {}))

    def _end(self, identity: str, inputs: Values) -> None:
        if not inputs.get("skipDestroy"):
            self.aws.delete_log_group(logGroupName=identity)

    def _arn(self, name: str) -> str:
        place = self.place
        return f"arn:{place.partition}:logs:{place.region}:{place.account}:log-group:{name}"


KINDS = {
    "aws:cloudwatch/logGroup:LogGroup": LogGroup,
    "aws:dynamodb/table:Table": Table,
    "aws:secretsmanager/secret:Secret": Secret,
    "aws:ecr/repository:Repository": Repository,
    "aws:sqs/queue:Queue": Queue,
    "aws:sns/topic:Topic": Topic,
}
