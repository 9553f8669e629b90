"""The online store in DynamoDB by itself: what Feast's server does not ask of it, and what rarely happens.

What a cluster does with it is in `test_features_on_postgres.py`, which goes through both stores.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from featurestores import on_dynamodb
from mlplat import environment
from mlplat.images import catalogue, context

pytestmark = pytest.mark.e2e
SECONDS = 300
PROGRAM = """
import json, os, random, sys, threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Of

from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.key_encoding_utils import deserialize_entity_key, serialize_entity_key
from feast.infra.online_stores.helpers import compute_entity_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64
from mlplat.online import dynamodb
from mlplat.online.dynamodb import BusyError, DynamoDBOnlineStore, NamelessRowsError, client, table_name

# moto takes longer over megabytes.
dynamodb.WAIT_SECONDS = 60

kept = Of(region=os.environ["AWS_DEFAULT_REGION"], table_name_template=sys.argv[1])
registry = Of(enable_online_feature_view_versioning=False)
config = Of(project="delays", entity_key_serialization_version=3, online_store=kept, registry=registry)
store, other = DynamoDBOnlineStore(), DynamoDBOnlineStore()
noon = datetime(2013, 7, 1, 12, tzinfo=UTC)

def key(number): return EntityKey(join_keys=["flight"], entity_values=[Value(int64_val=number)])
def rows(numbers, at=noon, **values):
    return [(key(each), values or {"late": Value(double_val=each)}, at) for each in numbers]
def number(written): return deserialize_entity_key(written, 3).entity_values[0].int64_val
def read(view, numbers):
    return [values for _, values in store.online_read(config, view, [key(each) for each in numbers])]
def late(view, numbers): return [values and values["late"].double_val for values in read(view, numbers)]

told, written = {}, serialize_entity_key(key(1), 3)
hundreds = Of(name="hundreds")
told["before"] = [late(hundreds, [1]), list(store.rows(config, hundreds)), store.remove(config, hundreds, [written])]
told["put"] = store.put_newer(config, hundreds, rows(range(250)))
asked = [*range(249, -1, -1), 999, 5]
told["in order"] = late(hundreds, asked) == [*range(249, -1, -1), None, 5]
found = list(store.rows(config, hundreds))
told["rows"] = [[each for each, _ in found] == sorted(each for each, _ in found), len(found)]
told["values"] = all(values == {"late": Value(double_val=number(each))} for each, values in found)
store.remove(config, hundreds, [each for each, _ in found if number(each) % 2])
told["left"] = sorted(number(each) for each, _ in store.rows(config, hundreds)) == [*range(0, 250, 2)]
(item,) = client(kept.region).batch_get_item(RequestItems={
    table_name(config, hundreds): {"Keys": [{"entity_id": {"S": compute_entity_id(key(0))}}]}
})["Responses"].values()
told["item"] = [sorted(item[0]), item[0]["event_ts"]["S"]]

raced = Of(name="raced")
store.make(config, [raced])
moments = [noon + timedelta(microseconds=step * 250_000) for step in range(40)]
random.Random(7).shuffle(moments)
with ThreadPoolExecutor(8) as pool:
    def put(at):
        in_zone = at.astimezone() if at.microsecond else at
        late = Value(double_val=(at - noon).total_seconds())
        return (store, other)[at.second % 2].put_newer(config, raced, rows([1], in_zone, late=late))
    told["raced"] = [max(pool.map(put, moments)), late(raced, [1])]
told["again"] = [store.put_newer(config, raced, rows([1], at)) for at in (max(moments), noon)]

heavy, weight = Of(name="heavy"), Value(string_val="w" * 350_000)
store.put_newer(config, heavy, rows(range(60), late=weight))
told["heavy"] = sum(values == {"late": weight} for values in read(heavy, range(60)))

# What DynamoDB has no time for comes back as it was asked for; here, of as many answers as are said.
events, asked_for = client(kept.region).meta.events, {}
def remember(params, **_): asked_for["last"] = json.loads(params["body"])["RequestItems"]
def leave(parsed, **_):
    if told["left for later"] < leave.answers:
        told["left for later"] += 1
        parsed.update(Responses={}, UnprocessedKeys=asked_for["last"])
events.register("before-call.dynamodb.BatchGetItem", remember)
events.register("after-call.dynamodb.BatchGetItem", leave)
leave.answers, told["left for later"] = 3, 0
told["later"] = late(hundreds, [0, 2])
leave.answers, dynamodb.WAIT_SECONDS = 10**6, 0.5
try:
    late(hundreds, [0, 2])
