"""The files Envoy follows and the counters it shows. The real one follows them in the end-to-end tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlplat.controller.gateway import Gateway, Plan, Route, Upstream, read_samples
from mlplat.errors import NotReadyError, RefusedError, UnreachableError
from mlplat.labels import Name
from mlplat.watching.gateway import HERE

LATE = Name("flights", "late")
ONE, TWO = Upstream(LATE, "r1", 9001), Upstream(LATE, "r2", 9002)
FIRST, SECOND = ("r1", "r1-explaining"), ("r2", "r2-explaining")
HELD = FIRST + SECOND


class Envoy:
    """Follows the two files whenever it is asked, and remembers what it held at each change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[tuple[str, ...]] = []
        self.refuses = False
        self.follows = True
        self.refused = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/clusters":
            statuses = [{"name": name, "host_statuses": [{}]} for name in self._clusters()]
            return httpx.Response(200, json={"cluster_statuses": statuses})
        pattern = request.url.params["filter"]
        prefix = pattern[1:].split(r"\.(")[0].replace("\\", "")
        file = "clusters.json" if "cds" in prefix else "routes.json"
        version = json.loads((self.folder / file).read_text())["version_info"] if self.follows else "none"
        self.refused += self.refuses
        self._remember()
        text = (
            f'{prefix}.version_text: "{"old" if self.refuses else version}"\n{prefix}.update_rejected: {self.refused}\n'
        )
        return httpx.Response(200, text=text)

    def _clusters(self) -> list[str]:
        return [item["name"] for item in json.loads((self.folder / "clusters.json").read_text())["resources"]]

    def _remember(self) -> None:
        routes = self.folder / "routes.json"
        named = [name for name in HELD if routes.exists() and f'.{name}"' in routes.read_text(errors="replace")]
        now = (*(name.rpartition(".")[2] for name in self._clusters()), "->", *named)
        if not self.seen or self.seen[-1] != now:
            self.seen.append(now)


@pytest.fixture
def envoy(tmp_path: Path) -> Envoy:
    return Envoy(tmp_path)


@pytest.fixture
def gateway(envoy: Envoy, tmp_path: Path) -> Iterator[Gateway]:
    with httpx.Client(transport=httpx.MockTransport(envoy)) as http:
        yield Gateway(tmp_path, "http://envoy", http)


def routed(*weights: tuple[Upstream, int], upstreams: tuple[Upstream, ...] = (ONE, TWO)) -> Plan:
    return Plan(upstreams, (Route(LATE, tuple((upstream.cluster, weight) for upstream, weight in weights)),))


def test_a_revision_is_known_before_it_is_routed_to_and_routed_past_before_it_is_unknown(
    gateway: Gateway, envoy: Envoy
) -> None:
    gateway.apply(routed((ONE, 100), upstreams=(ONE,)))
    gateway.apply(routed((TWO, 100), upstreams=(TWO,)))
    assert envoy.seen[-4:] == [
        (*FIRST, "->", *FIRST),
        (*FIRST, *SECOND, "->", *FIRST),
        (*FIRST, *SECOND, "->", *SECOND),
        (*SECOND, "->", *SECOND),
    ]


def test_nothing_is_asked_or_written_when_nothing_changed(gateway: Gateway, envoy: Envoy, tmp_path: Path) -> None:
    gateway.apply(routed((ONE, 90), (TWO, 10)))
    before = (tmp_path / "routes.json").stat().st_mtime_ns
    envoy.seen.clear()
    gateway.apply(routed((ONE, 90), (TWO, 10)))
    assert (envoy.seen, (tmp_path / "routes.json").stat().st_mtime_ns) == ([], before)


def test_a_file_that_was_lost_is_written_again(gateway: Gateway, tmp_path: Path) -> None:
    gateway.apply(routed((ONE, 100)))
    (tmp_path / "routes.json").unlink()
    gateway.apply(routed((ONE, 100)))
    assert (tmp_path / "routes.json").exists()


@pytest.mark.parametrize("left", [b"", b"\xf5\x00\xff", b"[]", b"{}", b'{"resources": null}', b'{"resources": [1]}'])
@pytest.mark.parametrize("file", ["clusters.json", "routes.json"])
def test_a_file_that_a_disk_has_garbled_is_written_again(
    gateway: Gateway, envoy: Envoy, tmp_path: Path, file: str, left: bytes
) -> None:
    """The controller used to end of it again and again."""
    gateway.apply(routed((ONE, 100), upstreams=(ONE,)))
    written = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(left)
    gateway.apply(routed((ONE, 100), upstreams=(ONE,)))
    assert (tmp_path / file).read_bytes() == written
    # Of routes that cannot be read nobody knows what they name: what they may name stays until others are in force.
    (tmp_path / "routes.json").write_bytes(left)
    gateway.apply(routed((TWO, 100), upstreams=(TWO,)))
    assert envoy.seen[-1] == (*SECOND, "->", *SECOND)
    if file == "routes.json":
        assert (*HELD, "->") in envoy.seen


