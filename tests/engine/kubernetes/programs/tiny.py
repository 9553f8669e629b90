"""Four objects that need each other, one of them of a kind that the program itself defines."""

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

written = pulumi.Config("tiny")
way = kubernetes.Provider(
    "cluster",
    context=written.require("context"),
    kubeconfig=written.require("kubeconfig"),
    cluster_identifier="tiny",
    enable_server_side_apply=True,
)


def put(name: str, document: dict[str, Any], *after: pulumi.Resource) -> pulumi.CustomResource:
    version = document["apiVersion"]
    token = f"kubernetes:{version if '/' in version else f'core/{version}'}:{document['kind']}"
    return pulumi.CustomResource(token, name, document, pulumi.ResourceOptions(provider=way, depends_on=list(after)))


schema = {
    "type": "object",
    "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 5}}}},
}
definition = put(
    "definition",
    {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.tests.mlplat.dev"},
        "spec": {
            "group": "tests.mlplat.dev",
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    },
)
place = put("place", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tiny"}})
put(
    "settings",
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": written.get("name") or "settings", "namespace": "tiny"},
        "data": {"greeting": written.get("greeting") or "hello"},
    },
    place,
)
put(
    "thing",
    {
        "apiVersion": "tests.mlplat.dev/v1",
        "kind": "Thing",
        "metadata": {"name": "one", "namespace": "tiny"},
        "spec": {"size": written.get_int("size") or 1},
    },
    definition,
    place,
)
