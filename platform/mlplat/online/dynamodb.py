"""Feast's online store in DynamoDB, for a server of which several may run.

Feast's own takes a key that DynamoDB had no time for as one that nobody wrote, fails on a row that has none of the
columns asked for, writes over newer rows, looks at a new table every 20 seconds, and takes away the tags of tables that
others gave them. It also needs a second client beside boto3. Here an item is as Feast writes it (`entity_id`,
`event_ts`, `values`), so that Feast's own reads it, and has the `key`, of which `entity_id` is a hash.

Keys of encryption, recovery and tags of the tables are `mlplat.jobs.tables`'s to give.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from feast.errors import FeastError
from feast.infra.key_encoding_utils import deserialize_entity_key, serialize_entity_key
from feast.infra.online_stores.helpers import compute_entity_id, compute_versioned_name
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel

from mlplat.online.store import DEFINING, LongNameError, pool

AT_ONCE = 100
"""Most keys of one BatchGetItem."""
THREADS = 16
"""Of one request: a row is written by a call of its own, the only kind that takes a condition and one write's price."""
CONNECTIONS = 100
"""Of one server, for all its projects: a request takes one for each view that it asks for."""
WAIT_SECONDS = 5.0
"""For an answer to one try, and in all for keys that answers leave out: whoever looks a feature up has gone by then."""
TRIES = 3
TABLE = {"Delay": 1, "MaxAttempts": 60}
"""Seconds between two looks at a new table, which takes some ten, and most looks."""
LONGEST_NAME = 255
"""Signs of a table's name."""
NEWER = "attribute_not_exists(entity_id) OR event_ts <= :at"
Row = tuple[Any, Mapping[str, Any], datetime]
"""Key, values and moment, as they are written."""
Found = tuple[datetime | None, dict[str, Any] | None]
Given = TypeVar("Given")
Made = TypeVar("Made")


class BusyError(FeastError):  # type: ignore[misc]  # Feast ships no types
    """DynamoDB goes on answering a part of what it is asked."""

    def http_status_code(self) -> int:
        """Return a status after which a client tries again."""
        return 503


class NamelessRowsError(FeastError):  # type: ignore[misc]  # likewise
    """Rows do not say whose they are."""

    def http_status_code(self) -> int:
        """Return a status after which a client does not try again."""
        return 409


class DynamoDBOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]  # likewise
    """`online_store` of a `feature_store.yaml`."""

    type: Literal["mlplat.online.dynamodb.DynamoDBOnlineStore"] = "mlplat.online.dynamodb.DynamoDBOnlineStore"
    region: str
    table_name_template: str
    """Holds `{project}` and `{table_name}`."""


