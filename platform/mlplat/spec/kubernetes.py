"""What a stack file says of a cluster: `kubernetes` of `mlplat:platform`, for every target that has one.

Where the platform is entered, and what it stands on, is said here for the target `kubernetes` alone: on a cloud the
account has made both.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from mlplat.labels import LABEL
from mlplat.spec.base import Spec

Label = Annotated[str, StringConstraints(pattern=f"^{LABEL.pattern}$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Hostname = Annotated[str, StringConstraints(pattern=r"^(\*\.)?([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]{2,}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://\S+$")]
Registry = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?(/[a-z0-9._-]+)*$")]
BaseImage = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9./:_-]*?(:[\w][\w.-]*)?(@sha256:[0-9a-f]{64})?$")
]
TopicArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]+(\.fifo)?$")]
Provision = Literal["install", "adopt", "off"]
"""`install` puts a chart there, `adopt` uses what somebody else keeps there, `off` does without."""


class DatabasesSpec(Spec):
    """PostgreSQL that is there already: one database and user for each application."""

    tracking: SecretName = Field(description="Secret in the namespace `mlplat` whose key `url` is MLflow's address.")
    features: SecretName | None = Field(None, description="Likewise Feast's; unset, there is no feature store.")
    pipelines: SecretName | None = Field(None, description="Likewise Metaflow's; unset, there are no pipelines.")
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(
        5432, description="Port of these addresses: no other one is reached from the platform's services."
    )


class ObjectsSpec(Spec):
    """An S3 endpoint that is there already."""

    endpoint: Url | None = Field(None, description="Its address; unset, AWS's own of the region.")
    region: str = Field("us-east-1", description="Its region; most stores other than AWS's take any.")
    buckets: dict[Literal["data", "artifacts", "features", "pipelines"], Bucket] = Field(
        description="Bucket for each of `data`, `artifacts`, `features` and `pipelines`."
    )
    secret: SecretName | None = Field(
        None,
        description="Secret in the namespace `mlplat` with the keys `access_key` and `secret_key`; unset, pods have an"
        " identity of their own.",
    )

    @model_validator(mode="after")
    def _has_all(self) -> Self:
        if missing := sorted({"data", "artifacts", "features", "pipelines"} - set(self.buckets)):
            raise ValueError(f"`buckets` says nothing of `{missing[0]}`")
        return self


class AddonsSpec(Spec):
    """What the platform needs of a cluster beyond Kubernetes itself."""

    gateway: Provision = Field("install", description="Envoy Gateway, and Gateway API's definitions.")
    secrets: Provision = Field("install", description="External Secrets: secrets of a vault as the cluster's own.")
    autoscaling: Provision = Field("install", description="KEDA: model servers by requests, and to zero.")
    pipelines: Provision = Field("install", description="Argo Workflows, for pipelines.")
    queues: Provision = Field("install", description="Kueue and JobSet: quotas and fair shares of training.")
    monitoring: Provision = Field("install", description="Prometheus, Alertmanager and Grafana.")
    cost: Provision = Field("install", description="OpenCost: cost by team.")

    @model_validator(mode="after")
    def _costs_are_measured(self) -> Self:
        if self.cost == "install" and self.monitoring == "off":
            raise ValueError("`cost` is told from metrics, and `monitoring` is off: write `cost: off` too")
        return self


class JwtSpec(Spec):
    """Tokens by which callers of endpoints are known."""

    issuer: HttpsUrl = Field(description="Who signs them: the claim `iss`.")
    audiences: list[str] = Field(min_length=1, description="Values of the claim `aud` that are taken.")
    jwks: HttpsUrl = Field(description="Address of the issuer's public keys.")
    team_claim: str = Field("groups", description="Claim whose values name the caller's teams.")


class PagesSpec(Spec):
    """Pages for people at the gateway, for those who have signed in; without it, `mlplat open` forwards a port."""

    domain: Hostname = Field(
        description="They answer to `tracking.`, `grafana.` and `workflows.` below this name, whose addresses you set."
    )
    issuer: HttpsUrl = Field(description="OpenID Connect provider with which people sign in.")
    client_id: Annotated[str, StringConstraints(min_length=1)] = Field(description="The gateway's name there.")
    secret: SecretName = Field(
        description="Secret in the namespace `mlplat` whose key `client-secret` is its password."
    )
    tls_secret: SecretName | None = Field(
        None, description="Secret of the kind `kubernetes.io/tls` for these names; unset, the gateway's own."
    )
    groups: list[str] = Field(
        [], description="Who may come in, by the token's claim; unset, whoever may sign in under `client_id`."
    )
    group_claim: str = Field("groups", description="Claim whose values name a person's groups.")
    jwks: HttpsUrl | None = Field(None, description="Address of the provider's public keys, for `groups`.")

    @model_validator(mode="after")
    def _groups_are_proved(self) -> Self:
        if bool(self.groups) != (self.jwks is not None):
            raise ValueError("`groups` and `jwks` belong together")
        if self.domain.startswith("*."):
            raise ValueError("`domain` begins with `*.`, and the pages' names are put before it")
        return self


class ExposureSpec(Spec):
    """The one address under which endpoints answer."""

    service: Literal["load-balancer", "node-port", "cluster-ip"] = Field(
        "load-balancer", description="How it is reached: `cluster-ip` is from inside the cluster alone."
    )
    internal: bool = Field(True, description="Whether a cloud's load balancer has an address inside its network only.")
    hostname: Hostname | None = Field(None, description="Name that it answers to; unset, any.")
    tls_secret: SecretName | None = Field(
        None, description="Secret of the kind `kubernetes.io/tls` beside it; unset, it speaks plain HTTP."
    )
    authentication: Literal["none", "api-keys", "jwt"] = Field(
        "api-keys",
        description="How callers are known: `api-keys` of a team's secret `endpoint-keys`, and for MLflow of"
        " `tracking-keys` in the namespace `mlplat`; or tokens of an issuer. With `none`, endpoints answer everybody,"
        " and MLflow nobody.",
    )
    jwt: JwtSpec | None = Field(None, description="Whose tokens, for `jwt`.")
    requests_per_second: PositiveInt | None = Field(
        None, description="Requests a second to one endpoint above which callers are told to come again; unset, any."
    )
    parallel_requests: PositiveInt = Field(
        1024, description="Requests to one revision under way at a time; further ones are refused at once."
    )
    replicas: PositiveInt = Field(2, description="Proxies that answer.")
    pages: PagesSpec | None = Field(
        None,
        description="Pages of MLflow, Grafana and Argo behind a sign-in; unset, they are not reached from outside.",
    )

    @model_validator(mode="after")
    def _pages_are_private(self) -> Self:
        if self.pages and not (self.pages.tls_secret or self.tls_secret):
            raise ValueError("`pages` needs a `tls_secret`, of its own or of the gateway: a session is a cookie")
        return self

    @model_validator(mode="after")
    def _tokens_have_an_issuer(self) -> Self:
        if (self.authentication == "jwt") != (self.jwt is not None):
            raise ValueError("`jwt` belongs to `authentication: jwt`, and is required by it")
        return self


class ClusterImagesSpec(Spec):
    """Where the images of the platform's own services come from."""

    registry: Registry | None = Field(
        None, description="Registry and folder, such as `registry.example.com/mlplat`; unset, the account's own."
    )
    pull_secret: SecretName | None = Field(
        None, description="Secret by which nodes read it, in every namespace; unset, they need none."
    )
    base: BaseImage = Field(
        "docker.io/library/python:3.12-slim-bookworm",
        description="Image that they are built on, with Python 3.11 to 3.13; a digest makes two builds the same.",
    )
    platform: Literal["linux/amd64", "linux/arm64"] = Field(
        "linux/amd64", description="Processors of the nodes that run them."
    )


