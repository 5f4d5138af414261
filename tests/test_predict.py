"""The verb `predict`: what it prints, draws and refuses."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import yaml
from support import speech, tiny, trained

from eventspeech import cli
from eventspeech.data.cochlea import native


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a model and recordings; the command runs there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    trained.make_model(tmp_path / "weights.npz", trial_ms=20.0)
    speech.make_folder(tmp_path / "speech")
    return tmp_path


def predict(*arguments, status=0, model="weights.npz"):
    assert cli.main(["predict", model, *map(str, arguments)]) == status


def test_a_table(here, capsys):
    predict("speech/2_ann_0.wav", "speech/10_cy_1.wav")
    said = capsys.readouterr()
    head, first, second = said.out.splitlines()
    assert head.split() == ["file", "word", "probability", "then"]
    assert first.startswith("speech/2_ann_0.wav") and second.startswith("speech/10_cy_1.wav")
    assert " % of its spikes come after the trial" in first
    assert "weights.npz: 4 words, learned from the source recordings (gaussian, seed 5, epoch 7); " in said.err
    assert "trained at steps of 1 ms, answers at steps of 1 ms; hears the first 20 ms of each" in said.err


def test_json_and_csv_say_the_same(here, capsys):
    predict("speech", "--json")
    told = json.loads(capsys.readouterr().out)
    predict("speech", "--csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(told["answers"]) == 12
    for row, answer in zip(rows, told["answers"], strict=True):
        assert (row["file"], row["word"]) == (answer["file"], answer["word"])
        shares = {word: float(row[f"p({word})"]) for word in trained.WORDS}
        assert shares == answer["probabilities"] and sum(shares.values()) == pytest.approx(1)
        assert answer["word"] == max(shares, key=shares.get) == next(iter(answer["probabilities"]))
        assert answer["problem"] is None and answer["input_spikes"] > 0 and answer["end_s"] == 0.03
    assert (told["model"]["trained_at_step_ms"], told["model"]["step_ms"]) == (1.0, 1.0)
    assert told["model"]["cochlea"] == trained.COCHLEA.model_dump(mode="json")


def test_among_some_words(here, capsys):
    predict("speech/2_ann_0.wav", "--json")
    free = json.loads(capsys.readouterr().out)["answers"][0]["probabilities"]
    predict("speech/2_ann_0.wav", "--json", "--words", "drei, vier")
    told = json.loads(capsys.readouterr().out)["answers"][0]["probabilities"]
    assert told["2"] == told["10"] == 0 and told["drei"] + told["vier"] == pytest.approx(1)
    assert told["drei"] / told["vier"] == pytest.approx(free["drei"] / free["vier"])


def test_windows_have_times(here, capsys):
    tone = np.sin(np.arange(240.0))
    soundfile.write("long.wav", np.concatenate([tone, np.zeros(240), 0.3 * tone]), 8000)
    predict("long.wav", "--window", "0.03", "--hop", "0.03")
    lines = capsys.readouterr().out.splitlines()
    times = [[f"{start:.2f}", "s", f"{start + 0.03:.2f}", "s"] for start in (0, 0.03, 0.06)]
    assert [line.split()[1:5] for line in lines[1:]] == times
    assert lines[2].endswith("is silent")


def test_what_cannot_be_heard_does_not_keep_back_the_others(here, capsys):
    (here / "speech" / "bad.wav").write_text("no sound")
    soundfile.write(here / "speech" / "quiet.wav", np.zeros(800), 8000)
    predict("speech", "--csv", status=2)
    said = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert len([row for row in rows if row["word"]]) == 12
    assert [row["problem"][:12] for row in rows if not row["word"]] == ["cannot be re", "is silent (a"]
    assert "eventspeech predict: 2 recordings have no answer: speech/bad.wav cannot be read as audio" in said.err
    predict("speech/quiet.wav", status=2)
    assert "speech/quiet.wav is silent (all samples are 0); there is no answer." in capsys.readouterr().err


REFUSED = {
    "a model that is a text": (["speech", "--csv"], "notes.txt cannot be read: it is no NPZ file; check the path."),
    "no model": (["speech"], "nothing.npz does not exist"),
    "of a later version": (["speech"], "later.npz has the field attention, which this version does not know; use the"),
    "of an earlier version": (["speech"], "older.npz does not say how its speech became spikes, as models up"),
    "a word that it does not know": (["speech", "--words", "2,ten"], "weights.npz does not know the word 'ten'; it kn"),
    "no such recording": (["speech/11.wav"], "speech/11.wav does not exist; check the path."),
    "a hop alone": (["speech", "--hop", "1"], "--hop says how often a window comes; give its length, too"),
    "a figure of no kind": (["speech", "--figure", "x.jpeg"], "--figure x.jpeg has none of the endings .png, .svg, .p"),
    "too many figures": (["speech", "--figure", "x.png", "--window", "0.005", "--hop", "0.001"], "would draw"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_sentence_for_each_mistake(here, capsys, case):
    (here / "notes.txt").write_text("words")
    trained.make_model(here / "later.npz", attention=True)
    trained.make_model(here / "older.npz", origin=None)
    arguments, sentence = REFUSED[case]
    model = {"notes": "notes.txt", "nothi": "nothing.npz", "later": "later.npz", "older": "older.npz"}
    predict(*arguments, status=2, model=model.get(sentence[:5], "weights.npz"))
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("eventspeech predict: ")]
    assert sentence in line


def test_an_older_model_with_the_parameters_of_its_study(here, capsys):
    # of that version, whose other keys lay elsewhere
    content = tiny.CONTENT | {"cochlea": trained.COCHLEA.model_dump(mode="json"), "train": {"engine": "cpu"}}
    (here / "params.yaml").write_text(yaml.safe_dump(content))
    trained.make_model(here / "older.npz", trial_ms=20.0, origin=None)
    predict("speech", "--csv")
    expected = capsys.readouterr().out
    predict("speech", "--csv", "--params", "params.yaml", model="older.npz")
    said = capsys.readouterr()
    assert said.out == expected and "learned from speech of an unknown source" in said.err
    (here / "params.yaml").write_text("cochlea: {fibres: 0}")
    predict("speech", "--params", "params.yaml", model="older.npz", status=2)
    assert "params.yaml: cochlea.fibres = 0" in capsys.readouterr().err


def test_figures(here, capsys):
    predict("speech/2_ann_0.wav", "--figure", "one.svg")
    drawn = (here / "one.svg").read_text()
    assert all(text in drawn for text in ("cochlea channel", "hidden neuron", "weighted output", "margin of"))
    predict("speech/2_ann_0.wav", "speech/10_cy_1.wav", "--figure", "two.png")
    assert sorted(path.name for path in here.glob("two*")) == ["two-1.png", "two-2.png"]
    assert "two-2.png shows speech/10_cy_1.wav" in capsys.readouterr().err


def test_an_answer_imports_nothing_that_takes_long(here):
    code = (
        "import sys; from eventspeech import cli; cli.main(['predict', 'weights.npz', 'speech/2_ann_0.wav', '--csv']);"
        "print([name for name in ('numba', 'scipy', 'pandas', 'matplotlib', 'sklearn') if name in sys.modules])"
    )
    predict("speech/2_ann_0.wav")  # the membrane's table is there now
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" or native.library() is None
