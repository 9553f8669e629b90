"""`ModelEndpoint`: the definition by which a cluster keeps endpoint documents, and what it refuses of them.

What people write is described from the same fields as the project's file, so that each bound stands in one place. The
API server checks it before anything is stored. Of the status, what people look at has fields of its own; `state` holds
the controller's document as it is, and nobody else reads it.
"""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from mlplat.manifests import names
from mlplat.spec.pipelines import CRON, CRON_LINES, TimesSpec
from mlplat.spec.privacy import LoggedColumns
from mlplat.spec.retraining import RetrainingPolicy, Trigger
from mlplat.spec.rollout import ALL, RolloutPolicy
from mlplat.spec.scale import ScaleSpec

KIND = "ModelEndpoint"
PLURAL = "modelendpoints"
FINALIZER = f"{names.GROUP}/drained"
"""Keeps a deleted endpoint until nothing of it runs any more."""
ACTIONS = ("deploy", "promote", "abort", "rollback", "delete")

LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
TEXT_LENGTH = 1024
STEPS, COLUMNS = 20, 256
"""Bounds that the schema needs: a rule over a list without one is too dear for the API server."""
HISTORY = 50
"""Events that a status keeps, the newest ones."""

Schema = dict[str, Any]
NUMBER: Schema = {"type": "integer", "format": "int64"}
TEXT: Schema = {"type": "string"}
ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*each) for each in COLUMNS_SHOWN],
        "schema": {"openAPIV3Schema": schema()},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{names.GROUP}", "labels": {names.PART_OF: "mlplat"}},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["mep"],
                "categories": ["mlplat"],
            },
            "versions": [version],
        },
    }


COLUMNS_SHOWN = (
    ("Model", "string", ".spec.model", 0),
    ("Wished", "string", ".spec.version", 0),
    ("Serving", "string", ".status.serving", 0),
    ("Phase", "string", ".status.phase", 0),
    ("Weight", "integer", ".status.weight", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Message", "string", ".status.message", 1),
    ("Trouble", "string", ".status.trouble", 1),
)


def _column(name: str, kind: str, path: str, priority: int) -> dict[str, Any]:
    # Long texts are for `-o wide`.
    return {"name": name, "type": kind, "jsonPath": path, **({"priority": priority} if priority else {})}


def camel(key: str) -> str:
    """Write a key as Kubernetes does: `min_requests` is `minRequests`."""
    head, *rest = key.split("_")
    return head + "".join(word.capitalize() for word in rest)


def schema() -> Schema:
    """Return the schema of a whole document."""
    named = f"^{LABEL}\\\\.{LABEL}$"
    return {
        "description": "An endpoint: the version of a model that it is to serve, and what has become of that.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": TEXT,
            "kind": TEXT,
            "metadata": {"type": "object"},
            "spec": _spec(),
            "status": _status(),
        },
        "x-kubernetes-validations": [
            _rule(
                f"self.metadata.name.matches('{named}')",
                "metadata.name must be `project.endpoint`: two names of lower-case letters, digits and `-`",
            ),
            _rule(
                "self.spec.model.startsWith(self.metadata.name.split('.')[0] + '/')",
                "spec.model must be one of the endpoint's own project: `project/model` for the endpoint "
                "`project.endpoint`",
            ),
        ],
    }


def _spec() -> Schema:
    policy = _of(RolloutPolicy)
    timeout, least = _or_default(RolloutPolicy, "step_timeout_seconds"), _or_default(RolloutPolicy, "min_seconds")
    policy["x-kubernetes-validations"] = [
        _rule(f"{timeout} > {least}", "stepTimeoutSeconds must be longer than minSeconds")
    ]
    steps = policy["properties"]["steps"]
    steps |= {"minItems": 1, "maxItems": STEPS, "x-kubernetes-validations": [_growing()]}
    log = _of(LoggedColumns)
    for column in log["properties"].values():
        column |= {"maxItems": COLUMNS, "items": {"type": "string", "minLength": 1, "maxLength": TEXT_LENGTH}}
    both = "!has(self.exclude) || !has(self.hash) || !self.exclude.exists(c, c in self.hash)"
    log["x-kubernetes-validations"] = [_rule(both, "a column is either excluded or hashed, not both")]
    scale, most = _of(ScaleSpec), _or_default(ScaleSpec, "max_replicas")
    few = f"!has(self.minReplicas) || self.minReplicas <= {most}"
    placed = "!has(self.gpu) || self.gpu == 0 || has(self.pool)"
    scale["x-kubernetes-validations"] = [
        _rule(few, "minReplicas must not be more than maxReplicas"),
        _rule(placed, "pool is required with gpu: it says which GPUs"),
    ]
    retraining = _of(RetrainingPolicy)
    retraining["properties"]["on"] |= {"maxItems": len(get_args(Trigger))}
    times = _of(TimesSpec)
    line = {"type": "string", "maxLength": TEXT_LENGTH, "pattern": f"^{CRON.pattern}$"}
    times["properties"]["cron"] |= {"minItems": 1, "maxItems": CRON_LINES, "items": line}
    told = retraining["properties"]["schedule"]["description"]
    retraining["properties"]["schedule"] = {**times, "required": ["cron"], "description": told}
    aged, timed = (
        f"(has(self.on) && '{trigger}' in self.on) == has(self.{key})"
        for trigger, key in (("age", "maxAgeDays"), ("schedule", "schedule"))
    )
    retraining["x-kubernetes-validations"] = [
        _rule(aged, "`age` in `on` and maxAgeDays belong together"),
        _rule(timed, "`schedule` in `on` and the field schedule belong together"),
    ]
    return {
        "type": "object",
        "required": ["model", "version"],
        "properties": {
            "model": {
                "type": "string",
                "maxLength": 127,
                "pattern": f"^{LABEL}/{LABEL}$",
                "description": "Registered model, as `project/model`.",
            },
            "version": {
                "type": "string",
                "minLength": 1,
                "maxLength": 20,
                "pattern": "^[0-9]+$",
                "description": "Its version in the registry.",
            },
            "policy": {**policy, "description": "How the version takes over the traffic."},
            "log": {**log, "description": "What the prediction log keeps of the columns."},
            "scale": {**scale, "description": "Model servers, and what each is given."},
            "retraining": {**retraining, "description": "What has the model trained anew by itself."},
            "wish": _wish(),
        },
    }


