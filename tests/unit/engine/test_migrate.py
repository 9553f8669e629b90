"""What two copies of a state have to agree on."""

from __future__ import annotations

import copy
from typing import Any

from mlplat.engine.migrate import known

STATE: dict[str, Any] = {
    "resources": [
        {"urn": "b", "inputs": {"token": {"4dabf18193072939515e22adb298388d": "1b47", "ciphertext": "v1:aa:bb"}}},
        {"urn": "a", "outputs": {"threads": 2}},
    ]
}


def test_a_secret_encrypted_again_is_the_same_and_its_order_is_nobodys_matter() -> None:
    again = copy.deepcopy(STATE)
    again["resources"][0]["inputs"]["token"]["ciphertext"] = "v1:cc:dd"
    again["resources"].reverse()
    assert known(again) == known(STATE)


def test_a_lost_resource_and_a_changed_value_are_found() -> None:
    lost, changed = copy.deepcopy(STATE), copy.deepcopy(STATE)
    lost["resources"].pop()
    changed["resources"][1]["outputs"]["threads"] = 3
    assert known(lost) != known(STATE) != known(changed)
