"""A capture as Terraform JSON, which checkov can judge: is it encrypted, closed, logged, kept.

checkov checks what it knows by its type and by the names of its blocks; a wrong name is no error, the resource is
simply not checked. So the names are tested against checkov's own, and the number of checks that ran is part of the
result.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awsshapes
from capture import TOKEN, Graph, Made
from commands import ROOT

REQUIREMENTS = ROOT / "requirements" / "checkov.txt"
FOLDER = ROOT / ".cache" / "checkov"
"""Where its environment lies: beside what else the repository makes once, in CI's cache too."""

TYPES: Mapping[str, str] = {
    "aws:cloudtrail/trail:Trail": "aws_cloudtrail",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "aws_ce_anomaly_monitor",
    "aws:costexplorer/anomalySubscription:AnomalySubscription": "aws_ce_anomaly_subscription",
    "aws:ec2/tag:Tag": "aws_ec2_tag",
    "aws:rds/instance:Instance": "aws_db_instance",
    "aws:rds/parameterGroup:ParameterGroup": "aws_db_parameter_group",
    "aws:rds/subnetGroup:SubnetGroup": "aws_db_subnet_group",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "aws_vpc_security_group_egress_rule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "aws_vpc_security_group_ingress_rule",
}
"""Types whose names no rule gives."""
WITHOUT_MODULE = {"ec2", "lb", "alb", "kinesis"}
"""Modules that are not part of the name: `aws_subnet`. Kinesis is in its types' names where it is at all."""
WORDS = {
    "kinesis/stream": "aws_kinesis_stream",
    "kinesis/firehoseDeliveryStream": "aws_kinesis_firehose_delivery_stream",
}

BLOCKS: Mapping[tuple[str, str], str] = {
    ("aws_kinesis_firehose_delivery_stream", "parameters"): "parameters",
    ("aws_kinesis_firehose_delivery_stream", "processors"): "processors",
    ("aws_launch_template", "block_device_mappings"): "block_device_mappings",
    ("aws_launch_template", "tag_specifications"): "tag_specifications",
}
"""Repeated blocks that are plural in Terraform too; the others are singular there."""
FREE = {"tags", "labels", "resource_tags", "recovery_point_tags"}
"""Maps whose keys are the user's own."""


@dataclass(frozen=True)
class Report:
    """What checkov said of one graph."""

    passed: int
    """Checks that ran and found nothing."""
    failed: tuple[tuple[str, str, str], ...]
    """Check, key of the resource, and what the check asks for."""
    checked: frozenset[str]
    """Keys of the resources of which it checked anything."""


def type_of(kind: str) -> str:
    """Return Terraform's name of a type of pulumi-aws."""
    if found := TYPES.get(kind):
        return found
    module, name = re.fullmatch(r"aws:(\w+)/(\w+):\w+", kind).groups()  # type: ignore[union-attr]
    if known := WORDS.get(f"{module}/{name}"):
        return known
    return f"aws_{snake(name)}" if module in WITHOUT_MODULE else f"aws_{module}_{snake(name)}"


def snake(name: str) -> str:
    """Return a camelCase name as Terraform writes it: `cidrIpv4` is `cidr_ipv4`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def rendered(graph: Graph) -> dict[str, Any]:
    """Return a graph's resources of AWS as one Terraform JSON file."""
    made: dict[str, dict[str, Any]] = {}
    for each in graph:
        if each.custom and each.type.startswith("aws:"):
            kind = type_of(each.type)
            inputs = _linked(graph, each)
            made.setdefault(kind, {})[label(each)] = _block(_referenced(graph, inputs), kind)
    return {"resource": made}


def label(made: Made) -> str:
    """Return a resource's name, which says its type too: checkov's reports leave the type out now and then."""
    return re.sub(r"\W", "_", f"{type_of(made.type)}__{made.name}")


