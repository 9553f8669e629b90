"""Who may call through the gateway: whoever has a key of a secret, or a token that names one of the teams.

The gateway tells who it was, in its log and to what stands behind it, by a header that nobody outside can send.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlplat.spec.kubernetes import ExposureSpec, JwtSpec

HEADER = "x-mlplat-caller"
"""By which whoever answers is told who asks."""
ENDPOINT_KEYS = "endpoint-keys"
"""A team's secret: keys of callers of its endpoints, by their names."""
ENDPOINT_KEY_HEADER = "x-api-key"
TRACKING_KEYS = "tracking-keys"
"""Secret in the platform's namespace: keys of those who write to MLflow, by their names."""
TOKEN_HEADER = "authorization"  # noqa: S105 - the name of a header
"""In which MLflow's clients send `MLFLOW_TRACKING_TOKEN`. Envoy takes `Bearer` off a key (its API of `KeySource`)."""
ISSUER = "callers"
NOBODY: Mapping[str, Any] = {"authorization": {"defaultAction": "Deny"}}


def admitted(exposure: ExposureSpec, *, secret: str, header: str, teams: Iterable[str]) -> Mapping[str, Any] | None:
    """Return whom a route lets in, as a SecurityPolicy says it; None where everybody is.

    With keys, it is who has one of `secret` in `header`; with tokens, who belongs to one of `teams`.
    """
    match exposure.authentication:
        case "none":
            return None
        case "api-keys":
            return _by_keys(secret, header)
        case "jwt":
            return _by_tokens(teams, exposure.jwt) if exposure.jwt else NOBODY


def _by_keys(secret: str, header: str) -> dict[str, Any]:
    keys = {
        # Where the secret is missing, the routes answer 500 and nobody is let in.
        "credentialRefs": [{"kind": "Secret", "name": secret}],
        "extractFrom": [{"headers": [header]}],
        # Whoever answers sees who calls, and not by which key.
        "forwardClientIDHeader": HEADER,
        "sanitize": True,
    }
    return {"apiKeyAuth": keys}


def _by_tokens(teams: Iterable[str], given: JwtSpec) -> dict[str, Any]:
    provider = {
        "name": ISSUER,
        "issuer": given.issuer,
        "audiences": given.audiences,
        "remoteJWKS": {"uri": given.jwks},
        "claimToHeaders": [{"claim": "sub", "header": HEADER}],
    }
    allowed = [_allowed(team, given) for team in teams]
    return {
        "jwt": {"providers": [provider]},
        "authorization": {**NOBODY["authorization"], **({"rules": allowed} if allowed else {})},
    }


def _allowed(team: str, given: JwtSpec) -> dict[str, Any]:
    # The claim is a list of the caller's teams: one of them has to be this.
    claim = {"name": given.team_claim, "valueType": "StringArray", "values": [team]}
    return {"name": team, "action": "Allow", "principal": {"jwt": {"provider": ISSUER, "claims": [claim]}}}
