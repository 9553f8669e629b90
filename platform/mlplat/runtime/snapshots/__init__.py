"""The training sets that a project has learned from: kept, restored, compared, and rid of what must be forgotten.

Everything lies in one place (`place.py`), a folder of the project or a bucket: `snapshots/<hash>/` holds a training
set's record and rows, `quarantine/` rows that were set aside, `erasures/` the tombstones of what was erased.
"""
