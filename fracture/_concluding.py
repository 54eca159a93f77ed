"""What reads stored results, which anyone may have changed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

_WRONG = LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError


@contextlib.contextmanager
def concluding(path: Path) -> Iterator[None]:
    """Name the file whose contents are not what conclusions are drawn from.

    Whoever changed it may have left out a variable, or made a number of a text.
    """
    try:
        yield
    except _WRONG as error:
        raise ValueError(
            f"{path} does not hold what this version stores ({type(error).__name__}: {error})."
        ) from error
