"""`mlplat predict`: ask an endpoint."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import endpoints
from mlplat.cli.console import emit_json
from mlplat.cli.options import json_option, stack_option
from mlplat.errors import MlplatError, NotReadyError, RefusedError, UnreachableError, UsageError

if TYPE_CHECKING:
    from mlplat.bundle import Contract
    from mlplat.controller.document import Endpoint, Revision

ROWS_A_REQUEST = 1000
SECONDS = 60.0
"""Twice what the gateway lets a request take."""
Rows = list[Any]


@click.command()
@click.argument("endpoint", required=False)
@click.option("--data", metavar="FILE", help="Rows as JSON, JSON lines or CSV; `-` is standard input.")
@click.option("--example", is_flag=True, help="Send the example rows that came with the serving version.")
@stack_option
@json_option
def command(endpoint: str | None, *, data: str | None, example: bool, stack: str, as_json: bool) -> None:
    """Ask ENDPOINT, by default the project's own, through the gateway.

    Rows are objects by column: one, a list, or {"rows": […]}; or a table with a head. Prints one prediction a line as
    JSON; with --json the whole answers, which name the version and the revision that gave them.

    On a cluster the caller is known by the key in MLPLAT_API_KEY, or by the token in MLPLAT_TOKEN. A gateway without an
    address outside of it is reached by a forwarded port.

    \b
    Example:
      mlplat predict --example
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
    with where.reach(f"{where.address(name)}/predict") as url:
        answers = list(_ask(url, rows, _caller()))
    if as_json:
        emit_json(answers[0] if len(answers) == 1 else answers)
        return
    for answer in answers:
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


def _ask(url: str, rows: Rows, caller: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    import httpx

    with httpx.Client(trust_env=False, timeout=SECONDS, headers=dict(caller)) as http:
        for start in range(0, len(rows), ROWS_A_REQUEST):
            try:
                answer = http.post(url, json={"rows": rows[start : start + ROWS_A_REQUEST]})
            except httpx.HTTPError as error:
                raise UnreachableError(
                    f"the gateway does not answer on {url}: {error}", hint="`mlplat status` shows whether it runs"
                ) from error
            yield _checked(answer.status_code, answer.text, start, rows)


def _checked(status: int, text: str, start: int, rows: Sequence[Any]) -> Mapping[str, Any]:
    """Return an answer's document. Raises `UsageError` for refused rows, `RefusedError` for a caller, `MlplatError`."""
    try:
        document = json.loads(text)
    except ValueError:
        document = {}
    said = document.get("error") if isinstance(document, dict) else None
    if status < 300 and isinstance(document, dict) and "predictions" in document:  # noqa: PLR2004 - HTTP success
        return document
    if status in (401, 403):
        raise RefusedError(
            f"the gateway does not let this caller in ({status}): {said or text.strip() or 'nothing more'}",
            hint="put the key that the endpoint's team gave you into MLPLAT_API_KEY, or a token into MLPLAT_TOKEN",
        )
    if status in (400, 413, 422):
        of = f" (rows {start} to {min(start + ROWS_A_REQUEST, len(rows)) - 1})" if len(rows) > ROWS_A_REQUEST else ""
        raise UsageError(f"the rows were refused{of}: {said or text.strip() or status}")
    raise MlplatError(f"the endpoint answers with {status}: {said or text.strip() or 'nothing more'}")
