"""Whoever is woken finds the alert on its page."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import watchspecs
from mlplat.watching import catalogue
from mlplat.watching.rule import PAGE, anchor

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    found = importlib.util.spec_from_file_location("docs_watching", ROOT / "docs" / "watching.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_alert_s_link_leads_to_its_heading() -> None:
    text = generator().pages()[PAGE]
    headings = {anchor(heading) for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    linked = {
        alert.document(None)["annotations"]["runbook_url"].partition("#")[2]
        for spec in watchspecs.both().values()
        for alert in catalogue.alerts(spec)
    }
    assert linked <= headings
    assert "{{" not in text, "a template is for Prometheus, not for readers"
