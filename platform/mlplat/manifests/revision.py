"""A revision of an endpoint as Kubernetes' objects: model servers that fetch one bundle, by its digest, and answer.

The Deployment comes last but for what scales it: whoever finds it finds everything that its pods need. It is never
changed afterwards, so a newer mlplat or new settings are for new revisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mlplat.contracts import PREDICTIONS
from mlplat.labels import Name
from mlplat.manifests import names, network
from mlplat.manifests.meta import SERVICE
from mlplat.manifests.network import Peer
from mlplat.manifests.place import Place
from mlplat.manifests.workload import workload
from mlplat.services import Http, Ref, Resources, SecretRef, Service
from mlplat.spec.privacy import LoggedColumns
from mlplat.spec.scale import ScaleSpec

ACCOUNT = "serving"
"""Service account of a team's model servers, which is there from the first day."""
IMAGE = "serving"
CONTAINER = "serving"
SCRATCH = "/tmp"  # noqa: S108 - in a container, where the root is read-only
FOLDER = "/bundle"
FETCH_MEMORY = ("128Mi", "512Mi")
"""A bundle is written to disk as it comes."""
LOG_FOLDER = "/predictions"
"""Where a model server writes its log: a volume of the pod, from which the shipper takes finished parts."""
LOG_BYTES = 512 * 2**20
"""Most that waits there for a store that takes nothing; half of what the volume may hold (`mlplat.manifests.pod`)."""
LOG_KEY, KEY_FOLDER, KEY_FILE = "prediction-log", "/keys", "key"
"""Secret of a team's namespace with the key of its logs' hashes, and where a model server has it."""
SHIP_MEMORY = ("64Mi", "192Mi")
"""A client of S3 is 60 MiB; a part is read as it is sent."""
SHIP_SECONDS = 15
"""In which what the server has written last is sent, after it has ended."""
STOP_SECONDS = 10
"""The server ends running requests within 8 s (`mlplat.serving.options`)."""
BUSY_PERCENT = 70
"""Use of the processors kept for it above which there is one server more."""
BUSY_REQUESTS = 8
"""Requests admitted and not answered for each server, likewise, where a Prometheus counts them."""
CALM_SECONDS = 300
"""For which fewer have to do before one is taken away."""
AWS_AGENT = Peer((80, 2703), addresses=("169.254.170.23/32", "fd00:ec2::23/128"))
"""EKS's agent on each node, which hands pods the credentials of their role."""
MONITORING = "monitoring"
"""Namespace of the Prometheus that reads model servers."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Bucket:
    """Where bundles are, and how model servers read them."""

    name: str
    region: str
    endpoint: str | None = None
    """None for AWS's own of the region."""
    secret: str | None = None
    """Secret with `access_key` and `secret_key` in the team's namespace; None where pods have identities."""


@dataclass(frozen=True)
class Log:
    """What model servers write down of what they answer."""

    bucket: str
    rows: int
    """Rows after which a part is written."""
    seconds: float
    """Longest time before a part that has rows is written."""
    columns: LoggedColumns = field(default_factory=LoggedColumns)


@dataclass(frozen=True)
class Server:
    """One revision, and everything its model servers are told."""

    endpoint: Name
    label: str
    """`r3`."""
    version: str
    digest: str
    key: str
    """Of the bundle's archive in the bucket."""
    scale: ScaleSpec
    namespace: str
    image: str
    bucket: Bucket
    port: int = 8080
    start_seconds: float = 900.0
    production: bool = True
    clock: str | None = None
    features: str | None = None
    """URL of the project at the feature server, a service of the platform; None where nothing is looked up."""
    pull_secret: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    gpu_resource: str = "nvidia.com/gpu"
    """What GPUs are asked for as on those nodes."""
    prometheus: str | None = None
    """URL of the Prometheus by whose figures KEDA scales; None to scale by processor."""
    log: Log | None = None
    """What is written down of its answers; None for nothing."""
    owner: Mapping[str, Any] | None = None
    replicas: int | None = None
    """Servers that there are already; None for the fewest."""

    @property
    def name(self) -> str:
        """What all of its objects are called."""
        return names.revision(self.endpoint, self.label)

    @property
    def fewest(self) -> int:
        """Servers that are always there."""
        return fewest(self.scale, production=self.production)


def fewest(scale: ScaleSpec, *, production: bool) -> int:
    """Return how many servers there are at least: two in production, so that one node may go."""
    usual = min(2 if production else 1, scale.max_replicas)
    return usual if scale.min_replicas is None else scale.min_replicas


