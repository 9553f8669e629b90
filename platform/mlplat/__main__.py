"""Run the command line as `python -m mlplat`."""

from mlplat.cli import main

main()
