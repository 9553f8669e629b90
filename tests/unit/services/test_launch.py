from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mlplat.services.cluster.launch import DATABASE_URL, with_driver

SHOW = "import os; print(os.environ['ONE'], os.environ['TWO'])"


@pytest.mark.parametrize(
    "url", [f"{form}://u:p%40@h:5432/d?sslmode=require" for form in ("postgresql", "postgres", "postgresql+psycopg2")]
)
def test_a_program_finds_the_address_with_its_own_driver(url: str) -> None:
    argv = [*with_driver("postgresql+psycopg", "ONE", "TWO"), sys.executable, "-c", SHOW]
    env = {**os.environ, DATABASE_URL: url}
    said = subprocess.run([sys.executable, *argv[1:]], env=env, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split() == ["postgresql+psycopg://u:p%40@h:5432/d?sslmode=require"] * 2