def _wish() -> Schema:
    """Return the schema of what `mlplat` says beside the version."""
    short = {"type": "string", "maxLength": TEXT_LENGTH}
    forced = {"type": "object", "required": ["reason", "by"], "properties": {"reason": short, "by": short}}
    needs = _rule(
        "!(self.action in ['promote', 'rollback']) || has(self.revision)",
        "revision is required by promote and rollback: `mlplat` fills it in",
    )
    return {
        "type": "object",
        "description": "What `mlplat deploy`, `rollout` and `endpoint` say beside the version; it holds for exactly "
        "what stands above it, so whoever changes that wishes to deploy it.",
        "required": ["number", "action", "of"],
        "properties": {
            "number": {**NUMBER, "minimum": 1, "description": "Counts wishes: an equal one is a new one."},
            "action": {"type": "string", "enum": list(ACTIONS)},
            "of": {**short, "description": "Digest of what stands beside it."},
            "revision": {**NUMBER, "minimum": 1, "description": "Revision to go to at once."},
            "force": {**forced, "description": "Decision to serve a version that the gate did not let pass."},
            "reason": short,
            "by": {**short, "description": "Who wishes it."},
            "text": {**short, "description": "As the history tells it."},
            "time": {"type": "string", "format": "date-time"},
        },
        "x-kubernetes-validations": [needs],
    }


def _status() -> Schema:
    condition = {
        "type": "object",
        "required": ["type", "status", "reason", "lastTransitionTime"],
        "properties": {
            "type": TEXT,
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": TEXT,
            "message": TEXT,
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "observedGeneration": NUMBER,
        },
    }
    event = {
        "type": "object",
        "required": ["number", "time", "generation", "kind", "text"],
        "properties": {
            "number": NUMBER,
            "time": {"type": "string", "format": "date-time"},
            "generation": NUMBER,
            "kind": TEXT,
            "text": TEXT,
            "figures": ANYTHING,
        },
    }
    return {
        "type": "object",
        "properties": {
            "observedGeneration": NUMBER,
            "phase": TEXT,
            "message": TEXT,
            "trouble": {**TEXT, "description": "What keeps the controller from going on; it tries again."},
            "serving": {**TEXT, "description": "Version that serves."},
            "challenger": {**TEXT, "description": "Version that is to take over, or failed to."},
            "weight": {**NUMBER, "description": "Per cent of the traffic that the challenger gets."},
            "conditions": {
                "type": "array",
                "items": condition,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
            "history": {"type": "array", "maxItems": HISTORY, "items": event, "x-kubernetes-list-type": "atomic"},
            "events": {**NUMBER, "description": "Events that there ever were."},
            "retraining": {
                "type": "object",
                "description": "What became of the newest wish in the annotation `mlplat.dev/retrain`.",
                "properties": {
                    "request": {**TEXT, "description": "Digest of the wish."},
                    "run": {**TEXT, "description": "Workflow that it became; empty where it became none."},
                    "message": TEXT,
                    "time": {"type": "string", "format": "date-time"},
                    "begun": {
                        "type": "array",
                        "maxItems": HISTORY,
                        "items": {"type": "string", "format": "date-time"},
                        "x-kubernetes-list-type": "atomic",
                        "description": "When it and those before it were begun: what a policy's budget is counted by.",
                    },
                    "status": {**TEXT, "description": "What came of it; empty while it goes on."},
                    "version": {**TEXT, "description": "Version that it registered."},
                },
            },
            "state": {**ANYTHING, "description": "The controller's own document."},
        },
    }


def _growing() -> dict[str, str]:
    grows = f"self.isSorted() && self.all(x, self.exists_one(y, y == x)) && self[size(self) - 1] == {ALL}"
    return _rule(grows, f"steps must grow from step to step and end in {ALL}")


def _rule(rule: str, message: str) -> dict[str, str]:
    return {"rule": rule, "message": message}


def _or_default(model: type[BaseModel], key: str) -> str:
    """Return the CEL expression of a field that may be absent."""
    return f"(has(self.{camel(key)}) ? self.{camel(key)} : {model.model_fields[key].default})"


def _of(model: type[BaseModel]) -> Schema:
    """Return a model's schema as Kubernetes writes it: structural, camel case, without defaults.

    A default that was stored would outlive the mlplat that meant it.
    """
    fields = model.model_json_schema()["properties"]
    return {"type": "object", "properties": {camel(key): _structural(field) for key, field in fields.items()}}


def _structural(field: Schema) -> Schema:
    if "anyOf" in field:
        whole = next(each for each in field["anyOf"] if each.get("type") != "null")
        return _structural({**whole, "description": field.get("description", "")})
    kept = ("type", "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength")
    found = {key: field[key] for key in kept if key in field}
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        # JSON Schema writes a number here, OpenAPI 3.0 a flag beside the bound.
        if bound in field:
            found |= {limit: field[bound], bound: True}
    if "items" in field:
        found["items"] = _structural(field["items"])
    return found
