"""A real API server in the place of an emulated account's cluster: whoever has the account's credentials gets in.

What the engine asked its provider to put on the cluster is put there, charts excepted. `mlplat aws token` is what a
person is let in by: a signed question, which the cluster's reviewer sends to the account, as an EKS cluster's does.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubeapi
import kubecrds
from awsengine import ACCOUNT, REGION, Emulation
from conformancecluster import answering
from fakecloud.world import World
from kubeapi import Api
from mlplat.cluster import Cluster
from mlplat.errors import MlplatError
from mlplat.targets.aws.token import PREFIX

FIRST = ("CustomResourceDefinition", "Namespace")
"""Kinds without which others cannot be put there."""
NO_OBJECT = ("helm.sh", "yaml")
"""Groups of the provider's own."""
GROUP = "system:masters"


@contextmanager
def cluster(folder: Path, emulation: Emulation) -> Iterator[Api]:
    """Run an API server that asks an account who somebody is."""
    folder.mkdir(parents=True)
    with answering(lambda asked: (200, _reviewed(json.loads(asked), emulation))) as reviewer:
        told = folder / "reviewer"
        entry = {"clusters": [{"name": "account", "cluster": {"server": reviewer}}], "current-context": "account"}
        contexts = [{"name": "account", "context": {"cluster": "account", "user": ""}}]
        told.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **entry, "contexts": contexts}))
        flags = (f"--authentication-token-webhook-config-file={told}", "--authentication-token-webhook-version=v1")
        with kubeapi.running(folder / "api", data=kubecrds.prepared(), flags=flags) as api:
            yield api


def known(name: str, emulation: Emulation, api: Api) -> None:
    """Let the account tell of a cluster, which the engine's provider keeps to itself: it is that API server."""
    from moto.eks.models import eks_backends

    role = f"arn:aws:iam::{ACCOUNT}:role/cluster"
    emulation.client("eks").create_cluster(name=name, roleArn=role, resourcesVpcConfig={})
    made = eks_backends[ACCOUNT][REGION].clusters[name]
    made.endpoint = api.url
    made.certificate_authority = {"data": base64.b64encode(api.authority.pem.encode()).decode()}


def forgotten(name: str, emulation: Emulation) -> None:
    """Let the account not tell of it any more."""
    emulation.client("eks").delete_cluster(name=name)


def put(world: World, on: Cluster) -> list[str]:
    """Put on a cluster what the engine's provider was asked for; return what the API server refused.

    Kinds of which nobody has the definitions here are left out.
    """
    without = (*NO_OBJECT, *kubecrds.unchecked())
    found = [each for each in world.all() if each["type"].startswith("kubernetes:")]
    documents = [_document(each) for each in found if not each["type"].split(":")[1].startswith(without)]
    documents.sort(key=lambda each: FIRST.index(each["kind"]) if each["kind"] in FIRST else len(FIRST))
    refused = []
    for each in documents:
        try:
            on.apply(each)
        except MlplatError as error:
            refused.append(f"{each['kind']} {each['metadata']['name']}: {error}")
    return refused


def _document(record: Mapping[str, Any]) -> dict[str, Any]:
    _, version, kind = record["type"].split(":")
    return {**record["inputs"], "apiVersion": version.removeprefix("core/"), "kind": kind.removesuffix("Patch")}


def _reviewed(review: Mapping[str, Any], emulation: Emulation) -> dict[str, Any]:
    name = _caller(str(review["spec"]["token"]), emulation)
    known = {"authenticated": True, "user": {"username": name, "groups": [GROUP]}} if name else {"authenticated": False}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": known}


def _caller(token: str, emulation: Emulation) -> str | None:
    """Return who signed a token; None for one that the account does not know."""
    if not token.startswith(PREFIX):
        return None
    text = token.removeprefix(PREFIX)
    url = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    place, _, query = url.partition("?")
    assert place == f"{emulation.address}/", "the token leads to another account"
    asked = dict(urllib.parse.parse_qsl(query))
    # The emulation tells services apart by a header that a request signed by its query need not have.
    signed = f"{asked['X-Amz-Algorithm']} Credential={asked['X-Amz-Credential']}, SignedHeaders=, Signature="
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": signed}), timeout=20) as told:
            arn = str(told.read().decode()).partition("<Arn>")[2].partition("</Arn>")[0]
    except urllib.error.HTTPError:
        return None
    return arn if f":{ACCOUNT}:" in arn else None