class DynamoDBOnlineStore(OnlineStore):  # type: ignore[misc]  # likewise
    """Rows of every view in a table of its own, an item a row."""

    def online_write_batch(self, config: Any, table: Any, data: Any, progress: Any) -> None:
        """See `OnlineStore.online_write_batch`; a row that is older than what is there is left out."""
        self.put_newer(config, table, [(key, values, at) for key, values, at, _ in data])
        if progress:
            progress(len(data))

    def put_newer(self, config: Any, view: Any, rows: Sequence[Row]) -> int:
        """Write rows but those that are older than what is there; return how many were written.

        DynamoDB itself compares, so that of two servers neither writes over what is newer. Raises `LongNameError`.
        """
        database, name = client(config.online_store.region), table_name(config, view)
        if _begin(database, name):
            database.get_waiter("table_exists").wait(TableName=name, WaiterConfig=TABLE)

        def put(row: Row) -> bool:
            item = _item(config, row)
            given = {"ConditionExpression": NEWER, "ExpressionAttributeValues": {":at": item["event_ts"]}}
            try:
                database.put_item(TableName=name, Item=item, **given)
            except database.exceptions.ConditionalCheckFailedException:
                return False
            return True

        return sum(_each(put, rows))

    def online_read(self, config: Any, table: Any, entity_keys: Sequence[Any], *_: Any, **_named: Any) -> list[Found]:
        """See `OnlineStore.online_read`; all features are read, whichever are asked for.

        Of a view that nobody has written to, nothing is found. Raises `BusyError`.
        """
        keys = [_written(config, key) for key in entity_keys]
        found = self._read(config, table, keys)
        return [found.get(key, (None, None)) for key in keys]

    def rows(self, config: Any, view: Any) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield every row's key, as Feast writes it down, and its values by feature, in order of the key.

        Raises `NamelessRowsError` for rows that were not written by this store, whose keys nobody can tell.
        """
        keys = sorted(self._keys(config, view))
        for part in _parts(keys):
            found = self._read(config, view, part, consistent=True)
            yield from ((key, found[key][1] or {}) for key in part if key in found)

    def remove(self, config: Any, view: Any, keys: Sequence[bytes]) -> None:
        """Remove the rows of keys, as Feast writes them down."""
        database, name = client(config.online_store.region), table_name(config, view)
        with contextlib.suppress(database.exceptions.ResourceNotFoundException):
            _each(lambda key: database.delete_item(TableName=name, Key=_key(_id(config, key))), keys)

    @contextlib.contextmanager
    def exclusive(self, config: Any) -> Iterator[None]:
        """Be the one, of all servers on the registry's database, that changes definitions."""
        with pool(config.registry.path).connection() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [DEFINING])
            yield

    def make(self, config: Any, views: Sequence[Any]) -> None:
        """Begin to make the tables of views that have none. Raises `LongNameError`.

        Whoever tells of features waits for no table; until one is there nothing is found in it, and writes wait.
        """
        for name in [table_name(config, view) for view in views]:
            _begin(client(config.online_store.region), name)

    def update(self, config: Any, _deleted: Any, tables_to_keep: Sequence[Any], *_given: Any, **_named: Any) -> None:
        """See `OnlineStore.update`: views that are no more leave their tables."""
        self.make(config, tables_to_keep)

    def teardown(self, config: Any, tables: Sequence[Any], entities: Sequence[Any]) -> None:
        """See `OnlineStore.teardown`: tables go with the platform, and with nothing less."""

    def _read_features_per_fv(self, config: Any, views: Sequence[Any], *given: Any) -> None:
        """See `OnlineStore._read_features_per_fv`: all views of a request are read at once.

        Each read is a way to DynamoDB and back, and whoever waits for a prediction waits for all of them.
        """
        keys, names, response, *others = given
        read = super()._read_features_per_fv

        def answer(view: Any) -> Any:
            own = type(response)()
            read(config, [view], keys, names, own, *others)
            return own

        for each in _each(answer, views):
            response.MergeFrom(each)

    def _read(
        self, config: Any, view: Any, keys: Iterable[bytes], *, consistent: bool = False
    ) -> dict[bytes, tuple[datetime, dict[str, Any]]]:
        database, name = client(config.online_store.region), table_name(config, view)
        known = {_id(config, key): key for key in keys}
        asked = [{"Keys": [*map(_key, part)], "ConsistentRead": consistent} for part in _parts(list(known))]
        try:
            parts = _each(lambda part: _get(database, name, part), asked)
        except database.exceptions.ResourceNotFoundException:
            return {}
        return {known[item["entity_id"]["S"]]: _found(item) for part in parts for item in part}

    def _keys(self, config: Any, view: Any) -> list[bytes]:
        database, name = client(config.online_store.region), table_name(config, view)
        given = {"ProjectionExpression": "#key", "ExpressionAttributeNames": {"#key": "key"}, "ConsistentRead": True}
        try:
            pages = list(database.get_paginator("scan").paginate(TableName=name, **given))
        except database.exceptions.ResourceNotFoundException:
            return []
        found = [item.get("key", {}).get("B") for page in pages for item in page["Items"]]
        if nameless := found.count(None):
            raise NamelessRowsError(
                f"{name}: {nameless} rows do not say whose they are, since another program wrote them:"
                " push them again, or delete the table's rows"
            )
        return found


