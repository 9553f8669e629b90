"""Measurements of mlplat on this computer: its model server beside others, and the platform's own times.

`python -m bench` runs them and writes `docs/benchmarks.md` and `docs/benchmarks.json`. Nothing here decides whether a
build is good: a test never times anything.
"""
