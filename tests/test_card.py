"""Model cards: what they say comes from the records of training and test."""

import dataclasses
import json
import re
import shutil

import pytest
from support import tiny, training

from eventspeech import card, cli
from eventspeech.data import store
from eventspeech.errors import DataError
from eventspeech.files import sha256
from eventspeech.stages import baseline, evaluate


@pytest.fixture(scope="module")
def study(tmp_path_factory, quick):
    """Results of one training and its test, as a study lays them out."""
    root = tmp_path_factory.mktemp("study")
    origin = store.Origin("synthetic", tiny.make_params().cochlea)
    named = [f"a|b_{name}" if name == "s0" else name for name in tiny.SPEAKERS]
    spikes = dataclasses.replace(tiny.make_store(), origin=origin, speaker_names=tuple(named))
    store.save(spikes, root / "train.npz", "train")
    tested = dataclasses.replace(tiny.make_store(takes=2, seed=1), speaker_names=tuple(named))
    store.save(tested, root / "test.npz", "test")
    made = training.run(root / "train" / "gaussian" / "1" / "held_out", root / "train.npz", "gaussian", 1)
    place = root / "evaluate" / "gaussian" / "1" / "held_out"
    names = ("metrics.json", "predictions.csv", "confusion.csv", "examples.npz")
    params = tiny.make_params(evaluate={"steps_ms": [1, 0.5]})
    evaluate.evaluate(params, made.weights, root / "test.npz", evaluate.Outputs(*(place / name for name in names)))
    return root


quick = training.quick


def weights(study):
    return study / "train" / "gaussian" / "1" / "held_out" / "weights.npz"


def test_a_card_lies_beside_its_model(study):
    assert cli.main(["card", str(weights(study))]) == 0
    text = weights(study).with_name("card.md").read_text(encoding="utf-8")
    metrics = json.loads((study / "evaluate/gaussian/1/held_out/metrics.json").read_text())
    assert f"SHA-256 `{sha256(weights(study))}`" in text and "# A spiking network for 4 words: gaussian, seed 1" in text
    assert "| words | eins, zwei, drei, vier |" in text and "steps of 1 ms, the first 60 ms" in text
    assert "Data: digits synthesised by espeak-ng" in text and "espeak-ng, is under GPL 3 or later" in text
    assert r"Learned from 48 recordings of a\|b\_s0, s1, s2; 16 held out (speakers held out: s3)." in text
    assert "- It learned from synthesised speech: accuracy on human voices is unknown" in text
    assert f"run at other steps the same weights reach {100 * metrics['steps'][2]['accuracy']:.1f} %" in text
    rows = dict(re.findall(r"^\| (\S+) \| (?:learned from|chose the epoch) \| 8 \| ([\d.]+) % \|", text, re.MULTILINE))
    told = {name: f"{100 * one['accuracy']:.1f}" for name, one in metrics["accuracy_by_speaker"].items()}
    assert rows == {name.replace("|", r"\|").replace("_", r"\_"): accuracy for name, accuracy in told.items()}
    assert f"| all voices |  | 32 | {100 * metrics['accuracy']:.1f} % |" in text
    assert "| the 3 learned from | learned from | 24 |" in text
    accuracies = [line for line in text.splitlines() if line.startswith("| ") and " % |" in line]
    assert len(accuracies) == 6 and all(len(re.split(r"(?<!\\)\|", line)) == 7 for line in accuracies)


def test_without_a_test_the_card_says_so(study, tmp_path):
    shutil.copytree(weights(study).parent, tmp_path / "alone")
    text = card.card(tmp_path / "alone" / "weights.npz", None)
    assert "Not tested: no evaluation was found." in text and "at other steps, or in other simulators" in text
    card.write([tmp_path / "alone" / "weights.npz"], study / "evaluate/gaussian/1/held_out")
    assert "| all voices |" in (tmp_path / "alone" / "card.md").read_text()


def test_what_is_no_trained_network_or_anothers_is_refused(study, tmp_path):
    alone = shutil.copytree(weights(study).parent, tmp_path / "alone")
    evaluated = study / "evaluate/gaussian/1/held_out"
    with pytest.raises(DataError, match="--evaluation names the test of one model, but 2 are given"):
        card.write([alone / "weights.npz", weights(study)], evaluated)
    other = training.run(tmp_path / "other", study / "train.npz", "gaussian", 1, train={"epochs": 1})
    for path in (other.weights, other.history, other.summary):
        shutil.copy(path, alone)
    with pytest.raises(DataError, match=r"metrics\.json belongs to another model than"):
        card.card(alone / "weights.npz", evaluated)
    (alone / "summary.json").unlink()
    with pytest.raises(DataError, match=r"summary\.json does not exist; run the stage `train`"):
        card.card(alone / "weights.npz", None)
    baseline.train(tiny.make_params(), study / "train.npz", alone / "m.npz", alone / "s.json")
    with pytest.raises(DataError, match=r"m\.npz holds logistic regression"):
        card.card(alone / "m.npz", None)
