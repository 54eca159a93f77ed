"""Which code made a result: what git says about these files, and about no others."""

import subprocess

import pytest

from fracture import _occasion


@pytest.mark.fast
def test_the_commit_is_that_of_the_package_or_none(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    package, installed = tmp_path / "package", tmp_path / "venv" / "package"
    for folder in (package, installed):
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
    assert _occasion._checked_out_commit(package) == ""
    git("init")
    git("add", "package")
    git("commit", "-m", "first")
    head = git("rev-parse", "HEAD")
    assert _occasion._checked_out_commit(package) == head
    (package / "__init__.py").write_text("changed = True")
    assert _occasion._checked_out_commit(package) == f"{head} and changes"
    assert _occasion._checked_out_commit(installed) == ""  # within, but none of, the repository


def test_an_occasion_can_be_repeated(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/fracture", "sweep", "--out", "a folder"])
    assert _occasion.occasion()["command"] == "fracture sweep --out 'a folder'"
