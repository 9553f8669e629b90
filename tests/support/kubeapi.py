"""A real Kubernetes API on this computer: etcd and kube-apiserver on free loopback ports, for as long as a block lasts.

Nothing runs pods: what controllers and a kubelet would write, a test writes, or starts (`scheduler`, `controllers`).
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import kubetls
from commands import ROOT, free_ports
from kubeprocesses import Processes
from mlplat.cluster import Cluster

TOOLS = ROOT / ".tools" / "bin"
NEEDED = ("server", "kube-apiserver", "kube-scheduler", "kube-controller-manager")
"""Programs of the level `cluster`; etcd's is called `server`."""
CONTEXT = "tests"
SERVICES = "10.96.0.0/16"
API = "10.96.0.1"
"""Address of the API inside the cluster: the first one of the services'."""
NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)


@dataclass(frozen=True)
class Api:
    """A Kubernetes API that answers, and the way in as its administrator."""

    processes: Processes
    host: str
    port: int
    others: tuple[int, ...]
    """Ports of what may run beside it: the scheduler, the controllers, and one more."""
    token: str
    authority: kubetls.Authority

    @property
    def folder(self) -> Path:
        """Return the folder of all that it keeps."""
        return self.processes.folder

    @property
    def url(self) -> str:
        """Return its address."""
        return f"https://{self.host}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """Return a kubeconfig whose only context, `tests`, is its administrator's."""
        return self.folder / "kubeconfig"

    @property
    def spare(self) -> int:
        """Return a port that nothing of its own listens on."""
        return self.others[2]

    def cluster(self) -> Cluster:
        """Return a client of its administrator's."""
        return Cluster.of_context(CONTEXT, self.kubeconfig)

    def ready(self) -> bool:
        """Return whether it says that it is ready."""
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {self.token}"})
        trusted = ssl.create_default_context(cadata=self.authority.pem)
        try:
            with urllib.request.urlopen(request, context=trusted, timeout=5):
                return True
        except OSError:
            return False

    def scheduler(self) -> None:
        """Start the real scheduler, which gives pods to nodes, pretended ones too."""
        told = ("--bind-address=127.0.0.1", f"--secure-port={self.others[0]}", "--leader-elect=false")
        self.processes.start("scheduler", TOOLS / "kube-scheduler", f"--kubeconfig={self.kubeconfig}", *told)

    def controllers(self, *only: str) -> None:
        """Start the controllers of Kubernetes itself, all or some: they make pods, and empty namespaces that go."""
        self.processes.start(
            "controllers",
            TOOLS / "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self.folder / 'accounts.key'}",
            f"--root-ca-file={self.folder / 'authority.crt'}",
            f"--controllers={','.join(only) or '*'}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.others[1]}",
            "--leader-elect=false",
        )


def missing(*needed: str) -> str | None:
    """Return the line that says why there can be no API here, or None."""
    gone = [name for name in needed or NEEDED if not (TOOLS / name).is_file()]
    return f"no {', '.join(gone)} here: `scripts/tools cluster` builds them" if gone else None


@contextmanager
def running(
    folder: Path,
    host: str = "127.0.0.1",
    data: Path | None = None,
    before: Callable[[Processes], None] = lambda _: None,
    flags: Sequence[str] = (),
) -> Iterator[Api]:
    """Start an API server below a folder, on an address of this computer, and end it.

    `data` is what an earlier one kept, its folder `etcd`, which this one begins with a copy of; `before` is done
    first, and what it undoes comes last; `flags` are the API server's own.
    """
    with Processes(folder) as processes:
        if data:
            shutil.copytree(data, folder / "etcd")
        before(processes)
        port, clients, peers, *others = free_ports(6)
        _etcd(processes, clients, peers)
        api = Api(processes, host, port, tuple(others), secrets.token_hex(16), kubetls.authority())
        _write(api)
        _apiserver(api, clients, flags)
        processes.wait("apiserver", api.ready)
        yield api


def _etcd(processes: Processes, clients: int, peers: int) -> None:
    here, there = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    processes.start(
        "etcd",
        TOOLS / "server",
        f"--data-dir={processes.folder / 'etcd'}",
        f"--listen-client-urls={here}",
        f"--advertise-client-urls={here}",
        f"--listen-peer-urls={there}",
        f"--initial-advertise-peer-urls={there}",
        f"--initial-cluster=default={there}",
        # Its data lives as long as the tests do: nothing has to reach the disk.
        "--unsafe-no-fsync",
    )


def _apiserver(api: Api, etcd: int, flags: Sequence[str]) -> None:
    certificate, key = api.authority.sign(api.folder, "apiserver", [api.host, API, *NAMES])
    accounts = kubetls.write_key(api.folder / "accounts.key")
    # An API server on loopback has no address that it may write down for pods, and there are none.
    alone = ("--endpoint-reconciler-type=none",) if api.host.startswith("127.") else ()
    api.processes.start(
        "apiserver",
        TOOLS / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--bind-address={api.host}",
        f"--advertise-address={api.host}",
        f"--secure-port={api.port}",
        f"--cert-dir={api.folder}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={accounts}",
        f"--service-account-signing-key-file={accounts}",
        f"--token-auth-file={api.folder / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        f"--service-cluster-ip-range={SERVICES}",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        "--profiling=false",
        *alone,
        *flags,
    )


def _write(api: Api) -> None:
    (api.folder / "authority.crt").write_text(api.authority.pem, encoding="utf-8")
    tokens = api.folder / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f"{api.token},admin,admin,system:masters\n", encoding="utf-8")
    vouched = base64.b64encode(api.authority.pem.encode()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": {"server": api.url, "certificate-authority-data": vouched}}],
        "users": [{"name": "admin", "user": {"token": api.token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": "admin"}}],
    }
    api.kubeconfig.touch(mode=0o600)
    # JSON is YAML.
    api.kubeconfig.write_text(json.dumps(config), encoding="utf-8")
