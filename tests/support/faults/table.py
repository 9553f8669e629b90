"""Every seeded fault, and those that nothing here finds."""

from __future__ import annotations

from faults.base import Fault, rule
from faults.cluster import CLUSTER
from faults.data import DATA
from faults.governance import GOVERNANCE
from faults.network import NETWORK
from faults.papers import PAPERS
from faults.program import PROGRAM
from faults.security import SECURITY
from faults.values import VALUES
from faults.written import WRITTEN

FAULTS: list[Fault] = [*WRITTEN, *VALUES, *SECURITY, *PAPERS, *NETWORK, *CLUSTER, *DATA, *GOVERNANCE, *PROGRAM]

NEIGHBOUR = "arn:aws:s3:::mlplat-prod-012345-features-444455556666/*"

KNOWN: list[tuple[Fault, str]] = [
    (
        Fault(
            "image of machines that was never made",
            "",
            {"spec.amiSelectorTerms.0.alias": "al2023@v20991231"},
            "EC2NodeClass",
        ),
        "AWS alone lists its images; `doctor` cannot ask before there is a region to ask in",
    ),
    (
        Fault("version of an add-on that there is not", "", {"addonVersion": "v9.9.9-eksbuild.9"}, "eks.Addon/vpc-cni"),
        "EKS alone lists its versions; `mlplat.versions` is their one source, and its own tests hold it together",
    ),
    (
        Fault("chart of a version that there is not", "", {"version": "99.0.0"}, "chart/karpenter"),
        "a chart is fetched when it is installed",
    ),
    (
        Fault(
            "service account that no service has",
            "",
            {"serviceAccount": "traking"},
            "eks.PodIdentityAssociation/tracking",
        ),
        "the services on the cluster are not part of this program yet",
    ),
    (
        Fault("machine that the zone does not offer", "", {"instanceTypes": ["m8i.large"]}, "eks.NodeGroup"),
        "what a zone offers is the region's to say: `mlplat doctor` asks it",
    ),
    (
        Fault("budget of a tenth", "", {"limitAmount": "1200.0"}, "budgets.Budget/budget"),
        "how much is meant is nobody's to know",
    ),
    (
        Fault(
            "workload that reads its neighbour's bucket",
            "",
            {"policy.Statement.0.Resource": [NEIGHBOUR]},
            "iam.RolePolicy/tracking",
        ),
        "who needs what is the table of workloads; its own tests ask each role for what it must not have",
    ),
]
"""Faults that no layer finds without an account, and why."""

__all__ = ["FAULTS", "KNOWN", "rule"]
