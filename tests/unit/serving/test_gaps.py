"""Requests that leave columns out: looked up over HTTP from a server that answers as Feast's does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featureserver import FeatureServer, Rows, View
from mlplat.bundle import BundleError, Column, Contract, Explaining, LookUp, Value, unsuited
from mlplat.clock import Clock
from mlplat.serving.app import Server
from mlplat.serving.columns import Columns, InputError, Schema
from mlplat.serving.connection import Request
from mlplat.serving.features import FAILURES, MOST_KEYS, PARALLEL, Features
from mlplat.serving.gaps import Sight, open_rows
from mlplat.serving.metrics import LookUpMetrics, Metrics
from mlplat.serving.model import Model, check_contract
from mlplat.serving.protocol import Served

START = datetime(2013, 6, 1, 12, tzinfo=UTC)
"""The platform's clock at the beginning of a test, years before the computer's."""
HOUR = timedelta(hours=1)
AGES = {"fresh": HOUR / 2, "stale": 2 * HOUR, "early": -HOUR}
ORIGIN, TAIL = Column(name="origin", type="string"), Column(name="tail", type="long", nullable=True)
CONTRACT = Contract(
    project="flights",
    model="late",
    task="regression",
    columns=(
        Column(name="distance", type="double"),
        ORIGIN,
        Column(name="backlog", type="long", nullable=True),
        Column(name="delay", type="double", nullable=True),
        Column(name="flown", type="long"),
    ),
    features="late_0a1b2c3d",
    lookups=(
        LookUp(group="airport", keys=(ORIGIN,), columns=("delay", "backlog"), ttl_seconds=3600),
        # Its key is no column of the model, and what it holds must not be null.
        LookUp(group="airframe", keys=(TAIL, ORIGIN), columns=("flown",), ttl_seconds=3600),
    ),
)
WHOLE = {"distance": 300.0, "origin": "JFK", "delay": 5.5, "backlog": 3, "flown": 7}
LACKING = {"distance": 300.0, "origin": "JFK", "tail": 42}


class Sum:
    """A model whose answers tell every value from every other, and from null."""

    form = "sums"
    asked = 0

    def score(self, columns: Columns) -> np.ndarray[Any, np.dtype[np.float64]]:
        self.asked += 1
        total = np.zeros(len(columns["origin"]))
        for place, name in enumerate(CONTRACT.columns, start=1):
            values = [len(value) if isinstance(value, str) else value for value in columns[name.name].tolist()]
            total += np.nan_to_num(np.array(values, dtype=np.float64), nan=-777.5) * 17**place
        return total


class Given(Request):
    """A request that keeps its answer."""

    __slots__ = ("answered",)

    def __init__(self, path: str, body: Any, headers: dict[bytes, bytes]) -> None:
        super().__init__(None, b"POST", path, headers, orjson.dumps(body))
        self.began = asyncio.get_running_loop().time()
        self.answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answer(self, status: int, body: bytes, headers: bytes = b"") -> None:
        self.answered.set_result(Answer(status, orjson.loads(body), headers))


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]
    headers: bytes


class Log:
    """A prediction log in memory."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, _: bytes, columns: Columns, scores: np.ndarray[Any, Any]) -> None:
        self.rows += [{name: values.tolist()[row] for name, values in columns.items()} for row in range(len(scores))]


def store(ages: Mapping[str, timedelta] | None = None) -> FeatureServer:
    """Return a server that knows airports by how old their values are, and some airframes."""
    ages = {"JFK": AGES["fresh"], "LGA": AGES["stale"], "EWR": AGES["early"]} if ages is None else ages
    airports: Rows = {
        (origin,): (START - age, {"delay": 5.5 + place, "backlog": 3 * place or None})
        for place, (origin, age) in enumerate(ages.items())
    }
    airframes: Rows = {(42, origin): (START, {"flown": 7}) for origin in ages}
    return FeatureServer(
        CONTRACT.features,
        {
            "airport": View(("origin",), ("delay", "backlog"), airports),
            "airframe": View(("tail", "origin"), ("flown",), airframes),
        },
    )


