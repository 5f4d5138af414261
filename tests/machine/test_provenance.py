"""Which code made a result: never the commit of somebody else's repository."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from eventspeech.machine import provenance

PROJECT = '[project]\nname = "eventspeech"\n'


AUTHOR = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", folder, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | AUTHOR).stdout.strip()


def repository(root: Path, package: str = "src/eventspeech", project: str | None = PROJECT) -> Path:
    """Make a repository that tracks a package; return the package's folder."""
    folder = root / package
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    if project is not None:
        (root / "pyproject.toml").write_text(project)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return folder


def test_commit_of_a_checkout(tmp_path):
    package = repository(tmp_path)
    assert provenance.commit(package) == (git(tmp_path, "rev-parse", "HEAD"), False, None)
    (package / "__init__.py").write_text("changed = 1\n")
    assert provenance.commit(package)[1] is True


@pytest.mark.parametrize(
    ("package", "project"),
    [
        ("venv/lib/python3.11/site-packages/eventspeech", None),
        ("vendor/eventspeech/src/eventspeech", PROJECT),
        ("src/eventspeech", '[project]\nname = "another"\n'),
        ("src/eventspeech", "project = 3\n"),
        ("src/eventspeech", None),
    ],
)
def test_another_repository_that_tracks_a_copy_has_no_commit_of_ours(tmp_path, package, project):
    commit, modified, reason = provenance.commit(repository(tmp_path, package, project))
    assert (commit, modified) == (None, None)
    assert "its version says which code ran" in reason


def test_an_untracked_copy_and_no_repository_have_none(tmp_path):
    repository(tmp_path / "other")
    copy = tmp_path / "other" / "venv" / "eventspeech"
    copy.mkdir(parents=True)
    (copy / "__init__.py").write_text("")
    (tmp_path / "alone").mkdir()
    for folder in (copy, tmp_path / "alone"):
        assert provenance.commit(folder)[0] is None


def test_a_hook_of_another_repository_does_not_lend_its_commit(tmp_path, monkeypatch):
    package, other = repository(tmp_path / "ours"), repository(tmp_path / "other", "there")
    monkeypatch.setenv("GIT_DIR", str(other.parent / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.parent))
    found = provenance.commit(package)[0]
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert found == git(tmp_path / "ours", "rev-parse", "HEAD")


def test_a_repository_without_a_commit(tmp_path):
    package = repository(tmp_path)
    shutil.rmtree(tmp_path / ".git")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    assert provenance.commit(package) == (None, None, "the checkout has no commit")


def test_version():
    assert provenance.version("numpy")
    assert provenance.version("no-such-distribution") is None
