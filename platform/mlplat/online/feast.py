"""`python -m mlplat.online.feast`: Feast's own command line, whose registry server must not mistake registries."""

from __future__ import annotations

from feast.cli.cli import cli

from mlplat.online import memory


def main() -> None:
    """Run a command of Feast's."""
    memory.forget_addresses()
    cli(prog_name="feast")


if __name__ == "__main__":
    main()
