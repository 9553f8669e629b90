"""What is said where the data of a cluster's project cannot be found, or not all of them."""

from __future__ import annotations

import base64
from contextlib import nullcontext
from typing import Any, Never, cast

import pytest

from mlplat.cli import dataplaces
from mlplat.cli.dataplaces import Log, There
from mlplat.cluster import Cluster
from mlplat.errors import NotReadyError, RefusedError
from mlplat.manifests.flows import Terms

TERMS = Terms(platform="acme", tracking="t", root="r", region="eu-west-1", base="b", processors="p")


class Secrets:
    """A cluster that answers one question."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def get(self, *_: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "key", "said"),
    [
        ({"data": {"key": base64.b64encode(b"k" * 32).decode()}}, b"k" * 32, []),
        (None, None, []),
        (RefusedError("you may not"), None, ["hashed columns of the prediction log: you may not"]),
    ],
)
def test_a_log_whose_key_may_not_be_read_is_looked_into_and_the_rest_is_said(
    answer: Any, key: bytes | None, said: list[str]
) -> None:
    unreached: list[str] = []
    there = There(cast("Cluster", Secrets(answer)), "growth", {}, "s3://data/growth/predictions")
    assert there.log(unreached) == Log("s3://data/growth/predictions", key)
    assert unreached == said


def test_a_feature_server_that_cannot_be_reached_is_said_and_one_that_is_not_there_is_not() -> None:
    def forwarded() -> Never:
        raise NotReadyError("nothing answers for it")

    unreached: list[str] = []
    with There(cast("Cluster", None), "growth", {}, "").features(unreached) as found:
        assert (found, unreached) == (None, [])
    with There(cast("Cluster", None), "growth", {}, "", forwarded).features(unreached) as found:
        assert (found, unreached) == (None, ["the online store: nothing answers for it"])
    with (
        pytest.raises(RefusedError, match="of the one who asks"),
        There(cast("Cluster", None), "growth", {}, "", lambda: nullcontext("http://here")).features(unreached) as found,
    ):
        raise RefusedError(f"of the one who asks {found}")
    assert len(unreached) == 1


def test_a_platform_of_before_does_not_say_where_and_is_not_guessed() -> None:
    with pytest.raises(NotReadyError, match="does not say where its projects keep their data"):
        dataplaces._known(TERMS, "staging")
    known = TERMS.model_copy(update={"data": "s3://data/growth"})
    assert dataplaces._known(known, "staging") == "s3://data/growth/predictions"
