from __future__ import annotations

from dataclasses import replace

import pytest

from mlplat.contracts import Connection
from mlplat.errors import MlplatError

MADE = Connection("mlplat", "local", "local", "http://127.0.0.1:5000", "http://127.0.0.1:8080", "sqlite:////x/e.db")


def test_a_connection_is_found_as_it_was_written() -> None:
    assert not MADE.is_written()
    assert MADE.write()
    assert MADE.is_written()
    assert not MADE.write()
    assert Connection.read("mlplat", "local") == MADE


def test_an_unknown_platform_says_how_to_stand_it_up() -> None:
    with pytest.raises(MlplatError, match="no platform `other`") as caught:
        Connection.read("other", "dev")
    assert "mlplat up -s dev" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no connection document"),
        ('{"version": 2, "mlplat": "9"}', "written by mlplat 9"),
        ('{"version": 1}', "missing"),
    ],
)
def test_a_document_that_does_not_hold_is_refused(text: str, said: str) -> None:
    MADE.write()
    Connection.path("mlplat", "local").write_text(text)
    with pytest.raises(MlplatError, match=said):
        Connection.read("mlplat", "local")


def test_namespaces_are_written_where_there_are_some_and_older_documents_are_read() -> None:
    assert "namespaces" not in MADE.document()
    MADE.write()
    assert Connection.read("mlplat", "local").namespaces == {}
    placed = replace(MADE, stack="staging", target="kubernetes", namespaces={"flights": "aviation"})
    placed.write()
    assert Connection.read("mlplat", "staging") == placed


def test_a_connection_without_a_feature_server_is_as_older_versions_read_it() -> None:
    assert "features" not in MADE.document()
    served = replace(MADE, features="http://127.0.0.1:6566")
    served.write()
    assert Connection.read("mlplat", "local") == served
