"""Packages that an extra brings: which, where their files are, and what to say without them."""

import importlib.util
from pathlib import Path

_COMMAND_LINE = {
    *("click", "filelock", "h5netcdf", "h5py", "jinja2", "matplotlib", "platformdirs", "rich"),
    *("scipy", "xarray"),
}


def folder_of(package: str, holds: str) -> Path:
    """The folder of an installed package, nothing of which is run.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed; `holds` says what it would have been read for.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise missing(package.replace("_", "-"), "imagenet", f"{holds} are in it")
    return Path(spec.origin).parent


def missing(package: str, extra: str, reason: str) -> ModuleNotFoundError:
    """What to raise where a package of an extra is not installed."""
    return ModuleNotFoundError(
        f'the package {package} is not installed ({reason}): pip install ".[{extra}]"'
    )


def explain(error: ModuleNotFoundError) -> str:
    """The missing package and what to install, for whichever import failed."""
    if error.name is None:  # of `missing`
        return str(error)
    package = error.name.partition(".")[0]
    if package in _COMMAND_LINE:
        return str(missing(package, "cli", "the command line needs it"))
    return f"the package {package} is not installed: pip install ."
