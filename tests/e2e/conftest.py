"""One real platform for all end-to-end tests: its environments are kept between runs, its state is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from commands import Mlplat
    from conformance import Standing


@pytest.fixture(scope="session")
def platform(local_platform: Standing) -> Mlplat:
    """Return the command line of a platform that stands until the last test has ended."""
    return local_platform.mlplat