@contextmanager
def serving(
    url: str | None, *, timeout: float = 30.0, log: Log | None = None, folder: Path | None = None
) -> Iterator[Server]:
    """Serve the model, in the running loop; one with a folder explains with the rows that lie there."""
    metrics = Metrics(info={"endpoint": "flights/late"}, bounds=())
    features = None
    if url is not None:
        counted = LookUpMetrics(metrics, [each.group for each in CONTRACT.lookups])
        clock = Clock(START - datetime.now(UTC))
        features = Features(url, CONTRACT, counted, clock=clock, timeout=timeout, wait_seconds=30)
    explaining = Explaining(budget_ms=1000) if folder else None
    contract = CONTRACT.model_copy(update={"explaining": explaining})
    model = Model(folder or Path(), "sha256:0", contract, Schema(CONTRACT.columns), Sum())
    served = Served(model, "3", "r1", rows=1000)
    server = Server(served, metrics, log, wait_seconds=30, features=features)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()


def begin(server: Server, body: Any, path: str = "/predict", **headers: str) -> asyncio.Future[Answer]:
    given = Given(path, body, {name.replace("_", "-").encode(): text.encode() for name, text in headers.items()})
    server.handle(given)
    return given.answered


async def rows(server: Server, *sent: Mapping[str, Any], **headers: str) -> Answer:
    return await begin(server, {"rows": [dict(row) for row in sent]}, **headers)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def is_looking(server: Server, count: int) -> bool:
    return server._completion is not None and len(server._completion._looking) == count


async def turns(condition: Callable[[], bool]) -> None:
    """Let the loop turn until a condition holds."""
    while not condition():  # noqa: ASYNC110 - it needs few turns
        await asyncio.sleep(0)


def tensors(sent: Mapping[str, list[Any]]) -> dict[str, Any]:
    kinds = {"string": "BYTES", "long": "INT64", "double": "FP64"}
    types = {column.name: kinds[column.type] for column in (*CONTRACT.columns, TAIL)}
    made = [{"name": n, "datatype": types[n], "shape": [len(v)], "data": v} for n, v in sent.items()]
    return {"inputs": made}


def series(server: Server, name: str) -> dict[str, float]:
    """Return a metric's values by its last label, those that are 0 left out."""
    lines = [line.rpartition(" ") for line in server.metrics.text().decode().splitlines() if line.startswith(name)]
    return {text.rstrip('"}').rpartition('"')[2]: float(value) for text, _, value in lines if float(value)}


ROWS = st.fixed_dictionaries(
    {
        "distance": st.integers(0, 3000).map(float),
        "origin": st.sampled_from(["JFK", "LGA", "EWR", "nowhere"]),
        "tail": st.just(42),
        "sent": st.sets(st.sampled_from(["airport", "airframe"])),
    }
)


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(st.lists(ROWS, min_size=1, max_size=12))
def test_a_row_is_answered_as_the_same_row_sent_whole(drawn: list[dict[str, Any]]) -> None:
    """Whatever is sent and whatever is looked up; null stands for what is unknown, and the answer names the group."""

    async def both() -> None:
        async with store(
            {"JFK": AGES["fresh"], "LGA": AGES["stale"], "nowhere": AGES["early"]}
        ).listening() as features:
            airports = features.views["airport"].rows
            features.views["airframe"].rows[42, "EWR"] = START, {"flown": 9}
            sent, whole, unknown = [], [], []
            for row in drawn:
                own = {"distance": row["distance"], "origin": row["origin"]}
                known = dict(airports["JFK",][1]) if row["origin"] == "JFK" else {"delay": None, "backlog": None}
                flown = {"flown": 9 if row["origin"] == "EWR" else 7}
                whole.append({**own, **known, **flown})
                part = (known if "airport" in row["sent"] else {}) | (flown if "airframe" in row["sent"] else {})
                sent.append({**own, "tail": 42, **part})
                unknown.append(["airport"] if "airport" not in row["sent"] and row["origin"] != "JFK" else None)
            with serving(features.url) as server:
                found, wanted = await rows(server, *sent), await rows(server, *whole)
            assert found.status == wanted.status == 200, found
            assert [each["value"] for each in found.body["predictions"]] == [
                each["value"] for each in wanted.body["predictions"]
            ]
            assert [each.get("unknown") for each in found.body["predictions"]] == unknown

    run(both())


