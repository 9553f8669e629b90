"""One real platform for all end-to-end tests: its environments are kept between runs, its state is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from commands import Mlplat


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlplat]:
    """A platform that stands until the last test has ended."""
    made = Mlplat(tmp_path_factory.mktemp("platform"))
    made.stack()
    made.run("up", timeout=900)
    yield made
    made.run("down", code=None)
