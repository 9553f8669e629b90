"""`make demo`, as a newcomer runs it: in a folder of its own, to its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import DATA, ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The demo's environment; what it leaves running is ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLPLAT_")}
    env = {**kept, "MLPLAT_DEMO_DIR": str(tmp_path / "demo"), "MLPLAT_DATA_DIR": str(DATA), "NO_COLOR": "1"}
    yield env
    subprocess.run([ROOT / "scripts" / "demo", "down"], env=env, check=True, capture_output=True)
    assert not (tmp_path / "demo").exists()


def test_the_demo_promotes_a_better_model_takes_a_slow_one_back_and_trains_anew_by_itself(demo: dict[str, str]) -> None:
    done = subprocess.run([ROOT / "scripts" / "demo"], env=demo, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "Traceback" not in told
    assert "step 3 of 3: 100 %" in told
    assert "version 2 (r2) serves" in told
    assert re.search(r"breached +p95 is (above|between)", told), told
    assert '"failed": 0' in told
    looks = re.findall(r"^(?:alarm|quiet) outlook/late: .*$", told, re.MULTILINE)
    assert [" drift: " in look for look in looks] == [True, True, False], told
    assert "asked for by the platform: drift: " in told
    assert re.search(r"promoted +version 2 \(r3\) serves", told), told
    checks = subprocess.run(
        ["make", "test"],
        cwd=Path(demo["MLPLAT_DEMO_DIR"]) / "flights",
        env={**demo, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{demo['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checks.returncode == 0, checks.stdout + checks.stderr
