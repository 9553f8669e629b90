from __future__ import annotations

from mlplat.controller.kubernetes.proxies import Tally

PLACES = {"httproute/a/late/rule/0/backend/0": "r1", "httproute/a/late/rule/0/backend/1": "r2"}


def page(*counts: tuple[int, int], active: int = 0) -> str:
    lines = []
    for place, (good, bad) in enumerate(counts):
        named = f'envoy_cluster_name="httproute/a/late/rule/0/backend/{place}"'
        lines += [
            f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",{named}}} {good}',
            f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5",{named}}} {bad}',
            f"envoy_cluster_upstream_rq_active{{{named}}} {active}",
        ]
    return "\n".join(lines)


def counted(tally: Tally) -> dict[str, tuple[int, int]]:
    return {key: (window.requests, window.errors) for key, window in tally.totals.items()}


def test_what_was_counted_before_the_first_look_is_nobodys() -> None:
    tally = Tally()
    tally.look({"p": page((90, 1), (10, 0))}, PLACES)
    assert counted(tally) == {}
    tally.look({"p": page((95, 2), (10, 0))}, PLACES)
    assert counted(tally) == {"r1": (6, 1), "r2": (0, 0)}


def test_all_proxies_count_together() -> None:
    tally = Tally()
    tally.look({"p": page((0, 0), (0, 0)), "q": page((0, 0), (0, 0))}, PLACES)
    tally.look({"p": page((5, 0), (1, 1)), "q": page((7, 0), (2, 0), active=3)}, PLACES)
    assert counted(tally) == {"r1": (12, 0), "r2": (4, 1)}
    assert tally.active == {"r1": 3, "r2": 3}


def test_counters_survive_proxies_that_start_anew_come_and_go() -> None:
    tally = Tally()
    tally.look({"p": page((100, 0))}, PLACES)
    tally.look({"p": page((110, 0))}, PLACES)
    tally.look({"p": page((4, 0))}, PLACES)
    assert counted(tally)["r1"] == (14, 0)
    tally.look({"p": page((4, 0)), "q": page((6, 0))}, PLACES)
    assert counted(tally)["r1"] == (20, 0)
    tally.look({"q": page((8, 0))}, PLACES)
    assert counted(tally)["r1"] == (22, 0)


def test_a_place_that_is_anothers_now_takes_nothing_along() -> None:
    tally = Tally()
    tally.look({"p": page((0, 0), (0, 0))}, PLACES)
    tally.look({"p": page((50, 0), (70, 0))}, PLACES)
    moved = {**PLACES, "httproute/a/late/rule/0/backend/0": "r3"}
    tally.look({"p": page((51, 1), (70, 0))}, moved)
    assert counted(tally) == {"r1": (50, 0), "r2": (70, 0), "r3": (2, 1)}
