"""A plugin of `scripts/mutate.py`: a property that does not hold says so at once.

That is all that is asked of it there, and the search for a smaller example takes minutes a change.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings

NAME = "at-once"


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule() -> None:
    """Take the shrinking out of whatever profile the tests' conftest has chosen."""
    now = settings.get_current_profile_name()
    if now != NAME:
        settings.register_profile(NAME, settings.get_profile(now), phases=(Phase.explicit, Phase.generate))
        settings.load_profile(NAME)