def test_tensors_are_completed_as_rows_are() -> None:
    async def both() -> None:
        async with store().listening() as features:
            with serving(features.url) as server:
                sent: dict[str, list[Any]] = {"distance": [1.0, 2.0], "origin": ["JFK", "LGA"], "tail": [42, 42]}
                found = await begin(server, tensors(sent), "/v2/models/late/infer")
                wanted = await rows(server, *({n: v[at] for n, v in sent.items()} for at in range(2)))
                outputs = {each["name"]: each["data"] for each in found.body["outputs"]}
                assert outputs["value"] == [each["value"] for each in wanted.body["predictions"]]
                assert outputs["unknown"] == ["", "airport"]
                whole = {name: [value] * 2 for name, value in WHOLE.items()}
                for extra in ({}, {"tail": [1, None]}):
                    found = await begin(server, tensors({**whole, **extra}), "/v2/models/late/infer")
                    assert found.body["outputs"][1]["data"] == ["", ""]
                assert len(features.asked) == 2

    run(both())


def test_an_explanation_names_the_groups_that_are_unknown(tmp_path: Path) -> None:
    """What moved an answer is told of null there, which the row itself does not show."""
    (tmp_path / "background.json").write_bytes(orjson.dumps([WHOLE, {**WHOLE, "origin": "LGA", "delay": None}]))

    async def ask() -> None:
        async with store().listening() as features:
            with serving(features.url, folder=tmp_path) as server:
                sent = {"rows": [LACKING, {**LACKING, "origin": "LGA"}, WHOLE]}
                why, plain = await begin(server, sent, "/explain"), await begin(server, sent)
                assert [each.get("unknown") for each in why.body["explanations"]] == [None, ["airport"], None]
                told = [{n: v for n, v in e.items() if n != "contributions"} for e in why.body["explanations"]]
                assert told == plain.body["predictions"]
                components = orjson.loads(server._openapi)["components"]
                schema = {"$ref": "#/components/schemas/Explanations", "components": components}
                jsonschema.Draft202012Validator(schema).validate(why.body)

    run(ask())


