"""The command line: one file a family of commands."""

from gateway.cli.main import main

__all__ = ["main"]
