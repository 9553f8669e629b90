from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.cluster import APPLY, MERGE, Cluster, Document, _body
from mlplat.errors import RefusedError, UnreachableError, UsageError


def kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return path


def test_a_context_that_is_not_there_is_named(tmp_path: Path, free_port: int) -> None:
    with pytest.raises(UsageError, match="context `there` cannot be used"):
        Cluster.of_context("there", kubeconfig(tmp_path, free_port))


def test_a_cluster_that_does_not_answer_is_unreachable(tmp_path: Path, free_port: int) -> None:
    with (
        Cluster.of_context("here", kubeconfig(tmp_path, free_port)) as cluster,
        pytest.raises(UnreachableError, match="the cluster of context `here` does not answer"),
    ):
        cluster.list("v1", "Pod")


def test_outside_of_a_pod_nothing_says_where_the_cluster_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UsageError, match="this is no pod of a cluster"):
        Cluster.of_pod()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (500, "failed to create typed patch object: .dat: field not declared in schema", RefusedError),
        (500, "etcdserver: request timed out", UnreachableError),
        (429, "too many requests", UnreachableError),
        (403, "pods is forbidden", RefusedError),
        (422, "is invalid", RefusedError),
    ],
)
def test_an_answer_says_whether_to_try_again(
    tmp_path: Path, free_port: int, status: int, message: str, kind: type[Exception]
) -> None:
    class Said:
        reason = "reason"
        body: Document | bytes = json.dumps({"message": message}).encode()

        def __init__(self, status: int) -> None:
            self.status = status

    with Cluster.of_context("here", kubeconfig(tmp_path, free_port)) as cluster:
        found = cluster._refusal(Said(status), "GET", "/api/v1/pods")
    assert type(found) is kind
    assert message in str(found)


@given(st.text(max_size=40))
def test_what_is_applied_is_read_as_it_was_written_as_json_and_as_yaml(text: str) -> None:
    sent = _body({"a": text}, APPLY)
    assert isinstance(sent, bytes)
    shown = sent.decode()
    assert json.loads(shown) == {"a": text}
    # A sign beyond U+FFFF is never a pair of escapes, which YAML does not know; what YAML does not take, or folds at,
    # is never there as it is.
    assert [sign for sign in shown if ord(sign) > 0xFFFF] == [sign for sign in text if ord(sign) > 0xFFFF]
    assert all(sign.isascii() or ord(sign) > 0xFFFF for sign in shown)


@pytest.mark.parametrize("content", ["application/json", MERGE])
def test_other_bodies_are_the_clients_own_to_write(content: str) -> None:
    assert _body({"a": "🛫"}, content) == {"a": "🛫"}
    assert _body(None, content) is None
