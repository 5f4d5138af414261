"""What killed programs and set clocks leave is put right, and nothing else is touched."""

import fcntl
import os
import subprocess
import time
from pathlib import Path

import pytest

from eventspeech import cli, disk, mending
from eventspeech.errors import UserError

WHOLE = "schema: '2.0'\nstages:\n  download:\n    cmd: eventspeech download\n"


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / "data" / "spikes").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(WHOLE)
    (tmp_path / ".dvc" / "tmp" / "rwlock").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_where_nothing_is_broken_nothing_is_done(study, capsys):
    before = sorted(study.rglob("*"))
    assert cli.main(["mend"]) == 0
    assert capsys.readouterr().out == "mend: there is nothing to put right in this folder.\n"
    assert sorted(study.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [("dvc.lock", ""), ("dvc.lock", WHOLE[:20]), ("dvc.lock", WHOLE + "    deps:\n    - pa"), (".dvc/tmp/rwlock", "")],
)
def test_what_dvc_was_killed_while_writing_is_removed(study, capsys, name, content):
    (study / name).write_text(content)
    assert cli.main(["mend"]) == 0
    assert capsys.readouterr().out == (
        f"mend: {name} was half written and is removed; `dvc repro` makes it anew, without computing.\n"
    )
    assert not (study / name).exists()


def test_while_dvc_is_at_work_its_files_stay(study, capsys):
    (study / "dvc.lock").write_text("")
    with (study / ".dvc" / "tmp" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert cli.main(["mend"]) == 2
        assert "DVC is at work in this folder" in capsys.readouterr().err
    assert (study / "dvc.lock").exists()
    assert cli.main(["mend"]) == 0


def part(path: Path, pid: int, host: str = disk._HOST, suffix: str = "part") -> Path:
    return path.with_name(f".{path.name}.{host}-{pid}-01234567.{suffix}")


def test_halves_of_dead_jobs_are_removed_and_of_living_ones_not(study):
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    store = study / "data" / "spikes" / "train.npz"
    dead, folder = part(store, ended.pid), part(study / "data" / "raw", ended.pid)
    kept = [part(store, os.getpid()), part(store, ended.pid, "elsewhere"), study / "data" / "spikes" / "notes.part"]
    kept.append(part(study / "data" / "lost.npz", ended.pid, suffix="old"))  # the only copy there is
    for path in (dead, *kept):
        path.touch()
    folder.mkdir()
    (folder / "speech").touch()
    assert mending.mend(study) == ["2 half-written files or folders of killed jobs are removed."]
    assert not dead.exists() and not folder.exists() and all(path.exists() for path in kept)


def test_files_of_the_future_get_the_present_and_others_keep_their_time(study):
    ahead, past = time.time() + 2 * 86400, time.time() - 86400
    spikes, told = study / "data" / "spikes" / "train.npz", study / "data" / "spikes" / "train.json"
    for path, at in ((spikes, ahead), (told, past)):
        path.touch()
        os.utime(path, (at, at))
    (sentence,) = mending.bring_back_times(study)
    assert sentence.startswith("the clock was set back: 1 files came from the future")
    assert abs(spikes.stat().st_mtime - time.time()) < 60 and told.stat().st_mtime == pytest.approx(past)
    assert mending.bring_back_times(study) == []


def test_a_clock_a_second_off_is_none_that_was_set(study):
    spikes = study / "data" / "spikes" / "train.npz"
    spikes.touch()
    os.utime(spikes, (time.time() + 1, time.time() + 1))
    assert mending.bring_back_times(study) == []


def test_dvc_alone_decides_what_a_lock_file_is(study, monkeypatch):
    monkeypatch.setattr(mending, "_is_yaml_lock", lambda path: False)
    (study / ".dvc" / "tmp" / "rwlock.lock").touch()
    assert len(mending.mend(study)) == 1
    with pytest.raises(UserError, match="DVC is at work"), (study / ".dvc" / "tmp" / "rwlock.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (study / "dvc.lock").touch()
        mending.mend(study)
