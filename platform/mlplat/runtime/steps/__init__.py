"""The steps of a training run, as functions over values: what a flow's steps, and a run in one process, call.

Each step takes what the one before returned; all of it can be pickled, so steps may run on different machines. The
project gives three functions: `load` (raw data), `build` (rows with features) and `make` (an estimator).
"""
