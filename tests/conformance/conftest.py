"""Every target's platform in turn; a target's tests are of the level that it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance import PROJECT, Standing
from mlplat import targets
from mlplat.contracts import Connection

LEVELS = {
    "local": [pytest.mark.e2e],
    "kubernetes": [pytest.mark.engine, pytest.mark.cluster],
    "aws": [pytest.mark.engine, pytest.mark.cluster],
}


@pytest.fixture(scope="session", params=[pytest.param(name, marks=LEVELS[name]) for name in targets.NAMES])
def standing(request: pytest.FixtureRequest) -> Standing:
    """Return a platform after its first `up`."""
    found: Standing = request.getfixturevalue(f"{request.param}_platform")
    return found


@pytest.fixture
def connection(standing: Standing, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Return how projects reach the platform, as `up` wrote it down."""
    # As whoever runs the command line: by the account's credentials, where there is one.
    for name, value in standing.mlplat.env.items():
        if name == "MLPLAT_CONFIG_DIR" or name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return Connection.read(standing.name, standing.stack)


@pytest.fixture(scope="session")
def project(standing: Standing, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project's folder, which names its platform and nothing else of it."""
    folder = tmp_path_factory.mktemp("project")
    lines = (f"project: {PROJECT}", f"platform: {standing.name}", "model: late", "task: binary")
    (folder / "mlplat.yaml").write_text("\n".join([*lines, "data: {source: rows.csv, target: late}", ""]))
    return folder
