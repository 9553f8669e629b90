"""What a stack's program declares, found without an engine, a state and an account: it is run, and nobody acts.

Everything that only a cloud could tell is unknown in it, as in the preview of a stack that is nowhere yet.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from mlplat import deployment
from mlplat.spec.platform import KEY, PlatformSpec

STANDS_FOR = "0" * 16
"""A deployment's id, for a stack that has none yet: what is declared does not hang on it."""


def types(spec: PlatformSpec, stack: str) -> frozenset[str]:
    """Return the type of everything that a stack's program declares. Raises `pulumi.RunError` as the program does.

    Once in a process: it takes the place of Pulumi's own runtime.
    """
    from pulumi.runtime import mocks, run_in_stack, set_all_config, set_mocks
    from pulumi.runtime.settings import set_root_resource

    from mlplat.program import run

    class Silent(mocks.Mocks):
        def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
            return None, dict(args.inputs)

        def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], None]:
            raise AssertionError(f"the program asks for {args.token}")

    class Monitor(mocks.MockMonitor):
        def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's own name
            give_loop()
            with lock:
                found.add(str(request.type))
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]

        def ReadResource(self, request: Any) -> Any:  # noqa: N802 - likewise
            give_loop()
            return super().ReadResource(request)  # type: ignore[no-untyped-call]

    def give_loop() -> None:
        # Called from several threads, none of which has a loop, and the runtime looks for one.
        own = asyncio.new_event_loop()
        asyncio.set_event_loop(own)
        with lock:
            loops.append(own)

    found, lock = set[str](), threading.Lock()
    # Before the mocks are set: they make a stack at once, which hangs without a loop.
    loops = [loop := asyncio.new_event_loop()]
    asyncio.set_event_loop(loop)
    try:
        set_mocks(Silent(), project="mlplat", stack=stack, preview=True, monitor=Monitor(Silent()))
        config = {
            KEY: spec.model_dump_json(exclude_unset=True),
            deployment.KEY: STANDS_FOR,
            "pulumi:disable-default-providers": json.dumps(["*"]),
        }
        set_all_config(config)
        set_root_resource(None)  # type: ignore[arg-type]
        loop.run_until_complete(run_in_stack(lambda: run(guarded=False)))
    finally:
        for each in loops:
            each.close()
        asyncio.set_event_loop(None)
    return frozenset(found)