@functools.cache
def client(region: str) -> Any:
    """Return the client of a region's DynamoDB, which threads share."""
    import boto3
    from botocore.config import Config

    settings = Config(
        connect_timeout=WAIT_SECONDS,
        read_timeout=WAIT_SECONDS,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        tcp_keepalive=True,
    )
    return boto3.session.Session().client("dynamodb", region_name=region, config=settings)


def answers(region: str, template: str) -> bool:
    """Tell whether DynamoDB answers us: that there is no such table, which no project's can be called."""
    database = client(region)
    try:
        database.describe_table(TableName=template.format(project="-", table_name="-"))
    except database.exceptions.ResourceNotFoundException:
        return True
    except Exception:  # noqa: BLE001 - whatever it is, nobody can look anything up
        return False
    return True


def table_name(config: Any, view: Any) -> str:
    """Return the name of a view's table. Raises `LongNameError`."""
    named = compute_versioned_name(view, config.registry.enable_online_feature_view_versioning)
    name: str = config.online_store.table_name_template.format(project=config.project, table_name=named)
    if len(name) > LONGEST_NAME:
        raise LongNameError(f"{name}: a table's name has more than {LONGEST_NAME} signs")
    return name


def _begin(database: Any, name: str) -> bool:
    """Begin to make a table unless it is there; tell whether it is still being made."""
    try:
        # One whose key is being changed (`UPDATING`) can be written to.
        return bool(database.describe_table(TableName=name)["Table"]["TableStatus"] == "CREATING")
    except database.exceptions.ResourceNotFoundException:
        pass
    # Another server may be quicker.
    with contextlib.suppress(database.exceptions.ResourceInUseException):
        database.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "entity_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "entity_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    return True


def _written(config: Any, key: Any) -> bytes:
    made: bytes = serialize_entity_key(key, config.entity_key_serialization_version)
    return made


def _id(config: Any, key: bytes) -> str:
    version = config.entity_key_serialization_version
    made: str = compute_entity_id(deserialize_entity_key(key, version), version)
    return made


def _key(entity_id: str) -> dict[str, Any]:
    return {"entity_id": {"S": entity_id}}


def _item(config: Any, row: Row) -> dict[str, Any]:
    key, values, at = row
    written = _written(config, key)
    return {
        **_key(_id(config, written)),
        "key": {"B": written},
        # All in one zone, so that the order of texts is that of moments.
        "event_ts": {"S": str(at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC))},
        "values": {"M": {name: {"B": value.SerializeToString()} for name, value in values.items()}},
    }


def _found(item: Mapping[str, Any]) -> tuple[datetime, dict[str, Any]]:
    values = {name: Value.FromString(value["B"]) for name, value in item["values"]["M"].items()}
    return datetime.fromisoformat(item["event_ts"]["S"]), values


def _get(database: Any, name: str, asked: Mapping[str, Any]) -> list[Any]:
    """Return items, also those that DynamoDB leaves for later. Raises `BusyError`."""
    items: list[Any] = []
    left: Mapping[str, Any] = {name: asked}
    deadline, pause = time.monotonic() + WAIT_SECONDS, 0.02
    while True:
        answer = database.batch_get_item(RequestItems=left)
        items += answer["Responses"].get(name, [])
        left = answer.get("UnprocessedKeys") or {}
        if not left:
            return items
        if time.monotonic() + pause > deadline:
            raise BusyError(f"{name}: DynamoDB leaves {len(left[name]['Keys'])} of {len(asked['Keys'])} keys unread")
        time.sleep(pause)
        pause *= 2


def _each(do: Callable[[Given], Made], given: Sequence[Given]) -> list[Made]:
    if len(given) < 2:  # noqa: PLR2004 - one needs no thread
        return [do(each) for each in given]
    with ThreadPoolExecutor(min(len(given), THREADS)) as workers:
        return list(workers.map(do, given))


def _parts(given: Sequence[Given]) -> Iterator[Sequence[Given]]:
    for at in range(0, len(given), AT_ONCE):
        yield given[at : at + AT_ONCE]
