"""`pulumi-resource-mlplat`: the engine's own resource provider, by which `pulumi up` reaches this computer.

The engine starts it, reads its port from the first line it prints, and speaks gRPC to it (pulumi/provider.proto).
Written on the stubs of Pulumi's SDK and not on its provider classes, which hide the engine's old inputs, print a
traceback for every error, and cannot say that a resource exists but does not work yet.

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
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

import mlplat
from mlplat.errors import MlplatError
from mlplat.targets.local.provider import KINDS
from mlplat.targets.local.provider.kind import UNKNOWN, Difference, Kind, PartlyMadeError, Values, compare

MESSAGE_BYTES = 400 * 2**20
"""Largest message, the engine's own limit."""
WORKERS = 16
GRACE_SECONDS = 150.0
"""Longer than any service may take to become ready."""
ORPHAN_SECONDS = 1.0
"""How often it is looked whether the engine still lives."""
STATUS_DETAILS = "grpc-status-details-bin"
_CHANGES = {
    "add": provider_pb2.PropertyDiff.ADD,
    "delete": provider_pb2.PropertyDiff.DELETE,
    "update": provider_pb2.PropertyDiff.UPDATE,
}


def _readable(method: Callable[..., Any]) -> Callable[..., Any]:
    """Give the engine an error's message and hint; a traceback is for bugs alone."""

    @functools.wraps(method)
    def called(self: Servicer, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except PartlyMadeError as error:
            _abort_partly_made(context, error)
        except MlplatError as error:
            context.abort(grpc.StatusCode.UNKNOWN, error.told())

    return called


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The provider's calls, in the order in which the engine makes them."""

    def __init__(self, engine: engine_pb2_grpc.EngineStub, kinds: Any = KINDS) -> None:
        self._engine, self._kinds = engine, kinds

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:
        """Say which version this is."""
        return plugin_pb2.PluginInfo(version=mlplat.__version__)

    def GetSchema(self, _request: Any, _context: Any) -> Any:
        """Say which kinds there are."""
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema()))

    def CheckConfig(self, request: Any, _context: Any) -> Any:
        """Take the provider's configuration; it has none of its own."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, _request: Any, _context: Any) -> Any:
        """Say that nothing of the configuration matters."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, _request: Any, _context: Any) -> Any:
        """Say what this provider can: previews know what will be."""
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    @_readable
    def Check(self, request: Any, _context: Any) -> Any:
        """Refuse inputs that are no such resource."""
        news = _values(request.news)
        failures = [] if _is_open(news) else self._kind(request.urn).check(news)
        found = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures]
        return provider_pb2.CheckResponse(inputs=request.news, failures=found)

    @_readable
    def Diff(self, request: Any, _context: Any) -> Any:
        """Hold what is wanted against what is here."""
        olds, news = _values(request.old_inputs), _values(request.news)
        if _is_open(news):
            return _difference(Difference(dict(compare(olds, news))))
        found = self._kind(request.urn).diff(request.id, olds, news)
        if found.why:
            self._log(request.urn, f"{_name(request.urn)}: {found.why}")
        return _difference(found)

    @_readable
    def Create(self, request: Any, _context: Any) -> Any:
        """Make a resource, or say what it would be."""
        news = _values(request.properties)
        if request.preview and _is_open(news):
            return provider_pb2.CreateResponse(properties=request.properties)
        identity, outputs = self._kind(request.urn).create(news, self._teller(request.urn), preview=request.preview)
        return provider_pb2.CreateResponse(id=identity, properties=_struct(outputs))

    @_readable
    def Update(self, request: Any, _context: Any) -> Any:
        """Bring a resource to what is wanted, or say what it would be."""
        news = _values(request.news)
        if request.preview and _is_open(news):
            return provider_pb2.UpdateResponse(properties=request.news)
        outputs = self._kind(request.urn).update(news, self._teller(request.urn), preview=request.preview)
        return provider_pb2.UpdateResponse(properties=_struct(outputs))

    @_readable
    def Read(self, request: Any, _context: Any) -> Any:
        """Return a resource as it is here; without an id where there is none."""
        found = self._kind(request.urn).read(request.id, _values(request.inputs))
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=found.identity, properties=_struct(found.outputs), inputs=_struct(found.inputs)
        )

    @_readable
    def Delete(self, request: Any, _context: Any) -> Any:
        """End a resource."""
        self._kind(request.urn).delete(request.id, _values(request.properties))
        return empty_pb2.Empty()

    def Cancel(self, _request: Any, _context: Any) -> Any:
        """Let running operations end: each is bounded by its service's own time to become ready."""
        return empty_pb2.Empty()

    def _kind(self, urn: str) -> Kind:
        token = urn.split("::")[-2].rsplit("$", maxsplit=1)[-1]
        if token not in self._kinds:
            raise MlplatError(f"mlplat {mlplat.__version__} knows no resource `{token}`", hint="use a newer mlplat")
        kind: Kind = self._kinds[token]
        return kind

    def _teller(self, urn: str) -> Callable[[str], None]:
        return lambda text: self._log(urn, text, passing=True)

    def _log(self, urn: str, text: str, *, passing: bool = False) -> None:
        self._engine.Log(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=passing))


