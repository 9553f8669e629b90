from __future__ import annotations

from pathlib import Path

import pytest

from mlplat.controller import stores
from mlplat.controller.store import SqliteStore
from mlplat.controller.stores import Entry
from mlplat.errors import StateError


@pytest.mark.parametrize(
    "entry",
    [
        Entry("staging"),
        Entry(None),
        Entry("arn:aws:eks:eu-west-1:111122223333:cluster/acme"),
        Entry("ada@home?x=1&y", "/home/ada/kube configs/one & two.yaml"),
    ],
)
def test_an_address_gives_back_the_way_in_that_it_was_made_of(entry: Entry) -> None:
    assert stores.entry(entry.address()) == entry


def test_a_file_is_no_cluster(tmp_path: Path) -> None:
    assert stores.entry(f"sqlite:///{tmp_path}/e.db") is None
    SqliteStore(tmp_path / "e.db").close()
    with stores.opened(f"sqlite:///{tmp_path}/e.db", {}) as store:
        assert store.endpoints() == []


def test_an_address_of_neither_kind_is_refused_with_how_one_is_written() -> None:
    with pytest.raises(StateError) as caught, stores.opened("postgres://x", {}):
        pass
    assert "kubernetes:<context>" in str(caught.value.hint)
