"""The gate: what a model must show before it may be registered.

A challenger is judged on rows that neither it nor the champion has learned from; both are scored on exactly those rows,
by the code that will serve them. Rules of quality compare intervals with limits, not single numbers: equal models never
score equally. The gap of calibration is the one number, since it moves with the base rate of the season.
"""

from mlplat.runtime.gate.comparison import Seeds
from mlplat.runtime.gate.looks import Look
from mlplat.runtime.gate.rule import Rule
from mlplat.runtime.gate.verdict import Holdout, Verdict, format_rule, judge

__all__ = ["Holdout", "Look", "Rule", "Seeds", "Verdict", "format_rule", "judge"]