@pytest.mark.parametrize(
    ("origin", "outcome"), [("JFK", "found"), ("LGA", "stale"), ("EWR", "stale"), ("nowhere", "absent")]
)
def test_what_became_of_a_look_up_is_counted_and_the_log_holds_what_the_model_saw(origin: str, outcome: str) -> None:
    async def ask() -> None:
        log = Log()
        async with store().listening() as features:
            with serving(features.url, log=log) as server:
                answer = await rows(server, {"distance": 1.0, "origin": origin, "flown": 7})
                assert series(server, 'mlplat_lookups_total{group="airport"') == {outcome: 1}
                assert answer.body["predictions"][0].get("unknown") == (None if outcome == "found" else ["airport"])
        (row,) = log.rows
        assert row["delay"] == 5.5 if outcome == "found" else np.isnan(row["delay"])
        # One group of the service is asked for by its columns.
        assert features.asked == [{"features": ["airport:delay", "airport:backlog"], "entities": {"origin": [origin]}}]

    run(ask())


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "half a group": ({**LACKING, "delay": 1.0}, "rows[0].backlog: is missing; the columns of `airport` come together"),
    "no key": ({"distance": 1.0, "origin": "JFK"}, "rows[0].tail: is missing; `airframe` is looked up by it"),
    "a key of another type": ({**LACKING, "tail": "N42"}, 'rows[0].tail: must be a whole number, not "N42"'),
    "a key that nothing needs": ({**WHOLE, "tail": 1.5}, "rows[0].tail: must be a whole number, not 1.5"),
    "a key that is a column": ({**LACKING, "origin": None}, "rows[0].origin: must not be null"),
    "an unknown column": ({**LACKING, "odd": 1}, "rows[0].odd: the model has no such column"),
    "nothing of what must not be null": (
        {**LACKING, "tail": 1},
        'rows[0].flown: `airframe` has nothing of tail=1, origin="JFK", and the column must not be null',
    ),
    "a null key of what must not be null": (
        {**LACKING, "tail": None},
        "rows[0].flown: `airframe` has nothing of a key that is null",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_row_that_cannot_be_completed_is_named(case: str) -> None:
    async def ask() -> None:
        row, said = BAD[case]
        async with store().listening() as features:
            with serving(features.url) as server:
                answer = await rows(server, row)
                assert (answer.status, answer.body["error"].startswith(said)) == (422, True), answer
                assert len(answer.body["details"]) == 1
                sent = tensors({name: [value] for name, value in row.items() if name != "odd"})
                if case != "an unknown column":
                    answer = await begin(server, sent, "/v2/models/late/infer")
                    assert answer.status == 422, answer

    run(ask())


def test_the_described_rows_are_those_that_are_taken() -> None:
    async def ask() -> None:
        names = [*WHOLE, "tail"]
        async with store().listening() as features:
            with serving(features.url) as server:
                document = orjson.loads(server._openapi)
                schema = {"$ref": "#/components/schemas/Row", "components": document["components"]}
                described = jsonschema.Draft202012Validator(schema)
                for chosen in range(2 ** len(names)):
                    row = {n: {**WHOLE, "tail": 42}[n] for place, n in enumerate(names) if chosen >> place & 1}
                    assert ((await rows(server, row)).status == 200) == described.is_valid(row), row
                inputs = orjson.loads(server._metadata)["inputs"]
        about = {each["name"]: each.get("parameters") for each in inputs}
        assert about["delay"] == {"looked_up": "airport"}
        assert about["tail"] == {"key_of": "airframe"}
        assert about["distance"] is about["origin"] is None

    run(ask())


def test_each_key_is_asked_for_once_and_in_one_request() -> None:
    async def ask() -> None:
        async with store().listening() as features:
            with serving(features.url) as server:
                answer = await rows(server, *[LACKING, {**LACKING, "origin": "LGA"}] * 10)
        assert answer.status == 200
        entities = {"origin": ["JFK", "LGA"], "tail": [42, 42]}
        assert features.asked == [{"feature_service": CONTRACT.features, "entities": entities}]

    run(ask())


def test_what_waits_meanwhile_goes_together() -> None:
    async def ask() -> None:
        async with store().listening() as features:
            with serving(features.url) as server:
                features.gate.clear()
                waiting: list[asyncio.Future[Answer]] = []
                for count in (PARALLEL, PARALLEL + 20):
                    waiting += [begin(server, {"rows": [LACKING]}) for _ in range(count - len(waiting))]
                    await turns(partial(is_looking, server, count))
                assert "mlplat_waiting 24.0" in server.metrics.text().decode()
                features.gate.set()
                assert {(await each).status for each in waiting} == {200}
        assert len(features.asked) == PARALLEL + 1
        assert features.connections <= PARALLEL

    run(ask())


def test_many_keys_are_several_requests() -> None:
    async def ask() -> None:
        async with store().listening() as features:
            with serving(features.url) as server:
                airframes = features.views["airframe"].rows
                airframes |= {(tail, "JFK"): (START, {"flown": tail}) for tail in range(2 * MOST_KEYS + 1)}
                answer = await rows(server, *({**LACKING, "tail": tail} for tail in range(2 * MOST_KEYS + 1)))
        values = np.diff([each["value"] for each in answer.body["predictions"]])
        assert np.allclose(values, 17 ** len(CONTRACT.columns))
        assert sorted(len(each["entities"]["tail"]) for each in features.asked) == [1, MOST_KEYS, MOST_KEYS]

    run(ask())


@pytest.mark.parametrize(("fault", "reason"), [("status", "answer"), ("garbage", "answer"), ("hang up", "away")])
def test_a_server_that_fails_makes_requests_fail_and_none_guess(
    fault: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long this test takes: one that is away is not asked again meanwhile.
    monkeypatch.setattr("mlplat.serving.features.AWAY_SECONDS", 3600.0)

    async def ask() -> None:
        async with store().listening() as features:
            with serving(features.url) as server:
                features.fault = fault
                for _ in range(FAILURES + 2):
                    answer = await rows(server, LACKING)
                    assert answer.status == 503
                    assert b"retry-after: 1\r\n" in answer.headers
                    assert answer.body["error"].startswith("features cannot be looked up")
                assert series(server, "mlplat_lookup_failures_total") == {reason: FAILURES + 2}
                assert server.served.model.engine.asked == 0  # type: ignore[attr-defined]
                # Only one that does not answer at all is left alone.
                assert (len(features.asked) > FAILURES) == (reason == "answer")
                assert (await rows(server, WHOLE)).status == 200
                features.fault = ""
                assert (await rows(server, LACKING)).status == (200 if reason == "answer" else 503)

    run(ask())


def test_a_slow_server_is_not_waited_for() -> None:
    async def ask() -> None:
        async with store().listening() as features:
            with serving(features.url, timeout=0.05) as server:
                features.gate.clear()
                assert (await rows(server, LACKING)).status == 503
                assert series(server, "mlplat_lookup_failures_total") == {"slow": 1}
                features.gate.set()

    run(ask())


def test_a_request_whose_time_is_over_is_not_computed() -> None:
    async def ask() -> None:
        async with store().listening() as features:
            with serving(features.url) as server:
                features.gate.clear()
                answer = await rows(server, LACKING, x_request_timeout_ms="50")
                assert answer.status == 504
                assert server.served.model.engine.asked == 0  # type: ignore[attr-defined]
                features.gate.set()

    run(ask())


def test_a_server_that_was_restarted_costs_no_request() -> None:
    async def ask() -> None:
        async with store().listening() as features:
            with serving(features.url) as server:
                for _ in range(3):
                    assert (await rows(server, LACKING)).status == 200
                    assert (await rows(server, LACKING)).status == 200
                    await features.drop()
        # One that is kept takes more than one request.
        assert features.connections == 3

    run(ask())


def test_without_a_feature_server_whole_rows_are_answered() -> None:
    async def ask() -> None:
        with serving(None) as server:
            assert (await rows(server, WHOLE)).status == 200
            answer = await rows(server, LACKING)
            assert (answer.status, answer.body["error"][:29]) == (503, "features cannot be looked up:")

    run(ask())


AIRPORT, AIRFRAME = CONTRACT.lookups
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no service": ({"features": ""}, "names its feature service"),
    "a group twice": ({"lookups": (AIRPORT, AIRPORT)}, "airport: is there twice"),
    "a column of nobody": (
        {"lookups": (AIRPORT.model_copy(update={"columns": ("odd",)}),)},
        "the model has no column `odd`",
    ),
    "a column in two groups": (
        {"lookups": (AIRPORT, AIRFRAME.model_copy(update={"columns": ("flown", "delay")}))},
        "`delay` is looked up twice",
    ),
    "no keys": ({"lookups": (AIRPORT.model_copy(update={"keys": ()}),)}, "has to have columns and keys"),
    "a key that is looked up": (
        {"lookups": (AIRPORT.model_copy(update={"keys": (Column(name="flown", type="long"),)}), AIRFRAME)},
        "`flown` is looked up itself",
    ),
    "a key by which nothing is found": (
        {"lookups": (AIRPORT.model_copy(update={"keys": (Column(name="distance", type="double"),)}),)},
        "`distance` is double; a key is a whole number or a text",
    ),
    "a key of two types": (
        {"lookups": (AIRPORT.model_copy(update={"keys": (Column(name="origin", type="long"),)}),)},
        "`origin` has another type elsewhere",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_look_ups_that_cannot_work_are_refused_when_a_bundle_is_loaded(case: str) -> None:
    changes, said = WRONG[case]
    assert check_contract(CONTRACT) is CONTRACT
    with pytest.raises(BundleError, match=said):
        check_contract(CONTRACT.model_copy(update=changes))


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """Draw a contract over a few names, of which some are looked up under `a` or under a key of its own."""
    kinds = st.sampled_from(["long", "double", "string"])
    columns = [Column(name="a", type=draw(st.sampled_from(["long", "string"])))]
    columns += [Column(name=name, type=draw(kinds)) for name in draw(st.sets(st.sampled_from("bcde"), min_size=1))]
    grouped: dict[str, list[str]] = {}
    for column in columns[1:]:
        grouped.setdefault(draw(st.sampled_from(["", "", "g", "h"])), []).append(column.name)
    keys = [columns[0], Column(name="k", type=draw(st.sampled_from(["long", "string"])))]
    lookups = tuple(
        LookUp(group=group, keys=(draw(st.sampled_from(keys)),), columns=tuple(names), ttl_seconds=60)
        for group, names in grouped.items()
        if group
    )
    made = {"project": "p", "model": "m", "task": "regression", "columns": columns, "lookups": lookups}
    return check_contract(Contract.model_validate(made | {"features": "m_1" if lookups else ""}))


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(contracts(), contracts())
def test_versions_share_traffic_where_one_request_suits_both(before: Contract, after: Contract) -> None:
    values: dict[str, Value] = {"long": 1, "double": 1, "string": "1"}
    row = {name: values[column.type] for name, column in before.requested.items()}
    served = Served(Model(Path(), "", after, Schema(after.columns), Sum()), "1", "r1", rows=1)
    known = {column.name: values[column.type] for column in after.columns}
    try:
        opened = open_rows(served, orjson.dumps({"rows": [row]}))
        for gap in opened.gaps:
            sights = [Sight("found", tuple(known[name] for name in each.columns)) for each in gap.groups]
            gap.found = {gap.keys[0]: sights}
        opened.filled(lambda *_: None)
    except InputError:
        suits = False
    else:
        suits = True
    assert (unsuited(before, after) == []) == suits
