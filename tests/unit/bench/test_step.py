from __future__ import annotations

from bench.step import timed


def test_the_memory_of_a_step_is_noted_while_it_is_held() -> None:
    steps: list[dict[str, object]] = []
    with timed(steps, "small", 1):
        pass
    with timed(steps, "large", 1):
        held = bytearray(2**28)
    assert len(held) == 2**28
    small, large = (int(str(each["bytes"])) for each in steps)
    assert large > small + 2**27
