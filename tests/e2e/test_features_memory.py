"""What the feature server remembers of a registry, in the environment of its image."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from commands import PATIENCE
from mlplat import environment
from mlplat.images import catalogue, context

pytestmark = pytest.mark.e2e
PROGRAM = """
import json, threading
from feast import Entity
from feast.infra.registry import proto_registry_utils as utils
from feast.protos.feast.core.Registry_pb2 import Registry
from mlplat.online import memory

def holding(name):
    made = Registry()
    made.entities.append(Entity(name=name, join_keys=[name]).to_proto())
    made.entities[0].spec.project = "delays"
    return made

def asked(registry):
    return [each.name for each in utils.list_entities(registry, "delays", None)]

def of_another_at_the_same_address():
    first = holding("route")
    place, found = id(first), asked(first)
    del first
    others = []
    for _ in range(100_000):
        others.append(holding("carrier"))
        if id(others[-1]) == place:
            return [*found, *asked(others[-1])]

told = {"feast": of_another_at_the_same_address()}
memory.forget_addresses()
told["ours"] = of_another_at_the_same_address()

class Read:
    def __init__(self):
        self.reading, self.most, self.known, self.applied = 0, 0, 0, 0
        self.slow = threading.Event()

    def refresh(self, project=None):
        self.reading += 1
        self.most = max(self.most, self.reading)
        found = self.applied
        if found == 0:
            self.slow.wait(60)
        self.known = found
        self.reading -= 1

registry = Read()
memory.read_in_turn(registry)
early = threading.Thread(target=registry.refresh)
early.start()
while not registry.reading:
    pass
registry.applied = 1
late = threading.Thread(target=registry.refresh, args=("delays",))
late.start()
registry.slow.set()
early.join(), late.join()
told["known"], told["at once"] = registry.known, registry.most
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("memory")
    python = environment.service("features", progress=print)
    context.write(catalogue.find("features"), folder / "image")
    argv: list[str | Path] = [python, "-c", PROGRAM]
    variables = {"PYTHONPATH": str(folder / "image" / "code")}
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=PATIENCE * 120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_registry_is_not_taken_for_what_lay_at_its_address_before(told: dict[str, Any]) -> None:
    assert told["ours"] == ["route", "carrier"]
    assert told["feast"] == ["route", "route"], "Feast itself tells them apart now: ours can go"


def test_what_was_read_last_is_what_is_known(told: dict[str, Any]) -> None:
    assert (told["known"], told["at once"]) == (1, 1)
