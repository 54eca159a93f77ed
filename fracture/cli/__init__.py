"""The command line: `fracture sweep`, `reproduce`, `analyze` and `report`."""

from ._main import cli, main

__all__ = ["cli", "main"]
