"""What verbs on a stack with a cluster have in common: the way in, that it is the right one, how projects reach it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlplat.cli.console import progress, say, warn
from mlplat.errors import MlplatError, UsageError

if TYPE_CHECKING:
    from mlplat.contracts import Connection
    from mlplat.controller.stores import Entry
    from mlplat.spec.platform import PlatformSpec


def entry(spec: PlatformSpec, stack: str) -> Entry:
    """Return the way into a stack's cluster. Raises `MlplatError` for one in an account that no `up` wrote down."""
    from mlplat.controller import stores

    if spec.target == "kubernetes":
        path = spec.kubernetes.kubeconfig
        return stores.Entry(spec.kubernetes.context, str(Path(path).expanduser().absolute()) if path else None)
    if spec.target != "aws":
        raise UsageError(f"the platform `{spec.name}` is on the target `{spec.target}`, which has no cluster")
    from mlplat.contracts import Connection

    found = stores.entry(Connection.read(spec.name, stack).store)
    if found is None:
        raise MlplatError(
            f"the way into the cluster of `{stack}` was never written down here",
            hint=f"`mlplat up -s {stack}` writes it, and changes nothing else where nothing has changed",
        )
    return found


def guard(spec: PlatformSpec, file: Path, *, write: bool) -> None:
    """Refuse a context that leads to another cluster than the stack's; with `write`, a first `up` says which it is.

    Raises `RefusedError`, `UnreachableError`.
    """
    if spec.target != "kubernetes":
        return
    from mlplat.targets.kubernetes import identity

    way = entry(spec, "")
    with way.cluster() as cluster:
        found = identity.of(cluster)
    written = identity.read(file)
    identity.refuse_other(written, found, source=str(file), context=way.context)
    if write and written is None:
        identity.write(file, found)
        say(f"wrote `{identity.KEY}` to {file}: by it the stack's cluster is known, so keep it there")


def refuse_removed(spec: PlatformSpec) -> None:
    """Refuse a stack file without a team that still has something on the cluster. Raises `RefusedError`.

    In an account the cluster may be out of reach from here; there the API server alone refuses, at the engine's look.
    """
    if spec.target != "kubernetes":
        return
    from mlplat.targets.kubernetes import ends

    with entry(spec, "").cluster() as cluster:
        ends.refuse_removed(cluster, spec)


def refuse_unlocked(spec: PlatformSpec, file: Path) -> None:
    """Refuse a platform for production whose images nobody has locked; the account's own registry is made by `up`.

    Raises `RefusedError` with the commands that build, push and lock them.
    """
    if spec.target != "kubernetes":
        return
    from mlplat.images import refuse_missing

    refuse_missing(spec, file)


def connect(spec: PlatformSpec, stack: str, file: Path) -> None:
    """Write down how projects reach a platform that has a cluster. What cannot be asked now is said, and no fault."""
    if spec.target == "local" or spec.foundation.only or not _has_services(spec, file):
        return
    try:
        made = _asked(spec, stack, file)
    except MlplatError as error:
        warn(f"how projects reach the platform could not be asked: {error.told()}")
        say(f"`mlplat up -s {stack}` writes it down once the cluster answers")
        return
    if made.write():
        say(f"projects find the platform by {made.path(spec.name, stack)}")
    if not made.gateway and spec.kubernetes.addons.gateway != "off":
        say(f"the gateway has no address yet: `mlplat status -s {stack}` says why; another `up` writes it down")


def disconnect(spec: PlatformSpec, stack: str) -> None:
    """Forget how projects reached a platform that is no more."""
    from mlplat.contracts import Connection

    _kubeconfig(spec, stack).unlink(missing_ok=True)
    Connection.path(spec.name, stack).unlink(missing_ok=True)


def _has_services(spec: PlatformSpec, file: Path) -> bool:
    """Tell whether there is anything to reach: in an account the first `up` makes the registry, and no service."""
    from mlplat.images import lock_file, read

    return spec.target != "aws" or bool(read(lock_file(file)).images)


def _asked(spec: PlatformSpec, stack: str, file: Path) -> Connection:
    from mlplat.targets.kubernetes import connection

    with progress("asking the cluster where everything answers"):
        way = _account_entry(spec, stack, file) if spec.target == "aws" else entry(spec, stack)
        with way.cluster() as cluster:
            return connection.connection(spec, stack, way, cluster)


def _account_entry(spec: PlatformSpec, stack: str, file: Path) -> Entry:
    """Write a kubeconfig of the account's cluster, without a credential in it, and return it as a way in."""
    from mlplat import deployment
    from mlplat.controller.stores import Entry
    from mlplat.files import PRIVATE, write_atomic
    from mlplat.spec.platform import read_platform
    from mlplat.targets.aws import access, session
    from mlplat.targets.aws.cluster import admin_role
    from mlplat.targets.aws.site import Site

    # A stack that stands on another one's foundation is on that one's cluster.
    below = spec.foundation.stack
    owner = file.with_name(f"Pulumi.{below}.yaml") if below else file
    site = Site.of(read_platform(owner) if below else spec, below or stack, deployment.read(owner))
    made = access.kubeconfig(access.described(session.open(site.aws), site), site, role=admin_role(site))
    path = _kubeconfig(spec, stack)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, access.text(made), mode=PRIVATE)
    return Entry(made["current-context"], str(path))


def _kubeconfig(spec: PlatformSpec, stack: str) -> Path:
    """Return where the kubeconfig of an account's cluster is kept, for projects' connections."""
    from mlplat.files import config_dir

    return config_dir() / "clusters" / f"{spec.name}.{stack}.kubeconfig"
