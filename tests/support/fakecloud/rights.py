"""IAM and KMS: roles with their policies, keys with their names."""

from __future__ import annotations

import json
from urllib.parse import unquote

from fakecloud.emulated import Emulated, pairs, tagged
from fakecloud.world import Values


def _document(text: str | Values) -> str:
    """Return a policy in the one form that mlplat writes, so that two of the same meaning are the same."""
    value = json.loads(unquote(text)) if isinstance(text, str) else text
    return json.dumps(value, sort_keys=True)


class Role(Emulated):
    """A role."""

    service = "iam"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.create_role(
            RoleName=inputs["name"],
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            Tags=pairs(inputs.get("tags")),
            **({"PermissionsBoundary": inputs["permissionsBoundary"]} if "permissionsBoundary" in inputs else {}),
            **({"MaxSessionDuration": inputs["maxSessionDuration"]} if "maxSessionDuration" in inputs else {}),
        )["Role"]
        return inputs["name"], {"arn": made["Arn"], "uniqueId": made["RoleId"]}

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.get_role(RoleName=identity)["Role"]
        tags = tagged(self.aws.list_role_tags(RoleName=identity)["Tags"])
        trust = _document(found["AssumeRolePolicyDocument"])
        seen = {"name": identity, "assumeRolePolicy": trust, "tags": tags}
        return seen, {"arn": found["Arn"], "uniqueId": found["RoleId"]}

    def _change(self, identity: str, olds: Values, news: Values) -> None:
        self.aws.update_assume_role_policy(RoleName=identity, PolicyDocument=news["assumeRolePolicy"])
        gone = [name for name in olds.get("tags", {}) if name not in news.get("tags", {})]
        self.aws.untag_role(RoleName=identity, TagKeys=gone)
        self.aws.tag_role(RoleName=identity, Tags=pairs(news.get("tags")))

    def _end(self, identity: str, inputs: Values) -> None:
        self.aws.delete_role(RoleName=identity)


