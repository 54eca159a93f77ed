"""Installed packages that are read, not imported."""

import importlib.util
from pathlib import Path


def folder_of(package: str, holds: str) -> Path:
    """The folder of an installed package, nothing of which is run.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed; `holds` says what it would have been read for.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"{holds} are in the package {package.replace('_', '-')}, which is not installed: "
            "pip install fracture-jax[imagenet]."
        )
    return Path(spec.origin).parent