except BusyError as error:
    told["busy"] = [str(error), error.http_status_code()]
for each, do in (("before-call", remember), ("after-call", leave)):
    events.unregister(f"{each}.dynamodb.BatchGetItem", do)
dynamodb.WAIT_SECONDS = 60

flight = Entity(name="flight", join_keys=["flight"], value_type=ValueType.INT64)
views = [FeatureView(name=name, entities=[flight], schema=[Field(name="late", dtype=Float64)], source=None)
         for name in ("first", "second", "third")]
feast = FeatureStore(config=RepoConfig(
    project="delays", registry=sys.argv[2], provider="local", offline_store="dask",
    online_store={"type": f"mlplat.online.dynamodb.{DynamoDBOnlineStore.__name__}", **vars(kept)},
))
feast.registry.apply_entity(flight, "delays")
for place, view in enumerate(views):
    feast.registry.apply_feature_view(view, "delays")
    store.put_newer(feast.config, view, rows([1], late=Value(double_val=place)))
feast.refresh_registry()
meeting = threading.Barrier(len(views), timeout=60)
def meet(**_): meeting.wait()
events.register("before-call.dynamodb.BatchGetItem", meet)
told["at once"] = feast.get_online_features(
    features=[f"{view.name}:late" for view in views],
    entity_rows=[{"flight": 1}, {"flight": 2}],
    full_feature_names=True,
).to_dict()
events.unregister("before-call.dynamodb.BatchGetItem", meet)

client(kept.region).put_item(TableName=table_name(config, raced), Item={"entity_id": {"S": "somebody"}})
try:
    list(store.rows(config, raced))
except NamelessRowsError as error:
    told["nameless"] = str(error)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the store says of itself, in the environment of its image."""
    folder = tmp_path_factory.mktemp("dynamodb")
    image = catalogue.find("features")
    python = environment.service("features", progress=print)
    context.write(image, folder / "image")
    (folder / "program.py").write_text(PROGRAM)
    with on_dynamodb() as kept:
        variables = {"PYTHONPATH": str(folder / "image" / "code"), "TZ": "America/New_York", **kept.variables}
        names = "acme.online.{project}.{table_name}"
        argv: list[str | Path] = [python, folder / "program.py", names, folder / "registry.db"]
        done = subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_of_a_view_that_nobody_has_written_to_nothing_is_found(told: dict[str, Any]) -> None:
    assert told["before"] == [[None], [], None]


def test_more_keys_than_dynamodb_takes_at_once_are_answered_in_their_order(told: dict[str, Any]) -> None:
    assert told["put"] == 250
    assert told["in order"]


def test_all_rows_are_told_by_their_keys_in_order_and_go_by_them(told: dict[str, Any]) -> None:
    assert told["rows"] == [True, 250]
    assert told["values"]
    assert told["left"]


def test_an_item_is_as_feast_writes_it_beside_its_key(told: dict[str, Any]) -> None:
    assert told["item"] == [["entity_id", "event_ts", "key", "values"], "2013-07-01 12:00:00+00:00"]


def test_of_two_servers_neither_writes_over_what_is_newer(told: dict[str, Any]) -> None:
    assert told["raced"] == [1, [9.75]]
    assert told["again"] == [1, 0]


def test_what_dynamodb_leaves_for_later_is_asked_for_again(told: dict[str, Any]) -> None:
    """An answer has 16 MB at most: a key that is left out of it would look like one that nobody wrote."""
    assert told["heavy"] == 60


def test_of_keys_that_are_left_for_ever_the_caller_is_told_to_come_again(told: dict[str, Any]) -> None:
    assert told["later"] == [0, 2]
    said, status = told["busy"]
    assert said == "acme.online.delays.hundreds: DynamoDB leaves 2 of 2 keys unread"
    assert status == 503
    assert told["left for later"] > 3


def test_the_views_of_a_request_are_read_at_once_and_answered_in_their_order(told: dict[str, Any]) -> None:
    """None of them is answered before all were asked for."""
    expected = {"flight": [1, 2], "first__late": [0, None], "second__late": [1, None], "third__late": [2, None]}
    assert told["at once"] == expected
    assert list(told["at once"]) == list(expected)


def test_rows_that_do_not_say_whose_they_are_are_no_silence(told: dict[str, Any]) -> None:
    assert told["nameless"].startswith("acme.online.delays.raced: 1 rows do not say whose they are")
