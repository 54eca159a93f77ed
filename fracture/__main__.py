"""Entry point of `fracture` and of `python -m fracture`."""

import sys

from ._packages import explain
from ._signals import interruptible


def main() -> None:
    """Run the command line; where a package of an extra is missing, one line says so."""
    with interruptible():  # before JAX is imported, which takes a second
        try:
            from .cli import main as run

            run()
        except ModuleNotFoundError as error:
            sys.stderr.write(f"fracture: error: {explain(error)}\n")
            sys.exit(2)


if __name__ == "__main__":
    main()