def documents(server: Server) -> list[Document]:
    """Return a revision's objects, in the order in which they are made.

    Raises `RefusedError` for an image that could change unseen where that is not allowed.
    """
    made = [each for each in workload(_service(server), _place(server)) if each["kind"] != "ServiceAccount"]
    for each in made:
        if each["kind"] == "Deployment":
            _complete(each, server)
    first = [each for each in made if each["kind"] != "Deployment"]
    last = [each for each in made if each["kind"] == "Deployment"]
    return [*first, *last, *([_scaler(server)] if server.scale.max_replicas > server.fewest else [])]


def selector(endpoint: Name, label: str | None = None) -> dict[str, str]:
    """Return the labels by which an endpoint's objects are found, or those of one of its revisions."""
    found = {names.PROJECT: endpoint.project, names.ENDPOINT: endpoint.name}
    return {**found, names.REVISION: label} if label else found


def _service(server: Server) -> Service:
    given = server.scale
    clock = {"MLPLAT_CLOCK": server.clock} if server.clock else {}
    return Service(
        name=server.name,
        image=IMAGE,
        argv=(
            *("python", "-m", "mlplat.serving", "--bundle", f"{FOLDER}/model", "--digest", server.digest),
            *("--endpoint", str(server.endpoint), "--revision", server.label, "--model-version", server.version),
            *("--host", Ref("host"), "--port", str(server.port)),
            *(("--features", server.features) if server.features else ()),
            *(_logged(server.log) if server.log else ()),
        ),
        ready=Http("/v2/health/ready", timeout=server.start_seconds),
        alive=Http("/v2/health/live"),
        # One request is too small to share among threads: they would only wait for each other.
        env={"OMP_NUM_THREADS": "1", **clock},
        ports={"http": server.port},
        resources=Resources(given.cpu, given.memory_mib, given.memory_mib, given.gpu, server.gpu_resource),
        replicas=server.fewest,
        identity=ACCOUNT,
        scratch=(SCRATCH, FOLDER, *((LOG_FOLDER,) if server.log else ())),
        stop_seconds=STOP_SECONDS,
        reaches=(
            "objects",
            *(() if server.bucket.secret else ("identity",)),
            *(("features",) if server.features else ()),
        ),
        callers=("gateway", "controller", "monitoring"),
    )


def _place(server: Server) -> Place:
    platform = network.namespace(names.NAMESPACE)
    return Place(
        images={IMAGE: server.image},
        namespace=server.namespace,
        production=server.production,
        pull_secret=server.pull_secret,
        monitored=False,
        node_selector=server.node_selector,
        tolerations=server.tolerations,
        labels={**selector(server.endpoint, server.label), names.TEAM: server.namespace},
        owner=server.owner,
        peers={
            "gateway": Peer((), {}, network.namespace(names.PROXIES)),
            "controller": Peer((), {"matchLabels": {SERVICE: "controller"}}, platform),
            "monitoring": Peer((), {}, network.namespace(MONITORING)),
            "objects": _store(server.bucket),
            "identity": AWS_AGENT,
            **({"features": _features(server.features)} if server.features else {}),
        },
    )


def _features(url: str) -> Peer:
    """Return the feature server as an end of an edge."""
    found = urlsplit(url)
    pods = {"matchLabels": {SERVICE: (found.hostname or "").split(".")[0]}}
    return Peer((found.port or 80,), pods, network.namespace(names.NAMESPACE))


def _store(bucket: Bucket) -> Peer:
    """Return the object store as an end of an edge: a service of the cluster by its namespace, others by their port."""
    if bucket.endpoint is None:
        return Peer((443,), addresses=network.ANYWHERE)
    found = urlsplit(bucket.endpoint)
    port = found.port or (443 if found.scheme == "https" else 80)
    parts = (found.hostname or "").split(".")
    if len(parts) > 2 and parts[2] == "svc":  # noqa: PLR2004 - `name.namespace.svc`
        return Peer((port,), {}, network.namespace(parts[1]))
    return Peer((port,), addresses=network.ANYWHERE)


def _complete(deployment: Document, server: Server) -> None:
    """Add what only model servers have: whoever fetches the bundle before them, and ships their log beside them."""
    spec = deployment["spec"]
    if server.replicas is not None:
        spec["replicas"] = max(server.replicas, server.fewest)
    pod = spec["template"]["spec"]
    main = pod["containers"][0]
    # The same of every revision: whoever asks for a log, or reads how one ended, knows it.
    main["name"] = CONTAINER
    pod["initContainers"] = [_fetcher(server, main)]
    if server.log:
        pod["initContainers"].append(_shipper(server, server.log, main))
        pod["terminationGracePeriodSeconds"] += SHIP_SECONDS
        _give_key(pod, main, server.log)


def _fetcher(server: Server, main: Mapping[str, Any]) -> Document:
    least, most = FETCH_MEMORY
    return {
        "name": "fetch",
        "image": main["image"],
        "command": [
            *("python", "-m", "mlplat.serving.fetch", "--bucket", server.bucket.name, "--key", server.key),
            *("--digest", server.digest, "--folder", f"{FOLDER}/model"),
        ],
        "env": _entry(server.bucket),
        "resources": {"requests": {"cpu": "100m", "memory": least}, "limits": {"memory": most}},
        "securityContext": main["securityContext"],
        "volumeMounts": _mounts(main, FOLDER),
    }


