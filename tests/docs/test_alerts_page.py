"""Whoever is woken finds the alert on its page."""

from __future__ import annotations

import re

import docspages
import watchspecs
from mlplat.watching import catalogue
from mlplat.watching.rule import PAGE, anchor


def test_every_alert_s_link_leads_to_its_heading() -> None:
    text = docspages.script("watching").pages()[PAGE]
    headings = {anchor(heading) for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    linked = {
        alert.document(None)["annotations"]["runbook_url"].partition("#")[2]
        for spec in watchspecs.both().values()
        for alert in catalogue.alerts(spec)
    }
    assert linked <= headings
    assert "{{" not in text, "a template is for Prometheus, not for readers"