def schema() -> dict[str, Any]:
    """Return the provider's kinds in the form of a Pulumi package schema."""
    return {
        "name": "mlplat",
        "version": mlplat.__version__,
        "description": "The local target of mlplat: services of a platform as processes on this computer",
        "resources": {token: _resource(kind) for token, kind in KINDS.items()},
    }


def _resource(kind: Kind) -> dict[str, Any]:
    return {
        "description": " ".join((type(kind).__doc__ or "").split()),
        "inputProperties": {name: _type(json_type) for name, json_type in kind.inputs.items()},
        "properties": {name: _type(json_type) for name, json_type in {**kind.inputs, **kind.outputs}.items()},
    }


def _type(json_type: str) -> dict[str, Any]:
    match json_type:
        case "object":
            return {"type": "object", "additionalProperties": {"$ref": "pulumi.json#/Any"}}
        case "array":
            return {"type": "array", "items": {"type": "string"}}
        case _:
            return {"type": json_type}


def _values(struct: struct_pb2.Struct) -> Values:
    found: Values = json_format.MessageToDict(struct)
    return found


def _is_open(values: Values) -> bool:
    """Tell whether a preview does not know a whole property, so that nothing can be said of the resource."""
    return UNKNOWN in values.values()


def _struct(values: Values) -> struct_pb2.Struct:
    return json_format.ParseDict(dict(values), struct_pb2.Struct())


def _name(urn: str) -> str:
    return urn.rsplit("::", maxsplit=1)[-1]


def _difference(found: Difference) -> Any:
    response = provider_pb2.DiffResponse
    return response(
        changes=response.DIFF_SOME if found.paths or found.replaces else response.DIFF_NONE,
        replaces=list(found.replaces),
        deleteBeforeReplace=bool(found.replaces),
        diffs=sorted({path.split(".")[0].split("[")[0] for path in found.paths}),
        detailedDiff={path: provider_pb2.PropertyDiff(kind=_CHANGES[how]) for path, how in found.paths.items()},
        hasDetailedDiff=True,
    )


def _abort_partly_made(context: grpc.ServicerContext, error: PartlyMadeError) -> None:
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.identity, properties=_struct(error.outputs), reasons=[error.told()], inputs=_struct(error.inputs)
    )
    packed = any_pb2.Any()
    packed.Pack(detail)
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=error.message, details=[packed])
    context.set_trailing_metadata(((STATUS_DETAILS, status.SerializeToString()),))
    context.abort(code, error.message)


def main() -> None:
    """Serve the engine whose address is the first argument, until it ends this process."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if not addresses:
        sys.exit("error: this is the engine's provider: `pulumi` and `mlplat up` start it")
    limits = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(addresses[0], options=limits))
    server = grpc.server(ThreadPoolExecutor(WORKERS), options=limits)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    server.start()
    print(port, flush=True)  # noqa: T201 - how the engine learns it
    # An engine that is killed says nothing.
    engine_pid = os.getppid()
    while not asked.wait(ORPHAN_SECONDS) and os.getppid() == engine_pid:
        pass
    # What has begun ends: a service that was half brought up would be nobody's.
    server.stop(GRACE_SECONDS).wait()
