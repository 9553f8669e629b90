"""Secrets that people put on a cluster, which the platform reads by name and never makes."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlplat.manifests import names
from mlplat.spec.kubernetes import ExposureSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes.callers import ENDPOINT_KEYS, TRACKING_KEYS
from mlplat.targets.kubernetes.people import SIGN_IN_KEY

RECEIVER_KEYS = {"pagerduty": "key"}


@dataclass(frozen=True)
class Wanted:
    """A secret and what has to be in it."""

    namespace: str
    name: str
    purpose: str
    keys: tuple[str, ...] = ()
    """Its keys; without any, it holds callers' keys of the gateway by their names."""
    needed: bool = True
    """Whether it is a fault that it is not there."""

    def trouble(self, held: Mapping[str, str]) -> str | None:
        """Return what is wrong with it where it is there, by its values in base64; None where nothing is."""
        if missing := sorted(set(self.keys) - set(held)):
            return f"has no key `{missing[0]}`"
        return None if self.keys else _unusable({name: base64.b64decode(value) for name, value in held.items()})

    def mend(self) -> str:
        """Return the command that makes it; its values come from files, so that no history keeps them."""
        kind, given = "generic", " ".join(f"--from-file={key}=FILE" for key in self.keys) or "--from-file=CALLER=FILE"
        if self.keys == ("tls.crt", "tls.key"):
            kind, given = "tls", "--cert=FILE --key=FILE"
        if self.keys == (".dockerconfigjson",):
            kind, given = "generic", "--type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=FILE"
        return f"`kubectl -n {self.namespace} create secret {kind} {self.name} {given}`"


def _unusable(keys: Mapping[str, bytes]) -> str | None:
    if not keys:
        return "names no caller: nobody is let in"
    # A file that ends with a line's end is what most editors write.
    if wrong := sorted(name for name, key in keys.items() if not key or key != key.strip()):
        return f"has a key of `{wrong[0]}` that is empty, or begins or ends with blank signs: no client can send it"
    often = Counter(keys.values()).most_common(1)[0]
    if often[1] > 1:
        same = sorted(name for name, key in keys.items() if key == often[0])
        return f"has one key for `{same[0]}` and `{same[1]}`: the gateway then lets nobody in"
    return None


def wanted(spec: PlatformSpec) -> Iterator[Wanted]:
    """Yield every secret that a stack's spec names."""
    on, home = spec.kubernetes, names.NAMESPACE
    if on.databases:
        for application, name in on.databases.model_dump(exclude_none=True, exclude={"port"}).items():
            yield Wanted(home, name, f"the database of {application}", ("url",))
    if on.objects and on.objects.secret:
        yield Wanted(home, on.objects.secret, "the object store", ("access_key", "secret_key"))
    yield from _exposed(on.exposure)
    for name, receiver in on.monitoring.receivers.items():
        if receiver.secret:
            yield Wanted(home, receiver.secret, f"alerts to {name}", (RECEIVER_KEYS.get(receiver.kind, "url"),))
    places = [home, *spec.teams]
    if on.images.pull_secret:
        yield from (Wanted(each, on.images.pull_secret, "pulling images", (".dockerconfigjson",)) for each in places)
    if on.exposure.authentication == "api-keys" and on.addons.gateway != "off":
        yield Wanted(home, TRACKING_KEYS, "writing to MLflow through the gateway", needed=False)
        yield from (Wanted(team, ENDPOINT_KEYS, f"callers of {team}'s endpoints") for team in spec.teams)


def _exposed(exposure: ExposureSpec) -> Iterator[Wanted]:
    home, certificate, pages = names.NAMESPACE, ("tls.crt", "tls.key"), exposure.pages
    if exposure.tls_secret:
        yield Wanted(home, exposure.tls_secret, "TLS of the gateway", certificate)
    if pages:
        yield Wanted(home, pages.secret, "signing in to the pages", (SIGN_IN_KEY,))
    if pages and pages.tls_secret:
        yield Wanted(home, pages.tls_secret, "TLS of the pages", certificate)
