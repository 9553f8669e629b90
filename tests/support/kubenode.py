"""A node of this computer's own that runs pods: containerd, kubelet, kube-proxy and DNS beside a real API server.

It needs root on Linux. Everything listens on loopback or on the node's own bridge. Pods speak through the bridge and
nothing enforces a NetworkPolicy there; images come from archives (`Node.load`), none is pulled.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import kubeapi
import kubeimage
from commands import until
from kubeprocesses import Processes, run
from mlplat.cluster import Cluster

PODS, ADDRESS = "10.244.0.0/24", "10.244.0.1"
BRIDGE = "mlplat-test"
NAME = "node1"
DNS_PORT = 53
PLUGINS = Path("/usr/lib/cni")
FIREWALL = "KUBE-FIREWALL"
PAUSE = "registry.local/pause:1"
NEEDED = ("kubelet", "kube-proxy", "coredns")
PROGRAMS = ("containerd", "runc", "ctr", "ip", "iptables", "conntrack")


@dataclass(frozen=True)
class Node:
    """A cluster of one node."""

    api: kubeapi.Api

    def load(self, *archives: Path) -> None:
        """Bring images to the node; pods that use them say `imagePullPolicy: Never`."""
        for each in archives:
            run(["ctr", "-a", _socket(self.api.folder), "-n", "k8s.io", "images", "import", each], 300)

    def tag(self, reference: str, *others: str) -> None:
        """Give an image that is there other names, by which pods of somebody else's ask for it."""
        run(["ctr", "-a", _socket(self.api.folder), "-n", "k8s.io", "images", "tag", "--force", reference, *others])


def missing() -> str | None:
    """Return the line that says why no node can run here, or None."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "no node here: that needs root on Linux"
    gone = [each for each in PROGRAMS if not shutil.which(each)] + [
        each for each in ("bridge",) if not (PLUGINS / each).exists()
    ]
    gone += [each for each in NEEDED if not (kubeapi.TOOLS / each).is_file()]
    return kubeapi.missing() or (f"no {', '.join(gone)} here: `scripts/tools node` makes them" if gone else None)


@contextmanager
def running(folder: Path, data: Path | None = None) -> Iterator[Node]:
    """Start a cluster of one node below a folder and end it, its pods, mounts, rules and bridge with it."""
    with kubeapi.running(folder, ADDRESS, data, _bridge) as api, api.cluster() as cluster:
        api.controllers()
        api.scheduler()
        _dns(api)
        _containerd(api.processes)
        _kubelet(api)
        _proxy(api)
        until(lambda: is_ready(cluster), what="the node")
        node = Node(api)
        sleep = kubeimage.with_libraries(Path(shutil.which("sleep") or "/bin/sleep"))
        node.load(kubeimage.write(folder / "pause.tar", PAUSE, sleep, ["/bin/sleep", "infinity"]))
        yield node


def is_ready(cluster: Cluster) -> bool:
    """Return whether the node says that it is ready."""
    conditions = (cluster.get("v1", "Node", NAME) or {}).get("status", {}).get("conditions") or []
    return ("Ready", "True") in {(each["type"], each["status"]) for each in conditions}


def groups() -> list[Path]:
    """Return the control groups of pods on this computer, whoever's they are."""
    return [*Path("/sys/fs/cgroup").glob("kubepods"), *Path("/sys/fs/cgroup").glob("*/kubepods")]


def _socket(folder: Path) -> str:
    return str(folder / "containerd.sock")


def _bridge(processes: Processes) -> None:
    # It is there before the API server, which listens on it alone and which pods reach there.
    processes.undo("run", "ip", "link", "del", BRIDGE)
    for argv in (
        ["ip", "link", "add", BRIDGE, "type", "bridge"],
        ["ip", "addr", "add", f"{ADDRESS}/24", "dev", BRIDGE],
        ["ip", "link", "set", BRIDGE, "up"],
    ):
        run(argv)


def _dns(api: kubeapi.Api) -> None:
    corefile = f"""
.:{DNS_PORT} {{
    bind {ADDRESS}
    errors
    ready 127.0.0.1:{api.spare}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {api.kubeconfig} {kubeapi.CONTEXT}
        pods insecure
    }}
    cache 5
}}
"""
    (api.folder / "Corefile").write_text(corefile, encoding="utf-8")
    api.processes.start("coredns", kubeapi.TOOLS / "coredns", "-conf", api.folder / "Corefile")


def _containerd(processes: Processes) -> None:
    folder, socket = processes.folder, _socket(processes.folder)
    network = {
        "cniVersion": "1.0.0",
        "name": BRIDGE,
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                # Nothing leaves this computer, so nothing is masqueraded, and no rule is left behind.
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(folder / "addresses"),
                    "ranges": [[{"subnet": PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }
    (folder / "cni").mkdir()
    (folder / "cni" / "10-bridge.conflist").write_text(json.dumps(network), encoding="utf-8")
    config = f"""version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{folder}/cni"
"""
    (folder / "containerd.toml").write_text(config, encoding="utf-8")
    if not groups():
        # The kubelet makes them, and they can go once no container is in them.
        processes.undo("prune", "kubepods")
    processes.undo("unmount", str(folder))
    processes.start("containerd", "containerd", "-c", folder / "containerd.toml")
    processes.undo("containers", socket)
    # A kubelet that finds the runtime half started ends at once.
    processes.wait("containerd", lambda: "containerd successfully booted" in processes.log("containerd"))


def _kubelet(api: kubeapi.Api) -> None:
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "healthzPort": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        # Its own rules would stay behind; kube-proxy's are taken away by kube-proxy.
        "makeIPTablesUtilChains": False,
        # Many a container host still has version 1.
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{_socket(api.folder)}",
        "resolvConf": "",
        "clusterDomain": "cluster.local",
        "clusterDNS": [ADDRESS],
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }
    path = api.folder / "kubelet.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    api.processes.start(
        "kubelet",
        kubeapi.TOOLS / "kubelet",
        f"--config={path}",
        f"--kubeconfig={api.kubeconfig}",
        f"--root-dir={api.folder / 'kubelet'}",
        f"--cert-dir={api.folder / 'kubelet' / 'pki'}",
        f"--hostname-override={NAME}",
        f"--node-ip={ADDRESS}",
    )


def _proxy(api: kubeapi.Api) -> None:
    program = kubeapi.TOOLS / "kube-proxy"
    api.processes.undo("run", str(program), "--cleanup")
    if FIREWALL not in run(["iptables-save", "-t", "filter"]):
        # kube-proxy takes it for a kubelet's and lets it be; last first.
        api.processes.undo("run", "iptables", "-X", FIREWALL)
        api.processes.undo("run", "iptables", "-F", FIREWALL)
        for chain in ("INPUT", "OUTPUT"):
            api.processes.undo("run", "iptables", "-D", chain, "-j", FIREWALL)
    api.processes.start(
        "kube-proxy",
        program,
        f"--kubeconfig={api.kubeconfig}",
        f"--hostname-override={NAME}",
        "--proxy-mode=iptables",
        # Ports of nodes on loopback need a setting of the kernel that would stay.
        "--iptables-localhost-nodeports=false",
        f"--cluster-cidr={PODS}",
        # The limits of connections are the host's own affair.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--metrics-bind-address=127.0.0.1:10249",
        "--healthz-bind-address=127.0.0.1:10256",
    )
