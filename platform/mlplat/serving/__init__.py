"""The model server: one process serves one model of one endpoint's revision.

`model.py` loads a bundle and answers rows; a project's gate judges with it as well. `engines.py` knows the formats,
`columns.py` checks what comes in, `tabulated.py` makes pipelines quick. `protocol.py`, `app.py`, `lane.py`,
`metrics.py` and `predictionlog.py` are the server around it, and `server.py` starts and stops it.
"""