def _linked(graph: Graph, made: Made) -> dict[str, Any]:
    """Return inputs in which a thing's known name is an output of it, as a program would have written it.

    A name that the program has set is a plain text in a capture. checkov follows references only: a bucket whose
    encryption names it by text is unencrypted to it.
    """
    names: dict[str, str] = {}
    # Of two that know it by that name, such as a bucket and its versioning, the bucket comes first in the alphabet.
    for key in made.depends_on:
        other = awsshapes.find(graph, key)
        for each in awsshapes.NAMES if other else ():
            if isinstance(known := other.inputs.get(each), str) and not TOKEN.search(known):  # type: ignore[union-attr]
                names.setdefault(known, f"${{{key}.id}}")
    return {name: names.get(each, each) if isinstance(each, str) else each for name, each in made.inputs.items()}


def _block(value: Any, kind: str) -> Any:
    if isinstance(value, list):
        return [_block(each, kind) for each in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, each in value.items():
        plain = snake(name)
        made[_name(kind, plain, each)] = each if plain in FREE else _block(each, kind)
    return made


def _name(kind: str, name: str, value: Any) -> str:
    if found := BLOCKS.get((kind, name)):
        return found
    is_block = isinstance(value, list) and value and isinstance(value[0], dict)
    if not is_block or not name.endswith("s"):
        return name
    return name[:-1]


def _referenced(graph: Graph, value: Any) -> Any:
    def one(key: str, output: str) -> Any:
        made = awsshapes.find(graph, key)
        if made is None or not made.type.startswith("aws:"):
            return awsshapes.literal(graph, key, output)
        return f"${{{type_of(made.type)}.{label(made)}.{snake(output)}}}"

    # What belongs to IAM, `${aws:PrincipalTag/team}`, is written `$${…}` in Terraform.
    return awsshapes.walk(_escaped(value), one)


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _escaped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"\$\{", lambda found: found[0] if TOKEN.match(value, found.start()) else "$${", value)
    return value


def findings(graph: Graph) -> list[str]:
    """Return what checkov finds; each begins with the key of the resource."""
    return [f"{key}: {check} {title}" for check, key, title in report(graph).failed]


def report(graph: Graph) -> Report:
    """Run checkov over a graph."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.tf.json").write_text(json.dumps(rendered(graph), indent=1))
        found = json.loads(_checkov(folder))
    results = found["results"]
    keys = _keys(graph)
    failed = tuple(
        sorted((each["check_id"], keys[_last(each)], each["check_name"]) for each in results["failed_checks"])
    )
    both = [*results["passed_checks"], *results["failed_checks"]]
    assert not results["parsing_errors"], results["parsing_errors"]
    return Report(len(results["passed_checks"]), failed, frozenset(keys[_last(each)] for each in both))


def _last(result: Mapping[str, Any]) -> str:
    return str(result["resource"]).rpartition(".")[2]


def _keys(graph: Graph) -> dict[str, str]:
    return {label(each): each.key for each in graph if each.custom and each.type.startswith("aws:")}


def _checkov(folder: str) -> str:
    python = environment()
    options = ["--framework", "terraform_json", "--compact", "--output", "json", "--skip-download", "--soft-fail"]
    done = subprocess.run(
        [str(python), "-m", "checkov.main", "--directory", folder, *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LOG_LEVEL": "ERROR", "BC_SKIP_MAPPING": "TRUE", "CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@functools.cache
def environment() -> Path:
    """Return checkov's own Python, installing it the first time: its pins fit into no other environment here."""
    from mlplat import environment as environments

    return environments.ensure(REQUIREMENTS, FOLDER, progress=print)


@functools.cache
def known() -> frozenset[str]:
    """Return every type of AWS that any check of checkov's names."""
    environment()
    folders = [each / "terraform" / "checks" for each in FOLDER.glob("lib/python*/site-packages/checkov")]
    files = (each for folder in folders for kind in ("*.py", "*.yaml", "*.json") for each in folder.rglob(kind))
    return frozenset(name for each in files for name in re.findall(r"\baws_[a-z0-9_]+\b", each.read_text()))
