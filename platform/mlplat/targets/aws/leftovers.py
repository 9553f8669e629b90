"""What a deployment has left in its account: found by its tag and by its names, with or without a state.

Nothing here changes anything; `sweep` deletes. What another deployment made is never among it: a tag with this one's
id, or a name with its first signs, is what every source looks for.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from mlplat.errors import MlplatError

if TYPE_CHECKING:
    import boto3

    from mlplat.targets.aws.site import Site

Fate = Literal["sweep", "end", "kept", "unknown"]
SWEPT = (
    "ec2:instance",
    "ec2:spot-instances-request",
    "elasticloadbalancing:loadbalancer",
    "elasticloadbalancing:targetgroup",
    "ec2:network-interface",
    "ec2:security-group",
    "ec2:volume",
    "ec2:launch-template",
    "iam:instance-profile",
    "logs:log-group",
)
"""Kinds that controllers of a cluster or services of AWS make, in the order in which they can go."""
KEPT = {
    "s3:bucket": "a bucket of the platform's",
    "ecr:repository": "container images",
    "rds:snapshot": "a last copy of the database",
    "elasticache:snapshot": "a last copy of the online store",
    "dynamodb:table": "features that are looked up",
    "kms:key": "reads what was kept",
    "secretsmanager:secret": "secrets",
    "backup:backup-vault": "copies of the database and the buckets",
    "backup:recovery-point": "a copy of the database or of a bucket",
}
"""Kinds that hold data, which `mlplat down` leaves on purpose."""
PARTS = re.compile(r"^arn:[^:]*:(?P<service>[^:]*):[^:]*:[^:]*:(?P<rest>.+)$")
HEAD = 20
"""Signs of a platform's name that stay in the shortest of names."""
WORKERS = 6


@dataclass(frozen=True)
class Found:
    """One thing that is there."""

    kind: str
    """Service and type, such as `ec2:volume`."""
    arn: str
    """Its ARN, or what AWS calls it where it has none."""
    name: str
    created: datetime | None = None
    of_cluster: bool = False
    """Whether a controller of the cluster made it, or it was made for the cluster: while that stands, it is in use."""
    note: str | None = None
    fate: Fate = "end"

    @property
    def counts(self) -> bool:
        """Tell whether it is left over, rather than kept on purpose."""
        return self.fate != "kept"

    def __str__(self) -> str:
        return f"{self.fate:8}{self.kind}  {self.name}  ({self.advice()})"

    def advice(self) -> str:
        """Return what to do about it."""
        told = {
            "sweep": "`mlplat aws leftovers --delete` deletes it",
            "kept": f"kept on purpose: {KEPT.get(self.kind, 'it holds data')}",
            "end": "`mlplat down` ends it while the state knows it; otherwise delete it by hand",
            "unknown": "could not be looked at",
        }[self.fate]
        return f"{told}; {self.note}" if self.note else told

    def age(self, now: datetime) -> str | None:
        """Return how old it is, in days or hours; None where AWS does not say."""
        if self.created is None:
            return None
        hours = (now - self.created).total_seconds() / 3600
        return f"{hours / 24:.0f} d" if hours >= 48 else f"{max(hours, 0):.0f} h"  # noqa: PLR2004


@dataclass(frozen=True)
class Known:
    """What a stack's state says is there on purpose."""

    arns: frozenset[str] = frozenset()
    ids: frozenset[tuple[str, str]] = frozenset()
    """Service and id, such as `ec2` and `vpc-0a1b`."""
    clusters: frozenset[str] = frozenset()

    def has(self, found: Found) -> bool:
        """Tell whether the state knows a thing."""
        return found.arn in self.arns or (service_of(found.kind), found.name) in self.ids


class Shared:
    """A session for several threads: a client is thread-safe, and making one is not."""

    def __init__(self, session: boto3.Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str | None], Any] = {}

    def client(self, name: str, region_name: str | None = None, config: Any = None) -> Any:
        """Return a client of one service, made once."""
        with self._lock:
            key = (name, region_name)
            if key not in self._made:
                self._made[key] = self._session.client(name, region_name=region_name, config=config)
            return self._made[key]


