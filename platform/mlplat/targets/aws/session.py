"""The account that a stack names, and nobody else's: boto3 sessions for whatever asks AWS outside the engine.

Credentials are found as every AWS tool finds them (environment, profile, single sign-on, a machine's role); none is
kept here. Every error of the way there becomes one that says what to do.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import mlplat
from mlplat.errors import MlplatError, RefusedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import boto3
    from botocore.config import Config

    from mlplat.spec.aws import AwsSpec

CONNECT_SECONDS = 5
READ_SECONDS = 20
ATTEMPTS = 4
"""Standard retries wait at most 20 s each; four tries get over what AWS throttles and do not hide what is down."""
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
INVALID = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"})
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
_MAKING = threading.Lock()
"""A session makes one client at a time; the clients themselves may be used side by side."""
LOG_IN = "set `AWS_PROFILE`, or log in again with `aws sso login`, then look with `mlplat doctor`"


def session(aws: AwsSpec) -> boto3.Session:
    """Return a session in the stack's region, unasked yet. Raises `UnreachableError` for an unknown profile."""
    boto3, exceptions = _sdk()
    try:
        return boto3.Session(region_name=aws.region)
    except exceptions.ProfileNotFound as error:
        raise UnreachableError(
            f"the AWS profile `{_profile()}` is nowhere in this computer's AWS configuration", hint=LOG_IN
        ) from error


def client(found: boto3.Session, name: str, *, region: str | None = None) -> Any:
    """Return a client of one service, in the session's region or another one."""
    with _MAKING:
        return found.client(name, region_name=region, config=_config())


def open(aws: AwsSpec) -> boto3.Session:  # noqa: A001 - read as `session.open`
    """Return a session whose credentials are the stack's account's.

    Raises `RefusedError` for those of another account, `UnreachableError` where there are none, or where AWS does not
    answer.
    """
    found = session(aws)
    verify_account(found, aws)
    return found


def verify_account(found: boto3.Session, aws: AwsSpec) -> str:
    """Return the ARN of whoever asks. Raises `RefusedError` for another account than the stack's."""
    with telling("who the credentials belong to"):
        identity = client(found, "sts").get_caller_identity()
    if identity["Account"] != aws.account:
        raise RefusedError(
            f"the credentials{_of_profile()} are those of account {identity['Account']}, and the stack is for account"
            f" {aws.account}",
            hint="choose the profile of the stack's account with `AWS_PROFILE`, or correct `aws.account` in the stack"
            " file",
        )
    return str(identity["Arn"])


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn whatever AWS's SDK raises into an error of mlplat's: `what` is the thing that could not be asked."""
    _, exceptions = _sdk()
    try:
        yield
    except exceptions.ClientError as error:
        raise _refusal(what, error.response.get("Error", {})) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise UnreachableError(f"there are no AWS credentials here: cannot ask {what}", hint=LOG_IN) from error
    except (exceptions.TokenRetrievalError, exceptions.SSOError, exceptions.CredentialRetrievalError) as error:
        raise UnreachableError(
            f"the AWS credentials{_of_profile()} have run out: cannot ask {what}", hint=LOG_IN
        ) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        hint = "look at the network and the proxy (`HTTPS_PROXY`); a private network needs an endpoint of the service"
        raise UnreachableError(f"AWS does not answer, asked {what}: {error}", hint=hint) from error
    except _unreadable() as error:
        raise _impostor(what) from error
    except exceptions.BotoCoreError as error:
        raise MlplatError(f"cannot ask {what}: {error}", hint=LOG_IN) from error


def _refusal(what: str, error: dict[str, Any]) -> MlplatError:
    code, message = str(error.get("Code", "")), str(error.get("Message", "")).rstrip(".")
    if code in EXPIRED:
        return UnreachableError(f"the AWS credentials{_of_profile()} have run out: cannot ask {what}", hint=LOG_IN)
    if code in INVALID:
        # A region that is not turned on knows nobody, and answers the same.
        hint = f"{LOG_IN}; it may also be that the account has not turned the region on"
        return UnreachableError(f"AWS does not know the credentials{_of_profile()}: cannot ask {what}", hint=hint)
    if code in DENIED:
        return RefusedError(
            f"AWS does not allow to ask {what}: {message}", hint="`mlplat aws policy` prints the rights that are needed"
        )
    if message.lstrip().startswith("<"):
        return _impostor(what)
    return MlplatError(f"cannot ask {what}: {code}: {' '.join(message.split())}")


def _impostor(what: str) -> UnreachableError:
    hint = "something on the way answers in AWS's name: look at the proxy (`HTTPS_PROXY`, `AWS_ENDPOINT_URL`)"
    return UnreachableError(f"what answers is not AWS, asked {what}", hint=hint)


def _sdk() -> tuple[Any, Any]:
    try:
        import boto3
        import botocore.exceptions
    except ImportError as error:
        raise MlplatError("AWS's SDK is not here", hint="install `mlplat[aws]`") from error
    return boto3, botocore.exceptions


def _unreadable() -> type[Exception]:
    from botocore.parsers import ResponseParserError

    found: type[Exception] = ResponseParserError
    return found


def _config() -> Config:
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "max_attempts": ATTEMPTS},
        user_agent_extra=f"mlplat/{mlplat.__version__}",
    )


def _profile() -> str | None:
    return os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")


def _of_profile() -> str:
    return f" of the profile `{name}`" if (name := _profile()) else ""
