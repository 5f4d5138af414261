"""`eventspeech init`, out of a checkout and out of a wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import wheel

from eventspeech import init, presets
from eventspeech.errors import UserError

ROOT = Path(__file__).parents[1]


def tree(folder: Path) -> dict[str, bytes]:
    """Return what lies in ``folder`` but for git's own files: path to content."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".git/")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a folder with the package as a wheel brings it."""
    return wheel.build(ROOT, tmp_path_factory.mktemp("wheel") / "built")


def run(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess:
    """Run a command that imports the package out of the wheel, with no access to the checkout."""
    environment = os.environ | {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(folder / ".cache")}
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True)


def test_lays_out_the_repositorys_own_files(tmp_path):
    init.init(tmp_path / "new" / "study")
    found = tree(tmp_path / "new" / "study")
    assert found.pop("params.yaml").decode() == presets.text("default")
    assert {"workflow/Snakefile", "dvc.yaml", ".dvc/config", ".gitignore", "reports/README.md"} < set(found)
    assert "config/params.schema.json" in found, "by which editors complete and check params.yaml"
    assert found == {name: (ROOT / name).read_bytes() for name in found}
    assert not (tmp_path / "new" / "study").is_symlink() and os.listdir(tmp_path / "new") == ["study"]


def test_a_wheel_carries_the_same_files(installed, tmp_path):
    assert tree(installed / "eventspeech" / "study") == {
        path.as_posix(): source.read_bytes() for path, source in init.sources().items()
    }
    for command in (["init", "one"], ["init", "--preset", "thesis", "two"]):
        done = run(installed, tmp_path, "eventspeech.cli", *command)
        assert done.returncode == 0, done.stderr
    init.init(tmp_path / "three")
    init.init(tmp_path / "four", "thesis")
    assert tree(tmp_path / "one") == tree(tmp_path / "three")
    assert tree(tmp_path / "two") == tree(tmp_path / "four") != tree(tmp_path / "one")


def test_a_source_distribution_gives_the_same_wheel(installed, tmp_path):
    again = wheel.build(wheel.source_distribution(tmp_path / "source"), tmp_path / "again")
    assert tree(again / "eventspeech") == tree(installed / "eventspeech")


def test_a_study_of_a_wheel_is_run_by_both_tools(installed, tmp_path):
    # what a study is called never matters: braces are Snakemake's wildcards, the others mean something to a shell
    study = tmp_path / 'it\'s {loss} & ${HOME} #1 ünï "数" [x]'
    assert run(installed, tmp_path, "eventspeech.cli", "init", study.name).returncode == 0
    done = run(installed, study, "snakemake", "-n")
    assert done.returncode == 0 and "reports/study.html" in done.stdout, done.stdout + done.stderr
    done = run(installed, study, "dvc", "dag", "--dot")
    assert done.returncode == 0 and "report" in done.stdout, done.stderr


def test_a_wheel_has_its_presets(installed, tmp_path):
    done = run(installed, tmp_path, "eventspeech.cli", "preset", "thesis")
    assert done.stdout == presets.text("thesis")


@pytest.mark.parametrize("count", [1, 7])
def test_a_folder_that_is_not_empty_is_refused(tmp_path, count):
    for number in range(count):
        (tmp_path / f"notes-{number}.txt").write_text("mine")
    with pytest.raises(UserError, match=r"not empty .*notes-0\.txt") as caught:
        init.init(tmp_path)
    assert ("and 2 more" in str(caught.value)) == (count == 7)
    assert len(list(tmp_path.iterdir())) == count


def test_a_repository_or_environment_may_be_there(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".venv").mkdir()
    init.init(tmp_path)
    assert (tmp_path / "workflow" / "Snakefile").is_file()
    with pytest.raises(UserError, match="not empty"):
        init.init(tmp_path)


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "study").write_text("")
    with pytest.raises(UserError, match="study cannot be written"):
        init.init(tmp_path / "study")


def test_an_unknown_preset_makes_nothing(tmp_path):
    with pytest.raises(UserError, match="no preset 'nope'; choose from default"):
        init.init(tmp_path / "study", "nope")
    assert not (tmp_path / "study").exists()


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match="No room left"):
        init.init(tmp_path / "study")
    assert list((tmp_path / "study").iterdir()) == []


def test_dvc_has_its_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    init.init(tmp_path / "own")
    assert (tmp_path / "own" / ".git").is_dir()
    init.init(tmp_path / "own" / "inner")
    assert not (tmp_path / "own" / "inner" / ".git").exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    init.init(tmp_path / "without_git")
    assert "no_scm" in (tmp_path / "without_git" / ".dvc" / "config.local").read_text()