def _logged(log: Log) -> tuple[str, ...]:
    """Return a model server's arguments for its log."""
    return (
        *("--log-dir", LOG_FOLDER, "--log-rows", str(log.rows), "--log-seconds", f"{log.seconds:g}"),
        *("--log-keep-bytes", str(LOG_BYTES), "--log-shipped"),
        *(f"--log-exclude={column}" for column in log.columns.exclude),
        *(f"--log-hash={column}" for column in log.columns.hash),
        *(("--log-key", f"{KEY_FOLDER}/{KEY_FILE}") if log.columns.hash else ()),
    )


def _shipper(server: Server, log: Log, main: Mapping[str, Any]) -> Document:
    least, most = SHIP_MEMORY
    prefix = f"{server.namespace}/{PREDICTIONS}/{server.endpoint.id}/{server.label}"
    return {
        "name": "ship",
        "image": main["image"],
        "command": [
            *("python", "-m", "mlplat.serving.ship", "--folder", LOG_FOLDER, "--bucket", log.bucket),
            *("--prefix", prefix, "--stop-seconds", str(SHIP_SECONDS - 1)),
        ],
        # It goes on beside the server, and is told to end after it: the last part is there by then.
        "restartPolicy": "Always",
        "env": _entry(server.bucket),
        "resources": {"requests": {"cpu": "10m", "memory": least}, "limits": {"memory": most}},
        "securityContext": main["securityContext"],
        "volumeMounts": _mounts(main, LOG_FOLDER),
    }


def _mounts(main: Mapping[str, Any], folder: str) -> list[Document]:
    """Return what one of the server's folders, and one for whatever comes, are mounted by."""
    return [dict(each) for each in main["volumeMounts"] if each["mountPath"] in (SCRATCH, folder)]


def _give_key(pod: Document, main: Document, log: Log) -> None:
    """Let the server, and nobody else of the pod, read the key of its log's hashes."""
    if log.columns.hash:
        pod["volumes"].append({"name": "log-key", "secret": {"secretName": LOG_KEY, "defaultMode": 0o440}})
        main["volumeMounts"].append({"name": "log-key", "mountPath": KEY_FOLDER, "readOnly": True})


def _entry(bucket: Bucket) -> list[Document]:
    """Return the variables by which boto3 finds and enters the object store."""
    plain = {"AWS_DEFAULT_REGION": bucket.region}
    if bucket.endpoint:
        plain |= {
            "AWS_ENDPOINT_URL_S3": bucket.endpoint,
            # Newer clients add checksums of their own, which many stores other than AWS's refuse.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }
    keys = {}
    if bucket.secret:
        keys = {
            "AWS_ACCESS_KEY_ID": SecretRef(bucket.secret, "access_key"),
            "AWS_SECRET_ACCESS_KEY": SecretRef(bucket.secret, "secret_key"),
        }
    secret = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": ref.secret, "key": ref.key}}}
        for name, ref in sorted(keys.items())
    ]
    return [*secret, *({"name": name, "value": value} for name, value in sorted(plain.items()))]


def _scaler(server: Server) -> Document:
    metadata: Document = {
        "name": server.name,
        "namespace": server.namespace,
        "labels": {**selector(server.endpoint, server.label), names.PART_OF: "mlplat"},
        **({"ownerReferences": [dict(server.owner)]} if server.owner else {}),
    }
    if server.prometheus:
        return {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": metadata,
            "spec": _by_load(server),
        }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": server.name},
        "minReplicas": server.fewest,
        "maxReplicas": server.scale.max_replicas,
        "metrics": [
            {
                # Of the server alone: what ships its log hardly works, and would make it look idle.
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": CONTAINER,
                    "target": {"type": "Utilization", "averageUtilization": BUSY_PERCENT},
                },
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": CALM_SECONDS}},
    }
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def _by_load(server: Server) -> Document:
    query = f'sum(mlplat_waiting{{endpoint="{server.endpoint}",revision="{server.label}"}})'
    trigger = {
        "type": "prometheus",
        # Every value is a text here (KEDA).
        "metadata": {"serverAddress": server.prometheus, "query": query, "threshold": str(BUSY_REQUESTS)},
    }
    return {
        "scaleTargetRef": {"name": server.name},
        "minReplicaCount": server.fewest,
        "maxReplicaCount": server.scale.max_replicas,
        "cooldownPeriod": CALM_SECONDS,
        # A Prometheus that is down must not take servers away.
        "fallback": {"failureThreshold": 3, "replicas": max(2, server.fewest)},
        "triggers": [trigger],
    }
