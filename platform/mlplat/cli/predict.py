"""`mlplat predict`: ask an endpoint."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import contributions, endpoints
from mlplat.cli.console import emit_json
from mlplat.cli.options import json_option, stack_option
from mlplat.errors import MlplatError, NotReadyError, RefusedError, UnreachableError, UsageError

if TYPE_CHECKING:
    import httpx

    from mlplat.bundle import Contract
    from mlplat.controller.document import Endpoint, Revision

SECONDS = 60.0
"""Twice what the gateway lets a request take."""
Rows = list[Any]


@dataclass(frozen=True)
class Question:
    """What rows are sent for."""

    path: str
    answers: str
    """Key of what is answered for each row."""
    rows: int
    """Of one request."""


PREDICT = Question("predict", "predictions", 1000)
EXPLAIN = Question("explain", "explanations", 8)
"""As many rows as a model server explains at a time."""


@click.command()
@click.argument("endpoint", required=False)
@click.option("--data", metavar="FILE", help="Rows as JSON, JSON lines or CSV; `-` is standard input.")
@click.option("--example", is_flag=True, help="Send the example rows that came with the serving version.")
@click.option("--explain", is_flag=True, help="Show which columns moved each answer, and by how much.")
@stack_option
@json_option
def command(endpoint: str | None, *, data: str | None, example: bool, explain: bool, stack: str, as_json: bool) -> None:
    """Ask ENDPOINT, by default the project's own, through the gateway.

    Rows are objects by column: one, a list, or {"rows": […]}; or a table with a head. Prints one prediction a line as
    JSON; with --json the whole answers, which name the version and the revision that gave them. With --explain a
    prediction is followed by the columns that moved it most; the version has to have been trained with
    `explanations.route: true`.

    On a cluster the caller is known by the key in MLPLAT_API_KEY, or by the token in MLPLAT_TOKEN. A gateway without an
    address outside of it is reached by a forwarded port.

    \b
    Example:
      mlplat predict --example
      mlplat predict --example --explain
      mlplat predict flights/late --data rows.csv
      echo '{"origin": "JFK", "distance": 1089}' | mlplat predict flights/late --data -
    """
    where = endpoints.place(stack)
    name = where.name(endpoint)
    if not where.connection.gateway:
        raise NotReadyError(
            f"the gateway of `{where.connection.platform}` had no address when `up` ended",
            hint=f"`mlplat status -s {stack}` shows whether it has one now; `mlplat up -s {stack}` then writes it down",
        )
    with where.store() as store:
        found = endpoints.existing(store, name)
    if example and data:
        raise UsageError("`--data` and `--example` exclude each other", hint="leave one of them out")
    if not example and data is None and sys.stdin.isatty():
        raise UsageError("no rows were given", hint="add `--data FILE`, `--data -` for standard input, or `--example`")
    champion = _champion(found)
    rows = _examples(where, champion) if example else _read(data or "-", lambda: _known_contract(where, champion))
    question = EXPLAIN if explain else PREDICT
    with where.reach(f"{where.address(name)}/{question.path}") as url:
        answers = list(ask(url, question, rows, _caller()))
    if as_json:
        emit_json(answers[0] if len(answers) == 1 else answers)
        return
    for place, answer in enumerate(answers):
        if explain:
            contributions.show(answer, rows[place * question.rows :][: question.rows])
        else:
            for prediction in answer["predictions"]:
                click.echo(json.dumps(prediction))


def _champion(endpoint: Endpoint) -> Revision:
    champion = endpoint.status.revision(endpoint.status.champion)
    if champion is None:
        raise NotReadyError(
            f"{endpoint.spec.name} serves nothing: {endpoint.status.message}",
            hint=f"`mlplat rollout history {endpoint.spec.name}` shows what happened",
        )
    return champion


def _contract(where: endpoints.Place, champion: Revision) -> Contract:
    """Return the contract of the version that serves: of its bundle here, or as the registry of a cluster has it.

    Raises `MlplatError` where it cannot be read.
    """
    from mlplat.bundle import CONTRACT_FILE, parse_contract, read_contract
    from mlplat.tracking import Tracking

    if where.connection.store.startswith("sqlite:"):
        return read_contract(Path(champion.folder))
    import httpx

    # The folder is the controller's, in its own pod.
    with where.reach(where.connection.tracking) as tracking, httpx.Client(trust_env=False) as http:
        content = Tracking(tracking, http, seconds=SECONDS).artifact(champion.source, CONTRACT_FILE)
    return parse_contract(content, f"{champion.source}/{CONTRACT_FILE}")


def _known_contract(where: endpoints.Place, champion: Revision) -> Contract | None:
    """Return likewise, or None: without it the server says what is wrong with a row."""
    try:
        return _contract(where, champion)
    except MlplatError:
        return None


def _examples(where: endpoints.Place, champion: Revision) -> Rows:
    rows = [dict(item.row) for item in _contract(where, champion).examples]
    if not rows:
        raise MlplatError(
            f"version {champion.version} of {champion.model}, which serves, has no example rows",
            hint="give `--data FILE`",
        )
    return rows


def _read(source: str, contract: Callable[[], Contract | None]) -> Rows:
    """Read rows. Raises `UsageError` naming the place that cannot be read."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise UsageError(f"{source}: {why}") from error
    where = "standard input" if source == "-" else source
    rows = _json_rows(text, where) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text, contract())
    if not rows:
        raise UsageError(f"{where}: holds no rows")
    return rows


