from __future__ import annotations

from typing import Any

from mlplat.runs import result

RULES = [
    {"name": "auc floor", "passed": True, "required": 0.65, "measured": 0.7213, "detail": ""},
    {"name": "no worse than champion", "passed": False, "required": -0.01, "measured": -0.0321, "detail": "by day"},
]
REPORT: dict[str, Any] = {
    "passed": False,
    "rules": RULES,
    "champion": {"version": "1", "digest": "sha256:0"},
    "holdout": {"start": "2013-06-01", "end": "2013-06-29", "rows": 25000, "hash": "x", "uses": 1},
}


def test_a_refusal_is_written_with_every_rule_and_the_missing_measure() -> None:
    told = result.describe({"status": "refused", "model": "flights/late", "message": "it is worse", "gate": REPORT})
    assert told == [
        "refused flights/late: it is worse",
        "",
        "gate: refused, 1 of 2 rules, on 25,000 rows from 2013-06-01 to 2013-06-29",
        "  against version 1",
        "  passed  auc floor: 0.7213, required 0.65",
        "  FAILED  no worse than champion: -0.0321, required -0.01, off by 0.0221 (by day)",
    ]


def test_how_a_model_is_served_is_said_with_the_reason() -> None:
    served = {"format": "skops", "reason": "`sklearn.svm._classes.SVC` has no exact form"}
    told = result.describe({"status": "registered", "model": "flights/late", "version": "2", "served": served})
    assert told[-1] == "served as skops: `sklearn.svm._classes.SVC` has no exact form"


def test_a_registered_model_is_named_with_its_version_digest_and_intervals() -> None:
    metrics = {
        "auc": {"value": 0.72134, "interval": [0.70, 0.74]},
        "log_loss": {"value": 0.5, "low": 0.4, "high": 0.6},
        "rows": 5,
    }
    told = result.describe(
        {
            "status": "registered",
            "model": "flights/late",
            "version": "2",
            "digest": "sha256:" + "ab" * 32,
            "metrics": metrics,
        }
    )
    assert told == [
        "registered flights/late version 2  sha256:abababababab",
        "",
        "metrics",
        "  auc                  0.7213  [0.7, 0.74]",
        "  log_loss             0.5  [0.4, 0.6]",
        "  rows                 5",
    ]


def test_the_first_model_is_judged_against_its_baseline() -> None:
    assert result.describe_gate({**REPORT, "champion": None, "passed": True, "holdout": None})[:2] == [
        "gate: passed, 1 of 2 rules",
        "  against its baseline: there is no champion yet",
    ]


def test_a_further_look_at_the_same_rows_is_said_with_what_it_needs_and_what_came_before() -> None:
    ledger = [{"at": f"2013-07-0{day}T08:00:00.000+00:00", "verdict": "refused"} for day in (1, 2, 3, 4)]
    holdout = {**REPORT["holdout"], "uses": 6, "look": 5, "confidence": 0.998, "ledger": ledger}
    told = result.describe_gate({**REPORT, "holdout": holdout})
    assert told[2] == (
        "  model 5 that these rows judge, at 0.998 confidence; before it: "
        "refused 2013-07-02, refused 2013-07-03, refused 2013-07-04"
    )
    assert len(told) == 1 + len(result.describe_gate(REPORT))


def test_a_logged_value_and_its_ends_are_one_metric() -> None:
    logged = {"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "rows_low": 1.0}
    assert result.with_intervals(logged) == {"auc": {"value": 0.7, "low": 0.6, "high": 0.8}, "rows_low": 1.0}


def test_a_rule_that_the_message_names_is_not_told_twice() -> None:
    assert result.failed_rules({"message": "no worse than champion: by day", "gate": REPORT}) == []


def test_a_rule_may_be_written_in_words() -> None:
    rule = {"name": "floor", "passed": True, "required": "above 0.5", "measured": "0.7 [0.6, 0.8]", "detail": "d"}
    assert result.describe_rule(rule) == "floor: 0.7 [0.6, 0.8], required above 0.5"
    assert result.describe_rule({**rule, "passed": False}) == "floor: 0.7 [0.6, 0.8], required above 0.5 (d)"


def test_only_broken_rules_refuse() -> None:
    assert len(result.failed_rules({"gate": REPORT})) == 1
    assert result.failed_rules({}) == []