class ReceiverSpec(Spec):
    """Who is told of alerts."""

    kind: Literal["slack", "pagerduty", "webhook", "sns"] = Field(description="How.")
    secret: SecretName | None = Field(
        None,
        description="Secret in the namespace `mlplat` whose key `url` is the address, or `key` PagerDuty's; `sns` has"
        " none.",
    )
    topic: TopicArn | None = Field(None, description="ARN of the topic, for `sns`; unset, the account's own.")
    channel: str | None = Field(None, description="Channel, for `slack`.")
    severities: list[Literal["critical", "warning", "info"]] = Field(
        ["critical", "warning"], min_length=1, description="What is sent there."
    )

    @model_validator(mode="after")
    def _is_reached(self) -> Self:
        if (self.kind == "sns") != (self.secret is None):
            raise ValueError("`secret` is required, except by `sns`, which has none")
        return self


class ObjectivesSpec(Spec):
    """What every endpoint promises; alerts come when it is broken faster than 30 days of it allow."""

    # At most 1 % more errors is what a rollout lets pass: a stricter promise would wake people for it.
    availability: float = Field(
        0.995, ge=0.95, lt=1, description="Share of requests that are not answered with a status of 500 or above."
    )
    latency_ms: Literal[5, 10, 22, 50, 100, 250, 500, 1000, 2000, 5000] = Field(
        500, description="Time in which an answer is quick enough, in milliseconds: a bound of the gateway's histogram."
    )
    latency_share: float = Field(0.99, ge=0.95, lt=1, description="Share of answers that are quick enough.")
    min_failures: PositiveInt = Field(
        10, description="Fewest bad answers in a window that an alert comes of: two of three at night are none."
    )


