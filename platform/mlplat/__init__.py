"""mlplat: stand a machine-learning platform up and run a project's whole life on it, from one spec."""

__version__ = "0.1.0"
