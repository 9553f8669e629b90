"""Whether what a stack is brought up with answers from here: its state, the key of its secrets, the cluster's API."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from mlplat.errors import MlplatError, UnreachableError
from mlplat.spec.aws import AwsSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws.session import client, telling
from mlplat.targets.aws.site import Site
from mlplat.targets.findings import Finding

if TYPE_CHECKING:
    import boto3

CLUSTER_LIMIT = 100
CONNECT_SECONDS = 5
MISSING = 404
API = "cluster API"
WHO_AM_I = "https://checkip.amazonaws.com"


def state(session: boto3.Session, spec: PlatformSpec, stack: str) -> Iterator[Finding]:
    """Yield whether the stack's state, and the key that encrypts secrets in it, can be reached."""
    engine = spec.engine
    if engine is None or spec.aws is None:
        return
    yield _backend(session, engine.backend, spec.aws, stack)
    if engine.secrets and engine.secrets.startswith("awskms://"):
        yield _key(session, engine.secrets, spec.aws, stack)


def _backend(session: boto3.Session, url: str | None, aws: AwsSpec, stack: str) -> Finding:
    if url is None:
        return Finding("state", True, "in a folder of this computer: nobody else can bring the stack up")
    place = urlsplit(url)
    if place.scheme == "file":
        folder = Path(place.path)
        there = next(each for each in (folder, *folder.parents) if each.exists())
        return Finding("state", True, f"{folder}" + ("" if there == folder else ", not made yet"))
    if place.scheme != "s3":
        return Finding("state", True, f"{url}: not looked at")
    return _bucket(session, place.netloc, _region(place.query, aws), aws, stack)


def _bucket(session: boto3.Session, name: str, region: str, aws: AwsSpec, stack: str) -> Finding:
    asked = client(session, "s3", region=region)
    with telling(f"for the bucket `{name}`"):
        try:
            asked.head_bucket(Bucket=name, ExpectedBucketOwner=aws.account)
        except asked.exceptions.ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            make = f"`mlplat state init -s {stack}`"
            if status == MISSING:
                return Finding("state", False, f"there is no bucket `{name}`", f"{make} makes it")
            said = f"the bucket `{name}` does not answer these credentials ({status})"
            mend = f"it may be another account's: name another one in `engine.backend`, then {make}"
            return Finding("state", False, said, mend)
    return Finding("state", True, f"bucket `{name}`")


def _key(session: boto3.Session, url: str, aws: AwsSpec, stack: str) -> Finding:
    place = urlsplit(url)
    name = f"{place.netloc}{place.path}".strip("/")
    asked = client(session, "kms", region=_region(place.query, aws))
    with telling(f"for the key `{name}`"):
        try:
            found = asked.describe_key(KeyId=name)["KeyMetadata"]
        except asked.exceptions.NotFoundException:
            return Finding(
                "secrets key", False, f"there is no key `{name}`", f"`mlplat state init -s {stack}` makes it"
            )
    if not found["Enabled"]:
        mend = "turn it on again in AWS, or stop its deletion: without it nobody can read the stack's secrets"
        return Finding("secrets key", False, f"`{name}` is {found['KeyState']}", mend)
    return Finding("secrets key", True, f"`{name}`")


def _region(query: str, aws: AwsSpec) -> str:
    return parse_qs(query).get("region", [aws.region])[0]


def api(
    session: boto3.Session,
    site: Site | None,
    spec: PlatformSpec,
    *,
    local: Callable[[str], str] | None = None,
    public: Callable[[], str] | None = None,
) -> Iterator[Finding]:
    """Yield whether the cluster's API answers from here, or will once there is one.

    `local` returns this computer's address on the way to another, `public` the one that the internet sees.
    """
    if spec.aws is None or spec.foundation.only:
        return
    endpoint = _endpoint(session, site) if site else None
    if endpoint:
        yield _answers(endpoint)
    elif spec.aws.cluster.public_access_cidrs:
        yield _allowed(spec.aws, public or public_address)
    else:
        yield _inside(spec.aws, local or local_address)


def _endpoint(session: boto3.Session, site: Site) -> str | None:
    asked = client(session, "eks")
    with telling("for the cluster"):
        try:
            found: dict[str, Any] = asked.describe_cluster(name=site.name(limit=CLUSTER_LIMIT))["cluster"]
        except asked.exceptions.ResourceNotFoundException:
            return None
    return found.get("endpoint")


def _answers(endpoint: str) -> Finding:
    place = urlsplit(endpoint)
    try:
        with socket.create_connection((str(place.hostname), place.port or 443), timeout=CONNECT_SECONDS):
            return Finding(API, True, f"{endpoint} answers")
    except OSError as error:
        mend = "run this inside its network (`aws.runner`), or add your address to `aws.cluster.public_access_cidrs`"
        return Finding(API, False, f"{endpoint} does not answer from here: {error.strerror or error}", mend)


def _allowed(aws: AwsSpec, public: Callable[[], str]) -> Finding:
    ranges = aws.cluster.public_access_cidrs
    if any(ip_network(each).prefixlen == 0 for each in ranges):
        return Finding(API, True, "will answer everywhere")
    try:
        mine = ip_address(public())
    except MlplatError as error:
        return Finding(API, False, f"could not be asked: {error.message}", error.hint)
    if any(mine in ip_network(each) for each in ranges):
        return Finding(API, True, f"will answer {mine}")
    mend = (
        f"add {mine}/{mine.max_prefixlen} to `aws.cluster.public_access_cidrs`, or run `up` from one of those addresses"
    )
    return Finding(API, False, f"will answer {', '.join(ranges)}, and this computer is {mine}", mend)


def _inside(aws: AwsSpec, local: Callable[[str], str]) -> Finding:
    inside = aws.network.existing.cidr if aws.network.existing else aws.network.cidr
    mine = ip_address(local(str(ip_network(inside)[1])))
    if mine in ip_network(inside):
        return Finding(API, True, f"will answer inside {inside}, where this computer is")
    mend = (
        "run `up` inside the network: `aws.runner` makes a project there that does; a VPN or a peered network would do,"
        " too"
    )
    return Finding(API, False, f"will answer only inside {inside}, and this computer is {mine}", mend)


def local_address(other: str) -> str:
    """Return this computer's address on the way to another one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((other, 443))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def public_address() -> str:
    """Return the address under which the internet sees this computer. Raises `UnreachableError`."""
    import httpx

    try:
        answer = httpx.get(WHO_AM_I, timeout=CONNECT_SECONDS).raise_for_status().text.strip()
        ip_address(answer)
    except (httpx.HTTPError, ValueError) as error:
        hint = "look at the network and the proxy (`HTTPS_PROXY`)"
        raise UnreachableError(
            f"{WHO_AM_I} does not say which address this computer has: {error}", hint=hint
        ) from error
    return answer
