"""What becomes of a model after it was trained: its inputs against those it learned from, and how right it still is.

`profile` is made at training and kept with the version; `checks` and `performance` judge windows of what was asked
since; `monitor` does both for an endpoint and writes the report down. Nothing here acts: a verdict is for the
controller and for people.
"""
