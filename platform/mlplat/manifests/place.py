"""Where a service is put on a cluster: everything that its manifests need and its value does not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlplat.errors import RefusedError
from mlplat.manifests import names
from mlplat.manifests.network import Peer

DIGEST = "@sha256:"


def is_plain(value: Any) -> bool:
    """Tell whether a value is JSON through and through: an output, or a list that holds one, is not."""
    match value:
        case None | str() | bool() | int() | float():
            return True
        case Mapping():
            return all(map(is_plain, value.values()))
        case list() | tuple():
            return all(map(is_plain, value))
        case _:
            return False


def at_once(value: Any, function: Callable[[Any], str]) -> Any:
    """Call a function on a plain value. Raises `TypeError` for one that holds an output."""
    if not is_plain(value):
        raise TypeError("holds a value that is known only later, and nobody said how to wait for it")
    return function(value)


@dataclass(frozen=True)
class Place:
    """A namespace, and what is given to the services in it."""

    images: Mapping[str, Any]
    """Full reference of each image, by the name that services call it."""
    namespace: str = names.NAMESPACE
    values: Mapping[str, Any] = field(default_factory=dict)
    """What references mean here, by name: a `Text`, a `SecretRef`, or an output."""
    production: bool = True
    """Whether images without a digest are refused."""
    pull_secret: str | None = None
    storage_class: str | None = None
    """Class of volumes; unset, the cluster's default."""
    priority: str | None = None
    """Priority class of pods; unset, the cluster's default."""
    monitored: bool = True
    """Whether something here reads `ServiceMonitor`s."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of everything, pods included."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of pods."""
    owner: Mapping[str, Any] | None = None
    """Reference to the object with which all of this goes."""
    peers: Mapping[str, Peer] = field(default_factory=dict)
    """Who is meant by the names in `Service.needs`, `reaches` and `callers`."""
    clients: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Services that need a service, by its name."""
    later: Callable[[Any, Callable[[Any], str]], Any] = at_once
    """How a text is made of a value that may hold outputs."""

    def image(self, name: str) -> Any:
        """Return the reference of an image that is called by a name, or by its reference.

        Raises `RefusedError` for one that is unknown, or could change unseen.
        """
        # A name has no registry: what has one is a public image.
        found = self.images.get(name, name if "/" in name else None)
        if found is None:
            raise RefusedError(f"nobody said where the image `{name}` is", hint="`mlplat images push` sends it there")
        if self.production and isinstance(found, str) and DIGEST not in found:
            raise RefusedError(
                f"the image `{name}` is `{found}`, without a digest: what it holds could change unseen",
                hint="`mlplat images lock` fills the digests in",
            )
        return found
