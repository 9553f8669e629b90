from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from mlplat.runtime import plots, reliability

SVG = "{http://www.w3.org/2000/svg}"


def pictures() -> dict[str, str]:
    source = np.random.default_rng(2)
    scores = source.random(3000)
    labels = (source.random(3000) < scores).astype(float)
    bins = reliability.bins(labels, scores, np.arange(3000) % 30, 0.95)
    return plots.of_scores(labels, scores, bins, 0.4) | plots.of_values(labels * 3, scores * 3)


def importance(*names: str) -> dict[str, Any]:
    columns = [
        {"name": name, "columns": [name], "value": 0.1 / (1 + place), "low": 0.0, "high": 0.2}
        for place, name in enumerate(names)
    ]
    return {"unit": "worth", "columns": columns, "groups": []}


@pytest.fixture(scope="module", name="shown")
def shown_() -> dict[str, str]:
    return pictures()


def test_the_same_numbers_give_the_same_bytes(shown: dict[str, str]) -> None:
    assert set(shown) == {"roc", "precision-recall", "reliability", "scores", "predicted", "errors"}
    assert pictures() == shown


def test_no_two_pictures_of_a_page_share_an_id(shown: dict[str, str]) -> None:
    ids = [
        each.get("id")
        for svg in shown.values()
        for each in ET.fromstring(svg).iter()  # noqa: S314 - our own
        if each.get("id") and each.tag in (f"{SVG}clipPath", f"{SVG}path", f"{SVG}marker")
    ]
    assert ids
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a & b", "$x_1$", r"\frac{", "wind_speed", "ß 風"])
def test_a_name_is_shown_as_it_is_written(name: str) -> None:
    svg = plots.of_importance(importance(name, "other"))["importance"]
    texts = ["".join(each.itertext()).strip() for each in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314
    assert name in texts
    assert "<script" not in svg


def test_only_the_most_important_columns_are_pictured() -> None:
    svg = plots.of_importance(importance(*(f"column-{number}" for number in range(40))))["importance"]
    assert "column-14" in svg
    assert "column-15" not in svg
    assert plots.of_importance(importance()) == {}


def test_a_themed_picture_takes_all_its_colours_from_the_page(shown: dict[str, str]) -> None:
    for svg in shown.values():
        themed = plots.themed(svg)
        assert themed.startswith("<svg")
        assert not any(colour in themed for colour in (plots.INK, plots.MAIN, plots.SOFT))
        assert "var(--main)" in themed
