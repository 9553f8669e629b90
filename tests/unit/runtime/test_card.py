from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mlplat.bundle import Column, Contract
from mlplat.runtime import card
from mlplat.runtime.metrics import Interval
from mlplat.runtime.reliability import Bin
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
EVIL = '<script>alert("1")</script>|`*[x](javascript:alert(1))'
MEASURED = {"value": 0.71, "low": 0.65, "high": 0.76}
REPORT: dict[str, Any] = {
    "version": 2,
    "passed": False,
    "rules": [
        {"name": "auc_floor", "passed": True, "required": "above 0.55", "measured": "0.71", "detail": "fine"},
        {"name": "odd_rule", "passed": False, "required": EVIL, "measured": EVIL, "detail": f"refused: {EVIL}"},
    ],
    "metrics": {"auc": MEASURED},
    "champion_metrics": {"auc": {"value": 0.61, "low": 0.55, "high": 0.66}},
    "champion": {"version": "7", "digest": "sha256:1"},
    "slices": [{"column": "origin", "value": EVIL, "difference": MEASURED}],
    "groups": {"sex": {"f": {"rows": 31, "rate": 0.5}, "m": {"rows": 32, "rate": None}}},
    "never_heard_of": {"plain": 12, "deep": {"deeper": {"list": [1, 2]}}},
    "holdout": {"rows": 400, "ledger": []},
}


@pytest.fixture
def run(make_spec: MakeSpec) -> card.Run:
    columns = (Column(name=EVIL, type="string", nullable=True), Column(name="wind_speed", type="double"))
    contract = Contract(
        project="tests", model="late", task="binary", columns=columns, classes=("no", EVIL), threshold=0.25
    )
    worth = {"name": EVIL, "columns": [EVIL], "value": 0.1, "low": 0.0, "high": 0.2}
    explained = {"method": "permutation", "unit": "loss", "rows": 5, "of": 9, "columns": [worth], "groups": []}
    return card.Run(
        spec=make_spec(),
        contract=contract,
        digest="sha256:abc",
        report=REPORT,
        split={"how": "by time", "rows": {"train": 1234, "holdout": 400}},
        explained={**explained, "slices": [{"column": EVIL, "value": "v", "rows": 5, "left_out": "few"}]},
        settings={"trees": 150, EVIL: EVIL},
        lineage={"commit": "c0ffee", "reason": EVIL, "nothing": ""},
        fitted={"trials": 3, "dropped": [{"column": EVIL, "why": "constant"}]},
        bins=[Bin(40, 0.5, Interval(0.45, 0.4, 0.5))],
        pictures={"roc": f"<?xml?><svg><text>{'&lt;script&gt;'}</text></svg>"},
    )


class Page(HTMLParser):
    """What an HTML page holds: its elements, what they fetch, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: set[str] = set()
        self.fetched: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.fetched += [value or "" for name, value in attrs if name in {"src", "href", "onload", "onerror"}]
        if tag not in {"meta", "br", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_tells_everything_and_runs_and_fetches_nothing(run: card.Run) -> None:
    text = card.html(run)
    page = Page(text)
    assert page.open == []
    assert "script" not in page.elements
    assert page.fetched == []
    assert "@import" not in text
    assert "url(" not in text
    shown = " ".join(page.text.split())
    for fact in ("refused by the gate", "sha256:abc", "1,234", "0.71 [0.65, 0.76]", "0.61 [0.55, 0.66]", "c0ffee"):
        assert fact in shown
    for fact in ("odd rule", f"refused: {EVIL}", "never heard of", "champion, version 7", "wind_speed", "ledger"):
        assert (fact.casefold() in shown.casefold()) == (fact != "ledger")  # which is empty
    assert "nothing c0ffee" not in shown


def test_the_same_card_as_markdown_holds_the_same_and_no_html(run: card.Run) -> None:
    from markdown_it import MarkdownIt

    text = card.markdown(run)
    page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    assert "script" not in page.elements
    assert page.fetched == []
    shown = " ".join(page.text.split())
    for fact in (EVIL, f"odd rule: refused: {EVIL}", "0.71 [0.65, 0.76]", "c0ffee", "wind_speed", "sha256:abc"):
        assert fact in shown
    assert "\n\n\n" not in text


def test_what_the_team_has_written_is_rendered_and_cannot_break_out(run: card.Run, tmp_path: Path) -> None:
    (tmp_path / card.ABOUT).write_text(
        "Asks *whom*.<!-- a note -->\n\n<img src=x onerror=alert(1)>\n\n[click](javascript:alert(1))\n\n"
        "| a |\n|---|\n| b |\n"
    )
    written = replace(run, about=card.about(tmp_path))
    page = Page(card.html(written))
    assert {"em", "table"} <= page.elements
    assert "img" not in page.elements
    assert page.fetched == []
    assert "a note" not in page.text
    assert "The team has written nothing down" not in page.text
    assert "Asks *whom*." in card.markdown(written)


def test_a_project_that_says_nothing_is_told_where_to(run: card.Run, tmp_path: Path) -> None:
    assert card.about(tmp_path) == ""
    assert "`card.md` in the project" in card.markdown(run)


def test_a_report_of_any_form_becomes_tables_that_hold_all_of_it() -> None:
    report = json.loads(json.dumps({key: REPORT[key] for key in ("slices", "groups", "never_heard_of", "holdout")}))
    found = {table.title: table for table in card.parts(report)}
    assert found["Slices"].head == ("column", "value", "difference")
    assert found["Slices"].rows[0][2] == "0.71  [0.65, 0.76]"
    assert found["Groups: sex"].rows == (("f", "31", "0.5"), ("m", "32", "-"))
    assert found["Never heard of"].rows == (("plain", "12"),)
    assert found["Never heard of: deep"].rows == (("deeper", "1, 2"),)
    assert found["Holdout"].rows == (("rows", "400"),)


def test_a_hold_out_too_small_to_measure_has_a_card_as_well(run: card.Run) -> None:
    small = replace(
        run,
        report={**REPORT, "metrics": {}, "champion_metrics": None, "champion": None},
        explained={"left_out": "3 days or groups, and 10 are needed"},
        bins=[],
        pictures={},
    )
    for text in (card.html(small), card.markdown(small)):
        assert "too small to measure" in text
        assert "Not explained: 3 days" in text
