"""The pod of a service: what runs, how it is watched, and what it is kept from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlplat.manifests import config, names
from mlplat.manifests.meta import labels, selector
from mlplat.manifests.place import Place
from mlplat.manifests.variables import Variables
from mlplat.services import Http, Job, Open, Resources, Service

SCRATCH = "1Gi"
"""Most that a pod may write into one scratch folder: a full disk of a node is everybody's trouble."""
MEMORY_FOLDER = "/dev/shm"  # noqa: S108 - the name of what processes share memory by
DRAIN_SECONDS = 5
"""For which a pod that is to end still answers: proxies learn of it only now."""
STARTUP_PERIOD = 2
LIVENESS_PERIOD = 10
LIVENESS_FAILURES = 6
"""A minute: a server that is slow under load is not helped by a restart."""


def template(service: Service, place: Place) -> dict[str, Any]:
    """Return the template of a service's pods."""
    spec = _spec(service, place, account=identity(service), token=service.token)
    return {
        "metadata": _meta(service, place, labels(service, place)),
        "spec": {**spec, **_spread(service), "containers": [_main(service, place)]},
    }


def job_template(service: Service, job: Job, place: Place) -> dict[str, Any]:
    """Return the template of the pods of one of a service's jobs."""
    # Its own name: under the service's, its pods would be given the service's traffic.
    marks = {**labels(service, place), names.APP: job_name(service, job)}
    variables = Variables(service, place)
    container = {
        "name": job.name,
        "image": place.image(job.image or service.image),
        **_program(variables, job.argv, {**_home(service), **job.env}),
        "resources": _resources(job.resources),
        "securityContext": _closed(),
        "volumeMounts": [*_scratches(service), *config.given(service)],
    }
    spec = _spec(service, place, account=job.identity or identity(service), token=bool(job.rights))
    if job.user is not None:
        spec["securityContext"] = _user(job.user)
    return {
        "metadata": _meta(service, place, marks),
        "spec": {**spec, "restartPolicy": "Never", "containers": [container]},
    }


def job_name(service: Service, job: Job) -> str:
    """Return what the pods of a service's job are called."""
    return names.short(f"{service.name}-{job.name}")


def identity(service: Service) -> str:
    """Return the service account of a service."""
    return service.identity or service.name


def _meta(service: Service, place: Place, marks: Mapping[str, str]) -> dict[str, Any]:
    annotations = dict(sorted({**place.annotations, **config.stamp(service, place)}.items()))
    return {"labels": dict(marks), **({"annotations": annotations} if annotations else {})}


def _spec(service: Service, place: Place, *, account: str, token: bool) -> dict[str, Any]:
    return {
        "serviceAccountName": account,
        # A token of the API is a way into the cluster for whoever gets into the pod.
        "automountServiceAccountToken": token,
        # Variables of every service in the namespace are noise, and change what programs read.
        "enableServiceLinks": False,
        "securityContext": _user(service.user),
        "terminationGracePeriodSeconds": service.stop_seconds + DRAIN_SECONDS,
        **({"priorityClassName": place.priority} if place.priority else {}),
        **({"imagePullSecrets": [{"name": place.pull_secret}]} if place.pull_secret else {}),
        **({"nodeSelector": dict(place.node_selector)} if place.node_selector else {}),
        **({"tolerations": [dict(each) for each in place.tolerations]} if place.tolerations else {}),
        "volumes": [*map(_scratch, service.scratch), *config.volumes(service)],
    }


def _user(number: int) -> dict[str, Any]:
    return {
        "runAsNonRoot": number != 0,
        "runAsUser": number,
        "runAsGroup": number,
        "fsGroup": number,
        # A large volume is not gone through at each start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _closed() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def _main(service: Service, place: Place) -> dict[str, Any]:
    variables = Variables(service, place)
    ports = [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in sorted(service.ports.items())]
    return {
        "name": service.name,
        "image": place.image(service.image),
        **_program(variables, service.argv, {**_home(service), **service.env}),
        "ports": ports,
        **_probes(service),
        **({"lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}}} if service.ports else {}),
        "resources": _resources(service.resources),
        "securityContext": _closed(),
        "volumeMounts": [*_scratches(service), *config.given(service), *config.kept(service)],
    }


def _program(variables: Variables, argv: Sequence[Any], env: Mapping[str, Any]) -> dict[str, Any]:
    # `command` is the whole line: what an image starts with by itself is its maker's affair.
    command = [variables.argument(each) for each in argv]
    return {**({"command": command} if command else {}), "env": variables.listed(env)}


def _home(service: Service) -> dict[str, str]:
    # The user has no entry among the image's users, and so neither name nor home.
    home = {"HOME": service.scratch[0]} if service.scratch else {}
    return {"PYTHONUNBUFFERED": "1", "USER": "mlplat", **home}


def _probes(service: Service) -> dict[str, Any]:
    tries = max(1, math.ceil(service.ready.timeout / STARTUP_PERIOD))
    return {
        "startupProbe": {
            **_asked(service, service.ready),
            "periodSeconds": STARTUP_PERIOD,
            "timeoutSeconds": 5,
            "failureThreshold": tries,
        },
        "readinessProbe": {
            **_asked(service, service.ready),
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            **_asked(service, service.alive or service.ready),
            "periodSeconds": LIVENESS_PERIOD,
            "timeoutSeconds": 5,
            "failureThreshold": LIVENESS_FAILURES,
        },
    }


def _asked(service: Service, ready: Http) -> dict[str, Any]:
    if isinstance(ready, Open):
        return {"tcpSocket": {"port": ready.port}}
    # By the service's name: a server that knows its names refuses a bare address, and would never be ready.
    headers = [{"name": "Host", "value": service.name}]
    return {"httpGet": {"path": ready.path, "port": ready.port, "httpHeaders": headers}}


def _resources(given: Resources) -> dict[str, Any]:
    gpu = {given.gpu_resource: str(given.gpu)} if given.gpu else {}
    return {
        "requests": {"cpu": f"{round(given.cpu * 1000)}m", "memory": f"{given.memory_mib}Mi", **gpu},
        # No limit of processors: it would only make a pod wait while they idle.
        "limits": {"memory": f"{given.memory_limit_mib}Mi", **gpu},
    }


def _folder(path: str) -> str:
    return names.short("scratch-" + re.sub("[^a-z0-9]+", "-", path.lower()).strip("-"))


def _scratch(path: str) -> dict[str, Any]:
    memory = {"medium": "Memory"} if path == MEMORY_FOLDER else {}
    return {"name": _folder(path), "emptyDir": {**memory, "sizeLimit": SCRATCH}}


def _scratches(service: Service) -> list[dict[str, Any]]:
    return [{"name": _folder(path), "mountPath": path} for path in service.scratch]


def _spread(service: Service) -> dict[str, Any]:
    if service.replicas == 1:
        return {}
    # Wished for, not required: on a cluster of one node or zone they still run.
    keys = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    return {"topologySpreadConstraints": [_constraint(service, key) for key in keys]}


def _constraint(service: Service, key: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(service)},
        # Otherwise pods of the version that is leaving count.
        "matchLabelKeys": ["pod-template-hash"],
    }
