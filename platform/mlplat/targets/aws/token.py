"""Tokens by which an EKS cluster knows who asks: a signed question to AWS's own identity service, which nobody sends.

The cluster sends it and learns who signed it. Nothing of AWS's command line is needed. A token is kept in a file of its
owner until shortly before it ends, because the credentials behind it may take seconds, or a person, to get.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.files import PRIVATE, data_dir, write_atomic

if TYPE_CHECKING:
    import boto3

PREFIX = "k8s-aws-v1."
HEADER = "x-k8s-aws-id"
VERSION = "client.authentication.k8s.io/v1"
LIFETIME = timedelta(minutes=14)
"""The cluster takes a signature for 15 minutes; a minute is left for clocks that differ."""
SIGNED_SECONDS = 60
"""What the signature itself says; the cluster refuses more than 15 minutes and looks at its own rule besides."""
SPARE = timedelta(minutes=2)
"""A kept token that ends sooner is not handed out: a long command would lose it on its way."""
WHO = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that decide whose credentials are found."""
FILES = (("AWS_CONFIG_FILE", "~/.aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))


@dataclass(frozen=True)
class Token:
    """A token and the time at which it ends."""

    text: str
    expires: datetime

    def lasts(self, now: datetime) -> bool:
        """Tell whether it may still be handed out."""
        return self.expires - now > SPARE

    def credential(self) -> dict[str, Any]:
        """Return it as Kubernetes' clients take it from a program."""
        status = {"token": self.text, "expirationTimestamp": self.expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {"apiVersion": VERSION, "kind": "ExecCredential", "status": status}


def get(
    cluster: str, region: str, *, account: str | None = None, role: str | None = None, now: datetime | None = None
) -> Token:
    """Return a token for a cluster, the kept one where that lasts.

    `account` is whose credentials it must be, looked at only when a token is made; `role` is the ARN of a role that is
    taken first. Raises `UnreachableError` without credentials, `RefusedError` for another account's.
    """
    moment = now or datetime.now(UTC)
    kept = place(cluster, region, account, role)
    found = _read(kept)
    if found and found.lasts(moment):
        return found
    made = signed(session(region, account, role), cluster, region, moment)
    # A full disk or a read-only home costs the next command a second, and nothing else.
    with contextlib.suppress(OSError):
        text = json.dumps({"token": made.text, "expires": made.expires.isoformat()})
        write_atomic(kept, text, mode=PRIVATE)
    return made


def signed(session: boto3.Session, cluster: str, region: str, now: datetime) -> Token:
    """Sign a token; nothing is asked but the credentials. Raises `UnreachableError` where there are none."""
    from botocore.model import ServiceId
    from botocore.signers import RequestSigner

    from mlplat.targets.aws.session import client, telling

    with telling("for credentials"):
        credentials = session.get_credentials()
        if credentials is None:
            raise UnreachableError("there are no AWS credentials here", hint="set `AWS_PROFILE`, or log in")
        signer = RequestSigner(ServiceId("STS"), region, "sts", "v4", credentials, session.events)
        url = f"{client(session, 'sts').meta.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15"
        request = {"method": "GET", "url": url, "body": {}, "headers": {HEADER: cluster}, "context": {}}
        told = signer.generate_presigned_url(request, region_name=region, expires_in=SIGNED_SECONDS, operation_name="")
    text = PREFIX + base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")
    return Token(text, min(now + LIFETIME, _end(credentials) or now + LIFETIME).replace(microsecond=0))


def place(cluster: str, region: str, account: str | None = None, role: str | None = None) -> Path:
    """Return the file of a cluster's token for whoever asks now.

    Its name holds all that decides who that is, as far as it can be seen without asking anybody.
    """
    who = [os.environ.get(name, "") for name in WHO]
    for variable, default in FILES:
        path = Path(os.environ.get(variable) or default).expanduser()
        with contextlib.suppress(OSError):
            who += [str(path), str(path.stat().st_mtime_ns)]
    key = json.dumps([cluster, region, account, role, *who])
    return data_dir() / "tokens" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def forget() -> int:
    """Remove every kept token; return how many there were."""
    found = list((data_dir() / "tokens").glob("*.json"))
    for each in found:
        each.unlink(missing_ok=True)
    return len(found)


def _read(path: Path) -> Token | None:
    try:
        written = json.loads(path.read_bytes())
        return Token(str(written["token"]), datetime.fromisoformat(written["expires"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def session(region: str, account: str | None = None, role: str | None = None) -> boto3.Session:
    """Return a session of whoever asks, or of the role that they take. Raises as `get`."""
    from mlplat.targets.aws.session import client, telling

    try:
        import boto3
    except ImportError as error:
        raise MlplatError("AWS's SDK is not here", hint="install `mlplat[aws]`") from error
    with telling("for credentials"):
        found = boto3.Session(region_name=region)
        if account and (told := client(found, "sts").get_caller_identity()["Account"]) != account:
            raise RefusedError(
                f"the credentials are those of account {told}, and the cluster is in account {account}",
                hint="choose the profile of the cluster's account with `AWS_PROFILE`",
            )
    return _as_role(found, region, role) if role else found


def _as_role(found: boto3.Session, region: str, role: str) -> boto3.Session:
    import boto3

    from mlplat.targets.aws.session import client, telling

    with telling(f"to take the role {role}"):
        given = client(found, "sts").assume_role(RoleArn=role, RoleSessionName="mlplat")["Credentials"]
    return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=region)


def _end(credentials: Any) -> datetime | None:
    """Return the time at which temporary credentials end: what they signed ends with them."""
    found = getattr(credentials, "_expiry_time", None)
    return found if isinstance(found, datetime) else None
