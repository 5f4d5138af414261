"""The command line: exit statuses, one line for a user's error, tracebacks in the log, a training end to end."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from support import tiny

from eventspeech import __version__, check_gradients, cli, presets
from eventspeech.data import store
from eventspeech.errors import UserError
from eventspeech.records import model as model_file
from eventspeech.stages import train

STAGES = ("download", "preprocess", "baseline", "train", "evaluate", "compare", "profile", "report")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with parameters and a training split; the commands run there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny.CONTENT), encoding="utf-8")
    (tmp_path / "text.npz").write_text("no arrays")
    store.save(tiny.make_store(), tmp_path / "train.npz", "train")
    return tmp_path


def train_command(*more, loss="exponential", params="params.yaml", spikes="train.npz"):
    return ["train", "--params", params, "--loss", loss, "--seed", "0", "--spikes", spikes, "--weights", "weights.npz",
            "--history", "history.csv", "--summary", "summary.json", "--checkpoint", "last.npz", *more]  # fmt: skip


def pretend(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(train, "train", fail)


def module(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "eventspeech.cli", *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip


def test_training_end_to_end(project, monkeypatch):
    done = module(*train_command("--log", "logs/train.log"), OMP_NUM_THREADS="2")
    assert (done.returncode, done.stdout) == (0, "")
    assert [line.split("  ")[:2] for line in done.stderr.splitlines()] == [
        ["train exponential/0", "48 samples, 16 held out, 8592 weights"],
        ["train exponential/0", "epoch 1/6"],
        ["train exponential/0", "epoch 6/6"],
    ]
    log = (project / "logs" / "train.log").read_text()
    assert "INFO train exponential/0  epoch 6/6" in log and "DEBUG train took" in log
    assert sorted(path.name for path in project.iterdir()) == [
        "history.csv", "last.npz", "logs", "params.yaml", "summary.json", "text.npz", "train.npz", "weights.npz",
    ]  # fmt: skip
    # another process, another number of threads: the same bits
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    paths = train.Outputs(*(project / "again" / name for name in ("weights.npz", "history.csv", "s.json", "l.npz")))
    train.train(tiny.make_params(), "exponential", 0, project / "train.npz", paths)
    assert paths.weights.read_bytes() == (project / "weights.npz").read_bytes()


def test_a_model_goes_from_train_to_evaluate(project, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cli.main(train_command()) == 0
    store.save(tiny.make_store(takes=1), project / "test.npz", "test")
    command = ["evaluate", "--params", "params.yaml", "--model", "weights.npz", "--spikes", "test.npz"]
    for name in ("metrics", "predictions", "confusion", "examples"):
        command += [f"--{name}", f"tested/{name}"]
    assert cli.main(command) == 0
    assert "evaluate exponential/0/held_out  test " in capsys.readouterr().err
    assert len(list((project / "tested").iterdir())) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": "nowhere.yaml"}, "nowhere.yaml does not exist; `eventspeech preset default > nowhere.yaml`"),
        ({"spikes": "nowhere.npz"}, "nowhere.npz does not exist; run the stage that makes it first."),
        ({"spikes": "text.npz"}, "text.npz cannot be read: it is no NPZ file; check the path."),
        ({"spikes": "params.yaml"}, "--params and --spikes both name params.yaml; give each a path of its own."),
        ({"spikes": "."}, ". cannot be read"),
        ({"loss": "bell"}, "There is no loss 'bell' in shape; choose from exponential, gaussian."),
    ],
)
def test_a_users_error_is_one_line_and_status_2(project, capsys, change, message):
    assert cli.main(train_command("--log", "train.log", **change)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"eventspeech train: {message}")
    assert said.err.count("\n") == 1
    if not message.startswith("--"):  # before the log is opened
        log = (project / "train.log").read_text()
        assert message in log and "Traceback" in log


def test_every_problem_of_a_parameter_file_is_on_the_one_line(project, capsys):
    content = tiny.CONTENT | {"train": {"epochs": 0, "speed": 3}}
    (project / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert cli.main(train_command()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "train.epochs = 0 is not valid" in said and "unknown key train.speed" in said


@pytest.mark.parametrize("log", ["params.yaml/train.log", "folder"])
def test_a_log_that_cannot_be_written_is_one_line(project, capsys, log):
    (project / "folder").mkdir()
    assert cli.main(train_command("--log", log)) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"eventspeech train: {log} cannot be written (") and said.count("\n") == 1
    assert not (project / "weights.npz").exists()


def test_outputs_that_cannot_be_written_are_a_users_error(project, capsys):
    (project / "last.npz").mkdir()
    assert cli.main(train_command()) == 2
    assert "eventspeech train: last.npz cannot be written (" in capsys.readouterr().err


def test_a_fault_is_status_3_and_its_traceback_in_the_log(project, monkeypatch, capsys):
    pretend(monkeypatch, ZeroDivisionError("by zero"))
    assert cli.main(train_command("--log", "train.log")) == 3
    said = capsys.readouterr().err
    assert said == (
        "eventspeech train: fault of this program, please report it (ZeroDivisionError: by zero); "
        "the traceback is in train.log.\n"
    )
    log = (project / "train.log").read_text()
    assert "Traceback (most recent call last)" in log and "in fail\n    raise error" in log


def test_without_a_log_a_faults_traceback_is_shown(project, monkeypatch, capsys):
    pretend(monkeypatch, ZeroDivisionError("by zero"))
    assert cli.main(train_command()) == 3
    said = capsys.readouterr().err
    assert "its traceback follows" in said.splitlines()[0]
    assert "Traceback (most recent call last)" in said and said.rstrip().endswith("ZeroDivisionError: by zero")


def test_an_interruption_is_status_130(project, monkeypatch, capsys):
    pretend(monkeypatch, KeyboardInterrupt())
    assert cli.main(train_command("--log", "train.log")) == 130
    assert capsys.readouterr().err == "eventspeech train: interrupted; run the same command to go on.\n"


def test_a_failed_check_is_status_1(monkeypatch, capsys):
    row = {"case": "x", "exact_vs_differences": 1.0, "passed": False}
    monkeypatch.setattr(check_gradients, "rows", lambda _: [row])
    assert cli.main(["check-gradients", "--engine", "exact"]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_a_closed_pipe_is_no_fault(monkeypatch, capsys):
    def closed(_):
        raise BrokenPipeError

    monkeypatch.setattr(presets, "text", closed)
    assert cli.main(["preset", "default"]) == 141
    assert capsys.readouterr().err == ""


def test_a_second_command_says_nothing_twice(project, monkeypatch, capsys):
    pretend(monkeypatch, UserError("No."))
    for number in range(2):
        assert cli.main(train_command("--log", f"{number}.log")) == 2
    assert capsys.readouterr().err == 2 * "eventspeech train: No.\n"
    assert (project / "0.log").read_text().count("ERROR") == 1


def test_the_log_starts_anew(project, monkeypatch):
    (project / "train.log").write_text("of yesterday")
    pretend(monkeypatch, UserError("No."))
    cli.main(train_command("--log", "train.log"))
    assert "yesterday" not in (project / "train.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: VERB"),
        (["fly"], "invalid choice: 'fly'"),
        (["train"], "the following arguments are required: --params, --loss, --seed"),
        (["train", "--seed", "one"], "invalid int value: 'one'"),
        (["benchmark"], "the following arguments are required: WHAT"),
    ],
    ids=["no verb", "unknown verb", "missing options", "no number", "no load"],
)
def test_a_wrong_command_is_status_2_and_says_how_it_goes(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith("usage: eventspeech") and message in said


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"eventspeech {__version__}\n"


def test_help_lists_every_verb_and_needs_no_compiler():
    code = (
        "import sys; from eventspeech import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: print({'numba', 'sklearn', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for verb in (
        *STAGES,
        "doctor",
        "preset",
        "check-gradients",
        "benchmark",
        "predict",
        "export",
        "import",
        "card",
        "track",
    ):
        assert re.search(rf"^    {verb}\s", done.stdout, re.MULTILINE), verb
    assert done.stdout.endswith("set()\n")


def test_a_preset_is_printed_as_it_is(capsys):
    assert cli.main(["preset", "default"]) == 0
    assert capsys.readouterr().out == presets.text("default")


def test_an_unknown_preset_lists_those_there_are(capsys):
    assert cli.main(["preset", "nonsense"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("eventspeech preset: There is no preset 'nonsense'; choose from default, ")
    assert all(name in said for name in presets.names()) and said.count("\n") == 1


def test_a_model_with_a_pickle_is_a_users_error(project, capsys):
    np.savez(project / "weights.npz", meta=np.array([{}], dtype=object))
    paths = [item for name in ("metrics", "predictions", "confusion", "examples") for item in (f"--{name}", name)]
    command = ["evaluate", "--params", "params.yaml", "--model", "weights.npz", "--spikes", "train.npz", *paths]
    assert cli.main(command) == 2
    assert capsys.readouterr().err.startswith("eventspeech evaluate: weights.npz cannot be read: meta.npy holds")
    with pytest.raises(UserError):
        model_file.load(project / "weights.npz")