class RolePolicy(Emulated):
    """A policy inside a role: `role:name`."""

    service = "iam"
    named = True

    def _make(self, inputs: Values) -> tuple[str, Values]:
        self.aws.put_role_policy(RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"])
        return f"{inputs['role']}:{inputs['name']}", {}

    def _see(self, identity: str) -> tuple[Values, Values]:
        role, _, name = identity.partition(":")
        found = self.aws.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        return {"role": role, "name": name, "policy": _document(found)}, {}

    def _change(self, identity: str, _olds: Values, news: Values) -> None:
        self._make({**news, "name": identity.partition(":")[2]})

    def _end(self, identity: str, _inputs: Values) -> None:
        role, _, name = identity.partition(":")
        self.aws.delete_role_policy(RoleName=role, PolicyName=name)


class Policy(Emulated):
    """A policy by itself; of its versions, which AWS limits to five, only the newest is kept."""

    service = "iam"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        named = {"Path": inputs["path"]} if "path" in inputs else {}
        made = self.aws.create_policy(
            PolicyName=inputs["name"], PolicyDocument=inputs["policy"], Tags=pairs(inputs.get("tags")), **named
        )["Policy"]
        return made["Arn"], {"arn": made["Arn"], "policyId": made["PolicyId"]}

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.get_policy(PolicyArn=identity)["Policy"]
        version = self.aws.get_policy_version(PolicyArn=identity, VersionId=found["DefaultVersionId"])["PolicyVersion"]
        seen = {"name": found["PolicyName"], "policy": _document(version["Document"])}
        return seen, {"arn": identity, "policyId": found["PolicyId"]}

    def _change(self, identity: str, _olds: Values, news: Values) -> None:
        before = self.aws.list_policy_versions(PolicyArn=identity)["Versions"]
        self.aws.create_policy_version(PolicyArn=identity, PolicyDocument=news["policy"], SetAsDefault=True)
        for each in before:
            self.aws.delete_policy_version(PolicyArn=identity, VersionId=each["VersionId"])

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_policy(PolicyArn=identity)


class Attachment(Emulated):
    """A policy at a role: `role:arn`."""

    service = "iam"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        self.aws.attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
        return f"{inputs['role']}:{inputs['policyArn']}", {}

    def _see(self, identity: str) -> tuple[Values, Values] | None:
        role, _, arn = identity.partition(":")
        found = self.aws.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        there = any(each["PolicyArn"] == arn for each in found)
        return ({"role": role, "policyArn": arn}, {}) if there else None

    def _end(self, identity: str, _inputs: Values) -> None:
        role, _, arn = identity.partition(":")
        self.aws.detach_role_policy(RoleName=role, PolicyArn=arn)


class Key(Emulated):
    """An encryption key. Deleted, it waits; whoever looks finds it gone."""

    service = "kms"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.create_key(
            Description=inputs.get("description", ""), Tags=pairs(inputs.get("tags"), "TagKey", "TagValue")
        )["KeyMetadata"]
        self._set(made["KeyId"], inputs)
        return made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]}

    def _set(self, identity: str, inputs: Values) -> None:
        if "policy" in inputs:
            self.aws.put_key_policy(KeyId=identity, PolicyName="default", Policy=inputs["policy"])
        turn = self.aws.enable_key_rotation if inputs.get("enableKeyRotation") else self.aws.disable_key_rotation
        turn(KeyId=identity)

    def _see(self, identity: str) -> tuple[Values, Values] | None:
        found = self.aws.describe_key(KeyId=identity)["KeyMetadata"]
        if found["KeyState"] == "PendingDeletion":
            return None
        rotates = self.aws.get_key_rotation_status(KeyId=identity)["KeyRotationEnabled"]
        policy = _document(self.aws.get_key_policy(KeyId=identity, PolicyName="default")["Policy"])
        tags = tagged(self.aws.list_resource_tags(KeyId=identity)["Tags"], "TagKey", "TagValue")
        seen = {
            "description": found["Description"],
            "enableKeyRotation": rotates,
            "policy": policy,
            "tags": tags,
        }
        return seen, {"arn": found["Arn"], "keyId": identity}

    def _change(self, identity: str, olds: Values, news: Values) -> None:
        self._set(identity, news)
        self.aws.update_key_description(KeyId=identity, Description=news.get("description", ""))
        gone = [name for name in olds.get("tags", {}) if name not in news.get("tags", {})]
        self.aws.untag_resource(KeyId=identity, TagKeys=gone)
        self.aws.tag_resource(KeyId=identity, Tags=pairs(news.get("tags"), "TagKey", "TagValue"))

    def _end(self, identity: str, inputs: Values) -> None:
        self.aws.schedule_key_deletion(KeyId=identity, PendingWindowInDays=inputs.get("deletionWindowInDays", 30))


class Alias(Emulated):
    """A key's name."""

    service = "kms"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        self.aws.create_alias(AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"])
        return inputs["name"], self._outputs(inputs["name"])

    def _see(self, identity: str) -> tuple[Values, Values] | None:
        found = [each for each in self.aws.list_aliases()["Aliases"] if each["AliasName"] == identity]
        if not found:
            return None
        return {"name": identity, "targetKeyId": found[0]["TargetKeyId"]}, self._outputs(identity)

    def _change(self, identity: str, _olds: Values, news: Values) -> None:
        self.aws.update_alias(AliasName=identity, TargetKeyId=news["targetKeyId"])

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_alias(AliasName=identity)

    def _outputs(self, name: str) -> Values:
        place = self.place
        return {"arn": f"arn:{place.partition}:kms:{place.region}:{place.account}:{name}"}


KINDS = {
    "aws:iam/role:Role": Role,
    "aws:iam/rolePolicy:RolePolicy": RolePolicy,
    "aws:iam/policy:Policy": Policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Attachment,
    "aws:kms/key:Key": Key,
    "aws:kms/alias:Alias": Alias,
}
