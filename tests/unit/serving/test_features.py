"""When a feature server is asked, and when it is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.serving import options
from mlplat.serving.features import AWAY_SECONDS, FAILURES, Circuit


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.lists(st.sampled_from(["ask", "failed", "answered", "wait"]), max_size=40))
def test_a_server_that_is_away_is_tried_once_at_a_time(steps: list[str]) -> None:
    clock = Hand()
    circuit = Circuit(clock)
    failures, last, trying = 0, 0.0, False
    for step in steps:
        match step:
            case "wait":
                clock.time += 0.6 * AWAY_SECONDS
            case "failed":
                circuit.failed()
                failures, last, trying = failures + 1, clock.time, False
            case "answered":
                circuit.answered()
                failures, trying = 0, False
            case _:
                allowed = failures < FAILURES or (not trying and clock.time >= last + AWAY_SECONDS)
                assert circuit.admits() == allowed
                trying = trying or (allowed and failures >= FAILURES)


@pytest.mark.parametrize("url", ["https://features/flights", "features:6566", "http:///flights"])
def test_an_address_that_cannot_be_asked_is_no_option(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parse(["--features", url])
    assert "--features: `" in capsys.readouterr().err