def test_routes_carry_weights_a_timeout_and_retries_of_connections_only(gateway: Gateway, tmp_path: Path) -> None:
    gateway.apply(routed((ONE, 90), (TWO, 10)))
    host = json.loads((tmp_path / "routes.json").read_text())["resources"][0]["virtual_hosts"][0]
    explaining, predicting, nothing = host["routes"]
    assert explaining["match"] == {"path": "/endpoints/flights/late/explain"}
    assert explaining["route"]["prefix_rewrite"] == "/explain"
    assert predicting["match"] == {"prefix": "/endpoints/flights/late/"}
    for route in (explaining, predicting):
        assert [item["weight"] for item in route["route"]["weighted_clusters"]["clusters"]] == [90, 10]
        assert route["route"]["retry_policy"]["retry_on"] == "connect-failure"
        assert route["route"]["timeout"] == "30s"
    assert nothing["direct_response"]["status"] == 404


def test_explanations_are_answered_by_the_same_servers_and_counted_apart(gateway: Gateway, tmp_path: Path) -> None:
    gateway.apply(routed((ONE, 90), (TWO, 10)))
    clusters = json.loads((tmp_path / "clusters.json").read_text())["resources"]
    ports = {
        each["alt_stat_name"]: endpoint["endpoint"]["address"]["socket_address"]["port_value"]
        for each in clusters
        for endpoint in each["load_assignment"]["endpoints"][0]["lb_endpoints"]
    }
    explaining = {f"flights/late/{label}-explaining": port for label, port in (("r1", 9001), ("r2", 9002))}
    assert ports == {"flights/late/r1": 9001, "flights/late/r2": 9002, **explaining}
    # Slow and failing ones change nothing of what a revision is judged by.
    slow = PAGE.replace("late/r1", "late/r1-explaining").replace('"} ', '"} 9')
    assert read_samples(PAGE + slow, ONE.counted_as) == read_samples(PAGE, ONE.counted_as)
    here = re.compile(HERE.clusters)
    assert [bool(here.fullmatch(name)) for name in ports] == ["explaining" not in name for name in ports]


def test_a_refusal_is_said(gateway: Gateway, envoy: Envoy) -> None:
    envoy.refuses = True
    with pytest.raises(RefusedError, match="refused new clusters"):
        gateway.apply(routed((ONE, 100)))


def test_a_gateway_that_does_not_follow_is_said(
    gateway: Gateway, envoy: Envoy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlplat.controller.gateway.FOLLOW_SECONDS", 0.05)
    envoy.follows = False
    with pytest.raises(NotReadyError, match="did not take new clusters"):
        gateway.apply(routed((ONE, 100)))


def test_an_unreachable_gateway_is_named(tmp_path: Path, free_port: int) -> None:
    with httpx.Client(trust_env=False) as http, pytest.raises(UnreachableError, match=str(free_port)):
        Gateway(tmp_path, f"http://127.0.0.1:{free_port}", http).counts([ONE])


PAGE = """# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="flights/late/r1"} 40
envoy_cluster_upstream_rq_xx{envoy_response_code_class="4",envoy_cluster_name="flights/late/r1"} 5
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="flights/late/r1"} 3
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="flights/late/r10"} 99
envoy_cluster_upstream_rq_active{envoy_cluster_name="flights/late/r1"} 2
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="flights/late/r1",le="1"} 10
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="flights/late/r1",le="2000"} 44
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="flights/late/r1",le="+Inf"} 45
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="flights/late/r1"} 123.5
envoy_cluster_upstream_rq_time_count{envoy_cluster_name="flights/late/r1"} 45
"""


def test_counters_are_read_of_one_revision_only() -> None:
    window, active = read_samples(PAGE, "flights/late/r1")
    assert (window.requests, window.errors, window.timed, active) == (48, 3, 45, 2)
    assert window.buckets == ((1.0, 10), (2000.0, 44))


def test_a_revision_without_traffic_has_no_counters() -> None:
    assert read_samples("", "flights/late/r1")[0].requests == 0
