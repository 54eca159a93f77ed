"""When, by which command and with which version of this code a result was made."""

import importlib.metadata
import json
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from . import __version__


def occasion() -> dict[str, str]:
    """For people who want to repeat a result of the command line; no part of what identifies it."""
    entries = {
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["fracture", *sys.argv[1:]]),
        "version": __version__,
    }
    known = _installed_commit() or _checked_out_commit(Path(__file__).parent)
    return entries | ({"commit": known} if known else {})


def _installed_commit() -> str:
    """What pip wrote down when it installed the package from a repository; empty otherwise."""
    try:
        told = importlib.metadata.distribution("fracture-jax").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return ""
    return str(json.loads(told or "{}").get("vcs_info", {}).get("commit_id", ""))


def _checked_out_commit(package: Path) -> str:
    """The commit of a checkout, with a mark where files of the package differ from it.

    Empty where there is no git, or it does not track these files: a package that is installed
    somewhere within another repository is none of that one's commits.
    """

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(package), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return ""
    head, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--", ".")
    return f"{head}{' and changes' * bool(changed)}" if head else ""