def _json_rows(text: str, where: str) -> Rows:
    try:
        document = json.loads(text)
    except ValueError as whole:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise UsageError(f"{where}: is neither JSON nor JSON lines: {whole}") from whole
    if isinstance(document, dict):
        document = document.get("rows", [document])
    if not isinstance(document, list):
        raise UsageError(f"{where}: `rows` is no list")
    return document


def _csv_rows(text: str, contract: Contract | None) -> Rows:
    import csv
    import io

    known = (*contract.columns, *contract.keys.values()) if contract else ()
    types = {column.name: column.type for column in known}
    reader = csv.DictReader(io.StringIO(text))
    return [{name: _cell(value, types.get(name)) for name, value in row.items() if name} for row in reader]


def _cell(text: str | None, kind: str | None) -> Any:
    """Read one cell as its column's type. What does not read is sent as it is: the server says what is wrong."""
    if text is None or text == "":
        return None
    if kind == "boolean":
        return {"true": True, "false": False, "1": True, "0": False}.get(text.lower(), text)
    for number in {"long": (int,), "double": (float,), None: (int, float)}.get(kind, ()):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _caller() -> dict[str, str]:
    """Return the headers by which a gateway knows who calls, of what the environment holds."""
    key, token = os.environ.get("MLPLAT_API_KEY"), os.environ.get("MLPLAT_TOKEN")
    return {**({"x-api-key": key} if key else {}), **({"authorization": f"Bearer {token}"} if token else {})}


def ask(url: str, question: Question, rows: Rows, caller: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Send rows in as many requests as they need, and give each answer's document. Raises `MlplatError`."""
    import httpx

    with httpx.Client(trust_env=False, timeout=SECONDS, headers=dict(caller)) as http:
        for start in range(0, len(rows), question.rows):
            sent = rows[start : start + question.rows]
            try:
                answer = http.post(url, json={"rows": sent})
            except httpx.HTTPError as error:
                raise UnreachableError(
                    f"the gateway does not answer on {url}: {error}", hint="`mlplat status` shows whether it runs"
                ) from error
            of = f" (rows {start} to {start + len(sent) - 1})" if len(rows) > question.rows else ""
            yield _checked(answer, question, of)


def _checked(answer: httpx.Response, question: Question, of: str) -> Mapping[str, Any]:
    """Return an answer's document. Raises `UsageError` for refused rows, `RefusedError` for a caller, `MlplatError`."""
    status, text = answer.status_code, answer.text.strip()
    try:
        document = answer.json()
    except ValueError:
        document = {}
    said = (document.get("error") if isinstance(document, dict) else None) or text
    if status < 300 and isinstance(document, dict) and question.answers in document:  # noqa: PLR2004 - HTTP success
        return document
    if status in (401, 403):
        raise RefusedError(
            f"the gateway does not let this caller in ({status}): {said or 'nothing more'}",
            hint="put the key that the endpoint's team gave you into MLPLAT_API_KEY, or a token into MLPLAT_TOKEN",
        )
    if status in (400, 413, 422):
        raise UsageError(f"the rows were refused{of}: {said or status}")
    raise MlplatError(f"the endpoint answers{of} with {status}: {said or 'nothing more'}", hint=_next(answer, question))


def _next(answer: httpx.Response, question: Question) -> str | None:
    """Return what to do about an explanation that was not given; None where there is nothing to say."""
    if question == EXPLAIN and answer.status_code == 404:  # noqa: PLR2004 - no such path
        return (
            "what a version explains with is part of it: set `explanations.route: true` in the project's mlplat.yaml, "
            "train, and deploy what was trained"
        )
    if question == EXPLAIN and answer.status_code == 429:  # noqa: PLR2004 - too many requests
        seconds = answer.headers.get("retry-after", "a few")
        return f"ask again in {seconds} s: a model server explains one request at a time, while one other waits"
    return None
