"""Where a project's rows come from, and what becomes of those that do not hold to the schema."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from mlplat.spec.base import Spec

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _variable(name: str) -> str:
    # Not shown: what stands here in the place of a name may be a password.
    if not _VARIABLE.fullmatch(name):
        raise ValueError("is no name of a variable: the address itself, with its password, stays out of this file")
    return name


def _no_address(source: str) -> str:
    scheme, found, _ = source.partition("://")
    if found and scheme != "s3":
        raise ValueError(
            "is an address, which may hold a password: put it into a variable, and name that one as "
            "`source: {sql: {url_env: NAME, query: …}}`"
        )
    return source


class SqlSpec(Spec):
    """Rows of a database."""

    url_env: Annotated[str, AfterValidator(_variable)] = Field(
        description="Name of the environment variable with the database's address, as SQLAlchemy writes it "
        "(`postgresql+psycopg://user:password@host/name`, `sqlite:///file`, `duckdb:///file`)."
    )
    query: Annotated[str, Field(min_length=1)] = Field(description="A SELECT; its rows are the table.")
    watermark: str | None = Field(
        None,
        description="Column of the result that never falls as rows are added, such as a time of writing: only rows "
        "from its last value on are asked for again. Unset, every run asks for all rows.",
    )


class DatabaseSource(Spec):
    """A database as a source."""

    sql: SqlSpec = Field(description="Rows of a database.")


def _kind(source: Any) -> str:
    return "source[path]" if isinstance(source, str) else "source[database]"


# Told apart by their form, so that a mistake is told of the one that was meant; the tags are no part of a key's path.
Source = Annotated[
    Annotated[str, AfterValidator(_no_address), Tag("source[path]")]
    | Annotated[DatabaseSource, Tag("source[database]")],
    Discriminator(_kind),
]


class BadRowsSpec(Spec):
    """What becomes of rows that do not hold to the schema in `data.py`."""

    policy: Literal["refuse", "quarantine"] = Field(
        "refuse",
        description="`refuse` ends the run; `quarantine` sets such rows aside, with the reason, and goes on without.",
    )
    max_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.01, description="With `quarantine`: largest share of the rows; where more are bad, the run ends all the same."
    )
