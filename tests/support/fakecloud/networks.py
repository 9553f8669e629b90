"""EC2's network: moto keeps the order in which its parts can be deleted, as AWS does."""

from __future__ import annotations

from typing import Any

from fakecloud.emulated import Emulated, pairs, tagged
from fakecloud.world import Values


class Part(Emulated):
    """A part of a network that EC2 gives an id; its tags are all that changes in place."""

    service = "ec2"
    noun: str
    """EC2's word for it, as in `vpc-id`."""

    def _change(self, identity: str, olds: Values, news: Values) -> None:
        gone = sorted({*olds.get("tags", {})} - {*news.get("tags", {})})
        if gone:
            self.aws.delete_tags(Resources=[identity], Tags=[{"Key": name} for name in gone])
        if news.get("tags"):
            self.aws.create_tags(Resources=[identity], Tags=pairs(news["tags"]))

    def _tagging(self, inputs: Values) -> list[dict[str, Any]]:
        tags = pairs(inputs.get("tags"))
        return [{"ResourceType": self.noun, "Tags": tags}] if tags else []

    def _arn(self, identity: str) -> str:
        place = self.place
        return f"arn:{place.partition}:ec2:{place.region}:{place.account}:{self.noun}/{identity}"


class Vpc(Part):
    """A network."""

    noun = "vpc"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.create_vpc(CidrBlock=inputs["cidrBlock"], TagSpecifications=self._tagging(inputs))["Vpc"]
        identity = made["VpcId"]
        for name in ("enableDnsSupport", "enableDnsHostnames"):
            if name in inputs:
                told = {name[0].upper() + name[1:]: {"Value": inputs[name]}}
                self.aws.modify_vpc_attribute(VpcId=identity, **told)
        return identity, self._outputs(identity)

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.describe_vpcs(VpcIds=[identity])["Vpcs"][0]
        return {"cidrBlock": found["CidrBlock"], "tags": tagged(found.get("Tags", []))}, self._outputs(identity)

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_vpc(VpcId=identity)

    def _outputs(self, identity: str) -> Values:
        here = [{"Name": "vpc-id", "Values": [identity]}]
        groups = self.aws.describe_security_groups(Filters=[*here, {"Name": "group-name", "Values": ["default"]}])
        tables = self.aws.describe_route_tables(Filters=here)["RouteTables"]
        acls = self.aws.describe_network_acls(Filters=here)["NetworkAcls"]
        main = next(each for each in tables if any(one.get("Main") for one in each["Associations"]))
        return {
            "arn": self._arn(identity),
            "defaultSecurityGroupId": groups["SecurityGroups"][0]["GroupId"],
            "defaultRouteTableId": main["RouteTableId"],
            "mainRouteTableId": main["RouteTableId"],
            "defaultNetworkAclId": next(each["NetworkAclId"] for each in acls if each["IsDefault"]),
        }


class Subnet(Part):
    """A part of a network in one zone."""

    noun = "subnet"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.create_subnet(
            VpcId=inputs["vpcId"],
            CidrBlock=inputs["cidrBlock"],
            AvailabilityZone=inputs["availabilityZone"],
            TagSpecifications=self._tagging(inputs),
        )["Subnet"]
        return made["SubnetId"], {"arn": made["SubnetArn"]}

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.describe_subnets(SubnetIds=[identity])["Subnets"][0]
        seen = {
            "vpcId": found["VpcId"],
            "cidrBlock": found["CidrBlock"],
            "availabilityZone": found["AvailabilityZone"],
            "tags": tagged(found.get("Tags", [])),
        }
        return seen, {"arn": found["SubnetArn"]}

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_subnet(SubnetId=identity)


class SecondaryCidr(Part):
    """A second range of a network's addresses."""

    noun = "vpc-cidr-block"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.associate_vpc_cidr_block(VpcId=inputs["vpcId"], CidrBlock=inputs["cidrBlock"])
        return made["CidrBlockAssociation"]["AssociationId"], {}

    def _see(self, identity: str) -> tuple[Values, Values] | None:
        for vpc in self.aws.describe_vpcs()["Vpcs"]:
            for each in vpc.get("CidrBlockAssociationSet", []):
                if each["AssociationId"] == identity and each["CidrBlockState"]["State"] == "associated":
                    return {"vpcId": vpc["VpcId"], "cidrBlock": each["CidrBlock"]}, {}
        return None

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.disassociate_vpc_cidr_block(AssociationId=identity)


class InternetGateway(Part):
    """The way out of a network."""

    noun = "internet-gateway"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.create_internet_gateway(TagSpecifications=self._tagging(inputs))["InternetGateway"]
        identity = made["InternetGatewayId"]
        if "vpcId" in inputs:
            self.aws.attach_internet_gateway(InternetGatewayId=identity, VpcId=inputs["vpcId"])
        return identity, {"arn": self._arn(identity)}

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.describe_internet_gateways(InternetGatewayIds=[identity])["InternetGateways"][0]
        attached = [each["VpcId"] for each in found["Attachments"]]
        return {**({"vpcId": attached[0]} if attached else {}), "tags": tagged(found.get("Tags", []))}, {
            "arn": self._arn(identity)
        }

    def _end(self, identity: str, inputs: Values) -> None:
        if "vpcId" in inputs:
            self.aws.detach_internet_gateway(InternetGatewayId=identity, VpcId=inputs["vpcId"])
        self.aws.delete_internet_gateway(InternetGatewayId=identity)


class SecurityGroup(Part):
    """Whom a thing in a network hears."""

    noun = "security-group"

    def _make(self, inputs: Values) -> tuple[str, Values]:
        made = self.aws.create_security_group(
            GroupName=inputs["name"],
            Description=inputs.get("description", "Managed by Pulumi"),
            VpcId=inputs["vpcId"],
            TagSpecifications=self._tagging(inputs),
        )["GroupId"]
        return made, {"arn": self._arn(made)}

    def _see(self, identity: str) -> tuple[Values, Values]:
        found = self.aws.describe_security_groups(GroupIds=[identity])["SecurityGroups"][0]
        seen = {
            "name": found["GroupName"],
            "description": found["Description"],
            "vpcId": found["VpcId"],
            "tags": tagged(found.get("Tags", [])),
        }
        return seen, {"arn": self._arn(identity)}

    def _end(self, identity: str, _inputs: Values) -> None:
        self.aws.delete_security_group(GroupId=identity)


KINDS = {
    "aws:ec2/vpc:Vpc": Vpc,
    "aws:ec2/subnet:Subnet": Subnet,
    "aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation": SecondaryCidr,
    "aws:ec2/internetGateway:InternetGateway": InternetGateway,
    "aws:ec2/securityGroup:SecurityGroup": SecurityGroup,
}
