"""The tests' provider replaces for what AWS cannot change, and for nothing else."""

from __future__ import annotations

import json

from fakecloud import replaces


def test_the_tests_provider_has_the_create_only_properties_of_awss_own_schemas() -> None:
    kept = json.loads(replaces.FILE.read_text())
    assert kept == replaces.drawn(), "`PYTHONPATH=tests/support python -m fakecloud.replaces` writes them anew"
    assert kept["aws:rds/instance:Instance"], "and there are some"
