"""Files that others wrote: opened only where they are files, and no larger than they say."""

import os
import re
import stat
from io import BufferedReader
from pathlib import Path

_EXPANDED = 2**30, 100  # bytes, and times the size of the file: what a compressed file may become
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading bytes; a pipe or a device would wait, or never end.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is a folder, a pipe, a socket or a device.
    """
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise ValueError(f"{path} is {kind}, wanted a file.")
    return open(path, "rb")


def check_expansion(wanted: int, stored: int) -> None:
    """Raise `ValueError` where `stored` bytes of a file claim to hold far more, `wanted` bytes."""
    least, times = _EXPANDED
    if wanted > max(least, times * stored):
        raise ValueError(f"it claims to hold {wanted:,} bytes in {stored:,}")


def printable(text: str) -> str:
    """Text without characters that steer a terminal or turn around what it shows."""
    return _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", text)
