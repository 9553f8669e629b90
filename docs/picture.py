"""The picture of a platform in an account, drawn from what its program declares: boxes inside boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from capture import Graph, Made
from rules.base import at, aws, customs, first, place

LINE, HEAD, PAD, GAP = 16, 22, 12, 12
SIGN = 6.6
"""Width of a character, in pixels: the picture wraps by it, since nothing measures text here."""
WIDTH = 1240
ORDER = ("public", "private", "pods")
"""Subnets of a zone, from the internet inwards."""
COLOURS = {
    "account": ("#f7f8fa", "#5b6472"),
    "network": ("#eef4fb", "#2f6db5"),
    "public": ("#eaf6ec", "#3a8a4d"),
    "private": ("#ffffff", "#2f6db5"),
    "cluster": ("#fdf3e7", "#c9701a"),
    "data": ("#f5eefb", "#7a46b0"),
    "guard": ("#fdeeee", "#b23c3c"),
}
"""Fill and line of a box, by what is in it."""


@dataclass
class Box:
    """A box with a title, lines of text, and rows of boxes inside."""

    title: str
    look: str
    lines: list[str] = field(default_factory=list)
    rows: list[list[Box]] = field(default_factory=list)

    def text(self, width: float) -> list[str]:
        """Return its lines, wrapped at words."""
        return [part for line in self.lines for part in _wrapped(line, int((width - 2 * PAD) / SIGN))]

    def height(self, width: float) -> float:
        """Return the height that it needs, in pixels."""
        below = sum(self.tall(row, width) + GAP for row in self.rows)
        return PAD + HEAD + LINE * len(self.text(width)) + below + (0 if self.rows else 4)

    def tall(self, row: list[Box], width: float) -> float:
        """Return the height of one of its rows."""
        return max(each.height(self.share(row, width)) for each in row)

    def share(self, row: list[Box], width: float) -> float:
        """Return the width of each box of a row."""
        return (width - 2 * PAD - GAP * (len(row) - 1)) / len(row)

    def drawn(self, x: float, y: float, width: float, height: float) -> Iterator[str]:
        """Return it as elements of SVG."""
        fill, line = COLOURS[self.look]
        yield (
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6" fill="{fill}"'
            f' stroke="{line}" stroke-width="1.2"/>'
        )
        yield f'<text x="{x + PAD:.0f}" y="{y + PAD + 8:.0f}" class="t" fill="{line}">{escape(self.title)}</text>'
        down = y + PAD + HEAD + 4
        for each in self.text(width):
            yield f'<text x="{x + PAD:.0f}" y="{down:.0f}">{escape(each)}</text>'
            down += LINE
        down -= LINE - 4 if self.lines else 8
        down = down if not self.lines else down + 2
        for row in self.rows:
            tall, wide = self.tall(row, width), self.share(row, width)
            for index, each in enumerate(row):
                yield from each.drawn(x + PAD + index * (wide + GAP), down, wide, tall)
            down += tall + GAP


def drawn(graph: Graph) -> str:
    """Return the picture of a graph as SVG."""
    whole = account(graph)
    height = whole.height(WIDTH)
    body = "\n".join(whole.drawn(0, 0, WIDTH, height))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {WIDTH + 16} {height + 16:.0f}" role="img"'
        ' aria-label="What the platform makes in an account of AWS">\n'
        "<style>text{font:12px ui-sans-serif,Helvetica,Arial,sans-serif;fill:#24292f}.t{font-weight:600;font-size:13px}"
        f"</style>\n"
        f'<rect x="-8" y="-8" width="{WIDTH + 16}" height="{height + 16:.0f}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def account(graph: Graph) -> Box:
    """Return the box of everything."""
    here = place(graph)
    title = f"An account in {here.region}: platform {here.tags['mlplat:platform']}, stack {here.tags['mlplat:stack']}"
    return Box(title, "account", [], [[network(graph)], storage(graph), guards(graph)])


def network(graph: Graph) -> Box:
    """Return the network, its zones, and what stands in it."""
    vpc = first(graph, "ec2.Vpc")
    ranges = [str(each.inputs["cidrBlock"]) for each in aws(graph, "ec2.Vpc", "ec2.VpcIpv4CidrBlockAssociation")]
    near = sorted(str(each.inputs["serviceName"]).rpartition(".")[2] for each in aws(graph, "ec2.VpcEndpoint"))
    zones = sorted({str(each.inputs["availabilityZone"]) for each in aws(graph, "ec2.Subnet")})
    title = f"Network {' and '.join(ranges)}" if vpc else "A network that was there before"
    lines = [f"Reached past the NAT gateways: {', '.join(near)}"] if near else []
    inside = [each for each in (database(graph), valkey(graph), runner(graph)) if each]
    return Box(title, "network", lines, [[zone(graph, each) for each in zones], [cluster(graph)], inside])


def zone(graph: Graph, name: str) -> Box:
    """Return a zone with its subnets."""
    nats = {str(each.name) for each in aws(graph, "ec2.NatGateway")}
    subnets = [each for each in aws(graph, "ec2.Subnet") if each.inputs["availabilityZone"] == name]
    rows = []
    for each in sorted(subnets, key=lambda made: ORDER.index(made.name.partition("-")[0])):
        open_ = each.name.startswith("public")
        role = (
            "way in for balancers"
            if open_
            else "addresses of pods"
            if each.name.startswith("pod")
            else "nodes, database"
        )
        way = ", NAT gateway" if open_ and f"nat-{name[-1]}" in nats else ""
        rows.append([Box(f"{each.name} {each.inputs['cidrBlock']}", "public" if open_ else "private", [role + way])])
    return Box(f"Zone {name}", "network", [], rows)


def cluster(graph: Graph) -> Box:
    """Return the cluster with its nodes and pools."""
    made = first(graph, "eks.Cluster")
    if made is None:
        raise LookupError("there is no cluster")
    open_to = at(made.inputs, "vpcConfig") or {}
    who = (
        ", ".join(open_to.get("publicAccessCidrs", [])) if open_to.get("endpointPublicAccess") else "this network alone"
    )
    addons = ", ".join(str(each.inputs["addonName"]) for each in aws(graph, "eks.Addon"))
    charts = ", ".join(
        str(each.inputs["chart"]).rpartition("/")[2]
        for each in graph
        if each.type.startswith("kubernetes:") and "chart" in each.inputs
    )
    lines = [f"API for {who}", f"Add-ons: {addons}", f"Charts: {charts}"]
    pools = [pool(each) for each in sorted(customs(graph, "NodePool"), key=lambda made: made.name)]
    rows = [[system(graph), *pools[:2]], pools[2:5], pools[5:8]]
    return Box(f"EKS cluster, Kubernetes {made.inputs['version']}", "cluster", lines, [row for row in rows if row])


def system(graph: Graph) -> Box:
    """Return the system nodes."""
    made = first(graph, "eks.NodeGroup")
    if made is None:
        raise LookupError("there are no system nodes")
    sizes = made.inputs["scalingConfig"]
    kind = ", ".join(made.inputs.get("instanceTypes", []))
    return Box(
        "System nodes", "private", [f"{sizes['minSize']} to {sizes['maxSize']} × {kind}", "the platform's own services"]
    )


def pool(made: Made) -> Box:
    """Return a pool of nodes."""
    spec = made.inputs["spec"]
    needs = {each["key"]: each.get("values", []) for each in spec["template"]["spec"].get("requirements", [])}
    kinds = ", ".join(needs.get("node.kubernetes.io/instance-type", []))
    limits = ", ".join(f"{key.rpartition('/')[2]} {value}" for key, value in sorted((spec.get("limits") or {}).items()))
    paid = ", ".join(needs.get("karpenter.sh/capacity-type", []))
    size = f"always {spec['replicas']}" if "replicas" in spec else "from none"
    return Box(f"Pool {at(made.inputs, 'metadata.name')}", "private", [kinds, f"{paid}; {size}, at most {limits}"])


def database(graph: Graph) -> Box | None:
    """Return the database."""
    made = first(graph, "rds.Instance")
    if made is None:
        return None
    twice = "two zones" if made.inputs.get("multiAz") else "one zone"
    size = f"{made.inputs['allocatedStorage']} to {made.inputs['maxAllocatedStorage']} GiB"
    return Box(
        f"PostgreSQL {made.inputs['engineVersion']}", "data", [f"{made.inputs['instanceClass']} in {twice}, {size}",
        "tracking, features, pipelines: a database and a user each"],
    )  # fmt: skip


def valkey(graph: Graph) -> Box | None:
    """Return the online store, where it stands in the network."""
    made = first(graph, "elasticache.ReplicationGroup")
    return Box("Valkey", "data", [str(made.inputs["nodeType"]), "features looked up on-line"]) if made else None


def runner(graph: Graph) -> Box | None:
    """Return the runner."""
    made = first(graph, "codebuild.Project")
    return Box("Runner", "guard", ["CodeBuild: mlplat up from inside"]) if made else None


def storage(graph: Graph) -> list[Box]:
    """Return what is kept outside the network."""
    buckets = ", ".join(each.name for each in aws(graph, "s3.Bucket"))
    images = ", ".join(each.name for each in aws(graph, "ecr.Repository"))
    caches = ", ".join(str(each.inputs["upstreamRegistryUrl"]) for each in aws(graph, "ecr.PullThroughCacheRule"))
    found = [
        Box("Buckets", "data", [buckets]),
        Box("Images", "data", [images, f"copies of {caches}"] if caches else [images]),
        Box("Secrets", "data", [f"{len(aws(graph, 'secretsmanager.Secret'))} names, no values"]),
    ]
    if table := first(graph, "dynamodb.Table"):
        found.append(Box("DynamoDB", "data", ["features looked up on-line", f"table {table.name}"]))
    if first(graph, "kinesis.Stream"):
        found.append(Box("Stream", "data", ["Kinesis, then Firehose into the data bucket"]))
    return found


def guards(graph: Graph) -> list[Box]:
    """Return what watches, bills, encrypts and restores."""
    keys = ", ".join(each.name for each in aws(graph, "kms.Key"))
    found = [
        Box("Keys", "guard", [keys]),
        Box(
            "Roles",
            "guard",
            [f"{len(aws(graph, 'iam.Role'))}, of which {len(aws(graph, 'eks.PodIdentityAssociation'))} are pods'"],
        ),
        Box("Spend", "guard", [f"{len(aws(graph, 'budgets.Budget'))} budgets, unusual cost, mail by SNS"]),
    ]
    watched = [
        *(["CloudTrail"] if first(graph, "cloudtrail.Trail") else []),
        *(["GuardDuty"] if first(graph, "guardduty.Detector") else []),
    ]
    found.append(Box("Audit", "guard", [", ".join([*watched, "flow and access logs"])]))
    if first(graph, "backup.Vault"):
        found.append(Box("Backup", "guard", ["locked vault, restore rehearsed"]))
    if domain := first(graph, "route53.Zone"):
        found.append(Box("Domain", "guard", [str(domain.inputs["name"]), "zone and certificate"]))
    return found


def _wrapped(line: str, width: int) -> list[str]:
    made = [""]
    for word in line.split(" "):
        if made[-1] and len(made[-1]) + 1 + len(word) > width:
            made.append(word)
        else:
            made[-1] = f"{made[-1]} {word}".strip()
    return made
