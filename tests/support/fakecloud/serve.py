"""A resource provider on the stubs of Pulumi's SDK (pulumi/provider.proto): kinds do the work, this does the talk.

Secrets are asked for in plain text: the engine then keeps every property secret that was one, by its name.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from fakecloud.compare import compare
from fakecloud.kind import Kind, RefusedError
from fakecloud.replaces import replaces
from fakecloud.world import BEGINS, ENDS, Call, Values, World

VERSION = "0.0.1"
MESSAGE_BYTES = 400 * 2**20
ORPHAN_SECONDS = 1.0


class Cloud(Protocol):
    """What a provider is for."""

    def configure(self, settings: Values) -> None:
        """Take the provider's own inputs. Raises `RefusedError`."""

    def kind(self, token: str) -> Kind:
        """Return a kind by its type. Raises `RefusedError` for one that is unknown."""


def _told(method: Callable[..., Any]) -> Callable[..., Any]:
    """Give the engine what a cloud refused as its own words, without a traceback."""

    @functools.wraps(method)
    def called(self: Servicer, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except RefusedError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    return called


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The provider's calls, in the order in which the engine makes them."""

    def __init__(self, cloud: Cloud, world: World) -> None:
        self._cloud, self._world = cloud, world

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - gRPC's own name, as all below
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "fake", "version": VERSION}))

    def CheckConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return _difference(dict(compare(_values(request.old_inputs), _values(request.news))), frozenset())

    @_told
    def Configure(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self._cloud.configure(_values(request.args))
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    @_told
    def Invoke(self, request: Any, _context: Any) -> Any:  # noqa: N802
        raise RefusedError(f"the program asks for {request.tok}, which a preview without an account could not")

    @_told
    def Check(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self._kind(request.urn)
        return provider_pb2.CheckResponse(inputs=request.news)

    @_told
    def Diff(self, request: Any, _context: Any) -> Any:  # noqa: N802
        paths = dict(compare(_values(request.old_inputs), _values(request.news)))
        return _difference(paths, self._kind(request.urn).replaces)

    @_told
    def Create(self, request: Any, _context: Any) -> Any:  # noqa: N802
        if request.preview:
            told = self._kind(request.urn).foresee(_values(request.properties))
            return provider_pb2.CreateResponse(properties=_struct(told))
        begun = self._begins("create", request.urn)
        identity, outputs = self._kind(request.urn).create(request.urn, _values(request.properties))
        self._ends(begun, identity)
        return provider_pb2.CreateResponse(id=identity, properties=_struct(outputs))

    @_told
    def Update(self, request: Any, _context: Any) -> Any:  # noqa: N802
        news = _values(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_struct({**_values(request.olds), **news}))
        begun = self._begins("update", request.urn, request.id)
        outputs = self._kind(request.urn).update(request.id, _values(request.old_inputs), news)
        self._ends(begun, request.id)
        return provider_pb2.UpdateResponse(properties=_struct(outputs))

    @_told
    def Read(self, request: Any, _context: Any) -> Any:  # noqa: N802
        found = self._kind(request.urn).read(request.id, _values(request.inputs))
        if found is None:
            return provider_pb2.ReadResponse()
        inputs, outputs = found
        known = {**_values(request.properties), **outputs}
        return provider_pb2.ReadResponse(id=request.id, properties=_struct(known), inputs=_struct(inputs))

    @_told
    def Delete(self, request: Any, _context: Any) -> Any:  # noqa: N802
        begun = self._begins("delete", request.urn, request.id)
        self._kind(request.urn).delete(request.id, _values(request.old_inputs))
        self._ends(begun, request.id)
        return empty_pb2.Empty()

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def _kind(self, urn: str) -> Kind:
        return self._cloud.kind(_token(urn))

    def _begins(self, action: str, urn: str, identity: str = "") -> Call:
        call = Call(BEGINS, action, _token(urn), urn.rsplit("::", maxsplit=1)[-1], identity)
        self._world.note(call)
        return call

    def _ends(self, begun: Call, identity: str) -> None:
        self._world.note(Call(ENDS, begun.action, begun.type, begun.name, identity))


def _token(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", maxsplit=1)[-1]


def _difference(paths: dict[str, str], inputs: frozenset[str]) -> Any:
    response = provider_pb2.DiffResponse
    replacing = {path for path in paths if replaces(path, inputs)}
    return response(
        changes=response.DIFF_SOME if paths else response.DIFF_NONE,
        replaces=sorted(map(_top, replacing)),
        # Everything has a name of its own, which two cannot have at once.
        deleteBeforeReplace=bool(replacing),
        diffs=sorted(set(map(_top, paths))),
        detailedDiff={path: _path(how, replaces=path in replacing) for path, how in paths.items()},
        hasDetailedDiff=True,
    )


def _top(path: str) -> str:
    return path.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]


def _path(how: str, *, replaces: bool) -> Any:
    name = f"{how.upper()}_REPLACE" if replaces else how.upper()
    return provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.Value(name))


def _values(struct: struct_pb2.Struct) -> Values:
    return _whole(json_format.MessageToDict(struct))  # type: ignore[no-any-return]


def _whole(value: Any) -> Any:
    """Return whole numbers as integers: the wire knows only floats."""
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _struct(values: Values) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


def main(cloud: Cloud, world: World) -> None:
    """Serve the engine until it ends this process, or is gone itself."""
    limits = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(16), options=limits)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(cloud, world), server)
    port = server.add_insecure_port("127.0.0.1:0")
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    server.start()
    sys.stdout.write(f"{port}\n")  # how the engine learns it
    sys.stdout.flush()
    engine = os.getppid()
    while not asked.wait(ORPHAN_SECONDS) and os.getppid() == engine:
        pass
    server.stop(10).wait()
