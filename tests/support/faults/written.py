"""Faults in a stack file: the document or the program refuses them, before anything is declared."""

from __future__ import annotations

from faults.base import Fault, program, spec

P = "aws.network"

WRITTEN: list[Fault] = [
    spec(
        "API of production open to everybody", {"aws.cluster.public_access_cidrs": ["0.0.0.0/0"]}, "opens the cluster"
    ),
    spec("API of production open to all of IPv6", {"aws.cluster.public_access_cidrs": ["::/0"]}, "opens the cluster"),
    spec("production unprotected", {"aws.protected": False}, "protected"),
    spec("production's cluster can be deleted", {"aws.cluster.deletion_protection": False}, "deletion_protection"),
    spec("production's database can be deleted", {"aws.database.deletion_protection": False}, "deletion_protection"),
    spec("public range as network", {f"{P}.cidr": "11.12.0.0/16"}, "no private network"),
    spec("network of a whole class A", {f"{P}.cidr": "10.0.0.0/8"}, "not between"),
    spec("network too small for three zones", {f"{P}.cidr": "10.64.0.0/26"}, "not between"),
    spec("host bits in a network", {f"{P}.cidr": "10.64.0.1/16"}, "host bits"),
    spec("range that is none", {f"{P}.cidr": "10.64.0.0/33"}, "cidr"),
    spec("pods in the network's own range", {f"{P}.pod_cidr": "10.65.0.0/16"}, "100.64.0.0/10"),
    spec("one zone", {f"{P}.zones": ["a"]}, "zones"),
    spec("zone twice", {f"{P}.zones": ["a", "a"]}, "twice"),
    spec("zone that no region has", {f"{P}.zones": ["a", "z"]}, "zones"),
    spec("nodes cut off", {f"{P}.nat": "none"}, "cuts the nodes off"),
    spec("isolated, with a way out", {f"{P}.isolated": True, f"{P}.nat": "single"}, "exclude each other"),
    spec("pool with more at least than at most", {"pools.cpu.min_size": 21}, "is more than"),
    spec("pool of nobody", {"pools.cpu.teams": ["fligths"]}, "not among `teams`"),
    spec("key misspelt", {"pools.cpu.max_szie": 3}, "max_szie"),
    spec("spot of one family", {"pools.cpu.instance_types": ["m7i.xlarge", "m7i.2xlarge"]}, "two families"),
    spec("reserved without a reservation", {"pools.several-nodes.reservations": []}, "go together"),
    spec("budget that nobody hears of", {"cost.emails": []}, "emails"),
    spec("address without a host", {"cost.emails": ["ml-platform"]}, "emails"),
    spec("negative budget", {"cost.budget_usd": -5}, "budget_usd"),
    spec("version as a number", {"aws.cluster.version": 1.35}, "version"),
    spec("account as a number", {"aws.account": 444455556666}, "account"),
    spec("account of eleven digits", {"aws.account": "44445555666"}, "account"),
    spec("zone as region", {"aws.region": "eu-west-1a"}, "region"),
    spec("disk that cannot grow", {"aws.database.max_storage_gib": 100}, "not more than"),
    spec("lock longer than the copies", {"aws.backup.lock_days": 36}, "longer than"),
    spec("runner without a repository", {"aws.runner": {"enabled": True}}, "repository"),
    spec("key gone in three days", {"aws.keys.deletion_days": 3}, "deletion_days"),
    spec("key turned every month", {"aws.keys.rotation_days": 30}, "rotation_days"),
    spec("log type that there is not", {"aws.cluster.log_types": ["apis"]}, "log_types"),
    spec("more nodes wanted than allowed", {"aws.cluster.system_nodes.size": 7}, "is more than"),
    spec("one system node", {"aws.cluster.system_nodes.size": 1}, "size"),
    spec("user as administrator", {"aws.cluster.admins": ["arn:aws:iam::444455556666:user/ann"]}, "admins"),
    spec("boundary that is a role", {"aws.identities.boundary": "arn:aws:iam::444455556666:role/b"}, "boundary"),
    spec("time of day as 8 pm", {"aws.cluster.nights": {"down": "8 pm"}}, "down", "dev"),
    program("production asleep", {"aws.cluster.nights": {}}, "night"),
    program("Kubernetes that there is not", {"aws.cluster.version": "1.99"}, "1.99"),
    program("machine that there is not", {"pools.cpu.instance_types": ["m7i.2xlarge", "m99.large"]}, "m99.large"),
    program("dearer than its cap", {"cost.max_monthly_usd": 100.0}, "cost.max_monthly_usd"),
    program("time zone that there is not", {"aws.cluster.nights.time_zone": "Europe/Dubblin"}, "Dubblin", "dev"),
]
