"""Which inputs an existing resource cannot change: AWS's own create-only properties, as `createonly` reads them.

Reading them takes seconds, and every provider that the engine starts would: so they lie beside this file, a test holds
them against the schemas, and `PYTHONPATH=tests/support python -m fakecloud.replaces` writes them anew.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).with_name("replaces.json")


def load() -> dict[str, frozenset[str]]:
    """Return Pulumi's inputs by Pulumi's type; nested ones by their path, such as `accessConfig.mode`."""
    return {kind: frozenset(inputs) for kind, inputs in json.loads(FILE.read_text()).items()}


def drawn() -> dict[str, list[str]]:
    """Return the same, from the schemas, of every type that they and `pulumi_aws` both know."""
    import cfntypes
    import createonly

    found = {}
    for kind in sorted({*cfntypes.MAPPED, *cfntypes.INTO}):
        try:
            inputs = createonly.inputs(kind)
        except AssertionError:  # a type of CloudFormation's alone
            continue
        if inputs:
            found[kind] = sorted(inputs)
    return found


def replaces(path: str, inputs: frozenset[str]) -> bool:
    """Tell whether a change at a path, such as `rules[0].name`, changes one of these inputs."""
    return any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in inputs)


if __name__ == "__main__":
    FILE.write_text(json.dumps(drawn(), indent=1) + "\n")
