"""Entry point of `fracture` and of `python -m fracture`."""

import sys

from ._signals import interruptible


def main() -> None:
    """Run the command line; without its packages, which are an extra, one line says so."""
    with interruptible():  # before JAX is imported, which takes a second
        try:
            from .cli import main as run

            run()
        except ModuleNotFoundError as error:
            sys.stderr.write(
                f"fracture: error: no module {error.name!r}: the command line needs the extra: "
                "pip install 'fracture-jax[cli]'\n"
            )
            sys.exit(2)


if __name__ == "__main__":
    main()
