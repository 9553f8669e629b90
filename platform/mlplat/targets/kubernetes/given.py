"""Secrets that people put on a cluster, which the platform reads by name and never makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes.edge import KEYS_SECRET

RECEIVER_KEYS = {"pagerduty": "key"}


@dataclass(frozen=True)
class Wanted:
    """A secret and what has to be in it."""

    namespace: str
    name: str
    purpose: str
    keys: tuple[str, ...] = ()

    def mend(self) -> str:
        """Return the command that makes it; its values come from files, so that no history keeps them."""
        kind, given = "generic", " ".join(f"--from-file={key}=FILE" for key in self.keys) or "--from-file=CALLER=FILE"
        if self.keys == ("tls.crt", "tls.key"):
            kind, given = "tls", "--cert=FILE --key=FILE"
        if self.keys == (".dockerconfigjson",):
            kind, given = "generic", "--type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=FILE"
        return f"`kubectl -n {self.namespace} create secret {kind} {self.name} {given}`"


def wanted(spec: PlatformSpec) -> Iterator[Wanted]:
    """Yield every secret that a stack's spec names."""
    on, home = spec.kubernetes, names.NAMESPACE
    if on.databases:
        for application, name in on.databases.model_dump(exclude_none=True, exclude={"port"}).items():
            yield Wanted(home, name, f"the database of {application}", ("url",))
    if on.objects and on.objects.secret:
        yield Wanted(home, on.objects.secret, "the object store", ("access_key", "secret_key"))
    if on.exposure.tls_secret:
        yield Wanted(home, on.exposure.tls_secret, "TLS of the gateway", ("tls.crt", "tls.key"))
    for name, receiver in on.monitoring.receivers.items():
        if receiver.secret:
            yield Wanted(home, receiver.secret, f"alerts to {name}", (RECEIVER_KEYS.get(receiver.kind, "url"),))
    places = [home, *spec.teams]
    if on.images.pull_secret:
        yield from (Wanted(each, on.images.pull_secret, "pulling images", (".dockerconfigjson",)) for each in places)
    if on.exposure.authentication == "api-keys" and on.addons.gateway != "off":
        yield from (Wanted(team, KEYS_SECRET, f"callers of {team}'s endpoints") for team in spec.teams)