def known(resources: Iterable[Mapping[str, Any]]) -> Known:
    """Return what the resources of a state stand for."""
    arns, ids, clusters = set(), set(), set()
    for each in resources:
        kind = str(each["type"])
        if not each.get("custom") or not kind.startswith("aws:"):
            continue
        outputs, identity = each.get("outputs") or {}, str(each.get("id") or "")
        arns |= {str(outputs[key]) for key in ("arn", "id") if str(outputs.get(key, "")).startswith("arn:")}
        ids.add((MODULES.get(module := kind.split(":")[1].partition("/")[0], module), identity))
        if kind == "aws:eks/cluster:Cluster":
            clusters.add(str(outputs.get("name") or identity))
    return Known(frozenset(arns), frozenset(ids), frozenset(clusters))


MODULES = {"vpc": "ec2", "lb": "elasticloadbalancing", "cloudwatch": "logs", "ebs": "ec2"}
"""Modules of the provider whose things belong to a service of another name."""


def find(session: boto3.Session, site: Site, *, known: Known | None = None, data: bool = False) -> list[Found]:
    """Return what the account holds of a deployment beside what its state knows, swept kinds first.

    `data` counts what is kept on purpose as left over too, as after `down --delete-data`. A source that could not be
    asked is a line of its own, so that nothing is called clean that was not looked at.
    """
    from mlplat.targets.aws import leftsources as sources

    shared: Any = Shared(session)
    with ThreadPoolExecutor(WORKERS) as pool:
        asked = list(pool.map(lambda source: _asked(source, shared, site), sources.ALL))
    unique = {(each.kind, each.arn): each for each in (found for one in asked for found in one)}
    return _left(sources.alive(shared, list(unique.values())), site, known or Known(), data)


def _left(found: Sequence[Found], site: Site, known: Known, data: bool) -> list[Found]:
    left = [each for each in found if not known.has(each) and not (known.clusters and _is_used(each))]
    keeps = site.aws.protected and not data
    return sorted((_judged(each, keeps) for each in left), key=_order)


def _is_used(found: Found) -> bool:
    # Disks and network interfaces of nodes have the deployment's tag and no state's knowledge.
    return found.of_cluster or (found.kind in SWEPT and service_of(found.kind) != "logs")


def _judged(found: Found, keeps: bool) -> Found:
    if found.fate == "unknown":
        return found
    if keeps and found.kind in KEPT:
        return replace(found, fate="kept")
    return replace(found, fate="sweep" if found.kind in SWEPT else "end")


def _order(found: Found) -> tuple[int, int, str, str]:
    fates = ("sweep", "end", "unknown", "kept")
    place = SWEPT.index(found.kind) if found.kind in SWEPT else len(SWEPT)
    return fates.index(found.fate), place, found.kind, found.arn


def _asked(source: Any, session: boto3.Session, site: Site) -> list[Found]:
    from mlplat.targets.aws.session import telling

    name = source.__name__.replace("_", " ").strip()
    try:
        with telling(f"for {name}"):
            return list(source(session, site))
    except MlplatError as error:
        return [Found(name, f"unasked:{name}", name, note=error.message, fate="unknown")]


def kind_of(arn: str) -> str:
    """Return service and type of an ARN, such as `ec2:volume`."""
    found = PARTS.match(arn)
    if found is None:
        return "unknown"
    service, rest = found["service"], found["rest"]
    if service in WHOLE:
        return f"{service}:{WHOLE[service]}"
    return f"{service}:{SHORT.get((service, kind := re.split('[:/]', rest)[0]), kind)}"


WHOLE = {"s3": "bucket", "sns": "topic", "sqs": "queue"}
"""Services whose ARNs name no type."""
SHORT = {("rds", "db"): "instance"}


def name_of(arn: str) -> str:
    """Return what AWS's pages call a thing: what follows the type in its ARN."""
    found = PARTS.match(arn)
    rest = found["rest"] if found else arn
    if found and found["service"] in WHOLE:
        return rest
    return re.split("[:/]", rest, maxsplit=1)[-1].removesuffix(":*")


def service_of(kind: str) -> str:
    """Return the service of a kind."""
    return kind.partition(":")[0]


def cluster(site: Site) -> str:
    """Return the name of a site's cluster, which the component that makes it says as well."""
    return site.name(limit=100)


def is_named(site: Site, name: str) -> bool:
    """Tell whether a physical name is of a deployment: it holds the id's first signs, whole or cut as it may be."""
    from mlplat.targets.aws.site import ID_SIGNS

    return site.deployment[:ID_SIGNS] in re.split("[-_/.:]", name) and site.platform[:HEAD] in name