class MonitoringSpec(Spec):
    """What is watched, and for how long it is kept."""

    retention_days: PositiveInt = Field(15, description="Days for which metrics are kept.")
    storage_gib: PositiveInt = Field(50, description="Disk for them, in GiB; the oldest go when it is full.")
    prometheus: Url | None = Field(
        None, description="Address of the Prometheus that is there, for `addons.monitoring: adopt`."
    )
    receivers: dict[Label, ReceiverSpec] = Field({}, description="Who is told of alerts, by name.")
    objectives: ObjectivesSpec = Field(ObjectivesSpec(), description="What endpoints promise.")
    runbooks: HttpsUrl | None = Field(
        None, description="Address under which the page of alerts is published, for links; unset, alerts name the file."
    )
    labels: dict[str, str] = Field(
        {},
        description="Labels by which a Prometheus that is there already finds rules and monitors, such as `release:"
        " kube-prometheus-stack`.",
    )


class KubernetesSpec(Spec):
    """A cluster and what is put on it."""

    context: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="Context of the kubeconfig; on a cloud's target the cluster is the account's."
    )
    kubeconfig: str | None = Field(None, description="Path of the kubeconfig; unset, `KUBECONFIG` or `~/.kube/config`.")
    version: Literal["1.35", "1.36"] = Field("1.35", description="Minor version of Kubernetes.")
    production: bool = Field(
        True, description="Whether images without a digest and in-cluster databases are refused, and replicas doubled."
    )
    storage_class: str | None = Field(None, description="Class of volumes; unset, the cluster's default.")
    databases: DatabasesSpec | None = Field(
        None, description="PostgreSQL that is there; unset, a small one in the cluster, for development."
    )
    objects: ObjectsSpec | None = Field(
        None, description="Object store that is there; unset, a small one in the cluster, for development."
    )
    images: ClusterImagesSpec = Field(ClusterImagesSpec(), description="Images of the platform's own services.")
    metadata_service: BaseImage | None = Field(
        None,
        description="Image of Metaflow's metadata service, such as"
        " `public.ecr.aws/outerbounds/metaflow_metadata_service:2.5.1`; unset, there is none.",
    )
    addons: AddonsSpec = Field(AddonsSpec(), description="What the cluster gets, or has.")
    exposure: ExposureSpec = Field(ExposureSpec(), description="How endpoints are reached.")
    monitoring: MonitoringSpec = Field(MonitoringSpec(), description="Metrics and alerts.")

    @model_validator(mode="after")
    def _pages_have_a_gateway(self) -> Self:
        if self.exposure.pages and self.addons.gateway == "off":
            raise ValueError("`exposure.pages` needs a gateway, and `addons.gateway` is off")
        return self

    @model_validator(mode="after")
    def _metrics_are_found(self) -> Self:
        given, addons = self.monitoring.prometheus is not None, self.addons
        if given and addons.monitoring != "adopt":
            raise ValueError("`monitoring.prometheus` belongs to `addons.monitoring: adopt`")
        if not given and addons.monitoring == "adopt" and addons.cost == "install":
            raise ValueError("`monitoring.prometheus` is required: `addons.cost` is told from its metrics")
        return self
