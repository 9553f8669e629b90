"""Charts of others that the platform needs, each with the values that matter and the reason for them.

A module says what one group of `kubernetes.addons` installs, as values; `component` declares them.
"""
