from __future__ import annotations

from typing import Any, cast

import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2, status_pb2

from mlplat import provider
from mlplat.errors import MlplatError, NotReadyError
from mlplat.targets.local.provider.kind import UNKNOWN, Difference, Found, PartlyMadeError, Values

URN = "urn:pulumi:local::mlplat::mlplat:local:Platform$test:index:Thing::one"


class Engine:
    """An engine that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def Log(self, request: Any) -> None:  # noqa: N802 - gRPC's own name
        self.said.append(request.message)


class Stopped(Exception):  # noqa: N818 - what gRPC raises is no error of ours
    """What `abort` raises."""


class Context:
    """A call's context that keeps how it ended."""

    def __init__(self) -> None:
        self.metadata: Any = ()
        self.message = ""

    def set_trailing_metadata(self, metadata: Any) -> None:
        self.metadata = metadata

    def abort(self, _code: Any, message: str) -> None:
        self.message = message
        raise Stopped


class Thing:
    """A kind whose answers a test sets."""

    def __init__(self, *, fails: MlplatError | None = None, differs: Difference | None = None) -> None:
        self.fails, self.differs = fails, differs

    def create(self, news: Values, tell: Any, *, preview: bool) -> tuple[str, Values]:
        if self.fails:
            raise self.fails
        tell("made")
        return "one", {**news, "preview": preview}

    def diff(self, _identity: str, _olds: Values, _news: Values) -> Difference:
        return self.differs or Difference({})

    def read(self, _identity: str, _inputs: Values) -> Found | None:
        return None


def servicer(thing: Thing) -> tuple[provider.Servicer, Engine]:
    engine = Engine()
    return provider.Servicer(cast("Any", engine), {"test:index:Thing": thing}), engine


def struct(**values: Any) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


def test_the_unknown_is_the_engines_own() -> None:
    assert UNKNOWN == rpc.UNKNOWN


def test_what_is_made_is_told_and_returned() -> None:
    made, engine = servicer(Thing())
    answer = made.Create(provider_pb2.CreateRequest(urn=URN, properties=struct(a=1), preview=True), Context())
    assert answer.id == "one"
    assert json_format.MessageToDict(answer.properties) == {"a": 1.0, "preview": True}
    assert engine.said == ["made"]


def test_a_preview_of_what_is_unknown_makes_no_claim() -> None:
    made, _ = servicer(Thing(fails=MlplatError("must not be asked")))
    request = provider_pb2.CreateRequest(urn=URN, properties=struct(a=UNKNOWN), preview=True)
    assert made.Create(request, Context()).properties == request.properties


def test_an_error_is_its_message_and_hint_without_a_traceback() -> None:
    made, _ = servicer(Thing(fails=MlplatError("no room", hint="free some")))
    context = Context()
    with pytest.raises(Stopped):
        made.Create(provider_pb2.CreateRequest(urn=URN, properties=struct()), context)
    assert context.message == "no room\nhint: free some"


def test_what_is_made_but_not_ready_is_kept_by_the_engine() -> None:
    error = PartlyMadeError(NotReadyError("`one` is not ready"), "one", {"a": 1}, {"a": 1, "running": False})
    made, _ = servicer(Thing(fails=error))
    context = Context()
    with pytest.raises(Stopped):
        made.Create(provider_pb2.CreateRequest(urn=URN, properties=struct(a=1)), context)
    ((name, packed),) = context.metadata
    assert name == "grpc-status-details-bin"
    status = status_pb2.Status.FromString(packed)
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    assert (detail.id, list(detail.reasons)) == ("one", ["`one` is not ready"])
    assert json_format.MessageToDict(detail.properties) == {"a": 1.0, "running": False}


def test_a_difference_is_given_by_field_and_its_reason_said() -> None:
    found = Difference({"program.argv": "update", 'files["/x"].k': "add"}, (), "does not run")
    made, engine = servicer(Thing(differs=found))
    answer = made.Diff(provider_pb2.DiffRequest(urn=URN, id="one", news=struct(a=1), old_inputs=struct(a=1)), Context())
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert sorted(answer.diffs) == ["files", "program"]
    assert set(answer.detailedDiff) == set(found.paths)
    assert engine.said == ["one: does not run"]


def test_what_is_gone_is_read_as_nothing() -> None:
    made, _ = servicer(Thing())
    assert made.Read(provider_pb2.ReadRequest(urn=URN, id="one"), Context()).id == ""


def test_an_unknown_kind_is_refused_by_its_name() -> None:
    made, _ = servicer(Thing())
    context = Context()
    with pytest.raises(Stopped):
        made.Read(provider_pb2.ReadRequest(urn=URN.replace("Thing", "Other"), id="one"), context)
    assert "`test:index:Other`" in context.message


def test_the_schema_names_every_kind() -> None:
    kinds = provider.schema()["resources"]
    assert set(kinds) == {"mlplat:local:Foundation", "mlplat:local:Service", "mlplat:local:Connection"}
    assert all(kind["description"] and kind["inputProperties"] for kind in kinds.values())
