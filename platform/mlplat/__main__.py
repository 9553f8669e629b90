"""The way into the command line: the command `mlplat`, and `python -m mlplat`."""

from __future__ import annotations

import signal


def main() -> None:
    """Import the command line and run it, as `mlplat.cli.main` does."""
    # Nothing is begun yet, so a Ctrl-C ends this process as it ends `cat`: half an import is nothing to show.
    early = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if early:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlplat import cli

    if early:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
