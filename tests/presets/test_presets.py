"""Every preset is a valid parameter file, and the numbers that were converted stay converted."""

import subprocess
from pathlib import Path

import pytest

from eventspeech import cli, network, params, paths, presets
from eventspeech.errors import UserError
from eventspeech.params import yaml12
from eventspeech.params.study import laid_over
from eventspeech.presets import layers
from eventspeech.records import tuning

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", presets.names())
def test_presets_are_valid_and_explained(name):
    assert presets.load(name).study.seeds
    assert presets.text(name).startswith("# ")


@pytest.mark.parametrize("name", presets.names()[1:])
def test_a_preset_holds_what_differs_and_no_more(name):
    own = params.file.read(paths.PRESETS / f"{name}.yaml")
    below = presets.load(presets.OVER.get(name, "default")).model_dump(mode="json")
    for group, values in own.items():
        assert values != below[group] if group in presets.WHOLE else differs(values, below[group]), group
    # the text that users get has these values
    parsed = yaml12.parse(presets.text(presets.OVER.get(name, "default")), name)
    kept = {group: values for group, values in parsed.items() if group not in presets.WHOLE or group not in own}
    assert yaml12.parse(presets.text(name), name) == laid_over(kept, own)


def differs(values, below) -> bool:
    """Whether each leaf of ``values`` is another one in ``below``."""
    if isinstance(values, dict) and below is not None:
        return all(differs(value, below.get(key)) for key, value in values.items())
    return values != below


def test_comments_go_with_their_values():
    below = layers.split(
        "# below\n\na: # of a\n  b: 1 # of b\n  # above c\n  c: 2\nd: # old\n  e: 1 # of e\n  # end\n"
    )[1]
    head, above = layers.split("# above\n# it\n\n# new\nd: # of d\n  # of f\n  f: [1,\n    2]\na:\n  b: 3\n")
    merged = layers.join(head, layers.laid_over(below, above))
    assert merged == (
        "# above\n# it\n\na:\n  b: 3\n  # above c\n  c: 2\n\n"
        "# new\nd: # of d\n  e: 1 # of e\n  # end\n  # of f\n  f: [1,\n    2]\n"
    )
    assert layers.join(head, layers.laid_over(below, above, whole=("d",))).endswith(
        "d: # of d\n  # of f\n  f: [1,\n    2]\n"
    )


def test_names_begin_with_default():
    assert presets.names()[0] == "default"
    assert {"recordings", "thesis", "paper", "paper-ssc"} <= set(presets.names())


def test_default_preset_is_the_parameter_file():
    files = ["params.yaml", "src/eventspeech/presets"]
    git = ["git", "-C", str(ROOT), "diff", "--quiet", "HEAD", "--", *files]
    if subprocess.run(git, capture_output=True, check=False).returncode:
        pytest.skip("params.yaml or a preset is edited here (or this is no checkout)")
    assert (ROOT / "params.yaml").read_text(encoding="utf-8") == presets.text("default")


def test_recordings_hold_out_other_speakers_for_the_test():
    recordings = presets.load("recordings")
    source = recordings.download.recordings
    assert recordings.download.source == "recordings"
    assert set(recordings.validation.speakers).isdisjoint(source.test_speakers)


def test_arabic_commands_have_their_authors_split():
    arabic = presets.load("arabic-commands")
    source, validation = arabic.download.recordings, arabic.validation.speakers
    assert len(set(source.test_speakers) | set(validation)) == 12 and source.test_takes == 0
    assert set(validation) == {"a02", "a07", "a08", "a12", "a21", "a25"}
    assert arabic.network.input_mean * arabic.network.delays.copies == pytest.approx(0.03)


def test_recordings_loso_leaves_every_training_speaker_out_once():
    folded, plain = (presets.load(name) for name in ("recordings-loso", "recordings"))
    assert folded.validation.protocol == "leave_one_out"
    assert set(folded.study.folds).isdisjoint(folded.download.recordings.test_speakers)
    assert set(plain.validation.speakers) < set(folded.study.folds)
    for group in params.Params.model_fields:
        if group not in ("study", "validation"):
            assert getattr(folded, group) == getattr(plain, group), f"{group} has drifted from the preset recordings"


def test_ablation_changes_one_thing_at_a_time_on_the_data_of_recordings_loso():
    ablation, folded = (presets.load(name) for name in ("ablation", "recordings-loso"))
    for group in ("download", "cochlea", "preprocess", "validation", "augmentation", "baseline"):
        assert getattr(ablation, group) == getattr(folded, group), f"{group} has drifted from recordings-loso"
    assert ablation.study.folds == folded.study.folds
    assert list(ablation.shape) == ablation.study.losses
    plain = ablation.for_loss(ablation.compare.reference)
    assert plain == ablation, "the reference has no changes"
    for loss in ablation.study.losses[1:]:
        own = ablation.for_loss(loss)
        assert any(getattr(own, group) != getattr(plain, group) for group in params.Changes.model_fields), loss


def test_thesis_converts_what_belongs_to_the_published_scaling():
    thesis = presets.load("thesis")
    tau_mem_ms = thesis.network.tau_mem_ms
    assert thesis.optimiser.adam_epsilon == pytest.approx(1e-8 * tau_mem_ms)
    assert thesis.optimiser.regulariser.strength == pytest.approx(5e-10 * tau_mem_ms)
    assert thesis.network.input_mean * thesis.network.delays.copies == pytest.approx(0.03)
    assert thesis.study.seeds == [0, 1, 2, 3, 4]
    assert thesis.profile.cuda_batch_sizes == [1, 2, 4, 8, 16, 32, 64]
    assert thesis.profile.cpu_batch_sizes == [1]


PAPER = {
    # what the published code says, scaled where its gradients are (by tau_mem = 20)
    "paper": {
        "network": {"hidden": [512], "step_ms": 2, "time_constants": "homogeneous"},
        "optimiser": {"learn_time_constants": "neuron", "learn_output_time_constants": False},
        "train": {"epochs": 100, "select": "training"},
        "regulariser": 0.5 * 5e-10 * 20,
        "blend": [],
    },
    "paper-ssc": {
        "network": {"hidden": [1024], "step_ms": 1, "time_constants": "heterogeneous"},
        "optimiser": {"learn_time_constants": "none"},
        "train": {"epochs": 50, "select": "validation"},
        "regulariser": 5e-10 * 20,
        "blend": [0.5, 0.5],
    },
}


@pytest.mark.parametrize("name", PAPER)
def test_paper_is_the_published_recipe(name):
    paper, expected = presets.load(name), PAPER[name]
    for group in ("network", "optimiser", "train"):
        assert getattr(paper, group).model_dump(include=set(expected[group])) == expected[group]
    regulariser = paper.optimiser.regulariser
    assert regulariser.strength == pytest.approx(expected["regulariser"])
    assert (regulariser.target_spikes, regulariser.counts) == (14, "batch")
    assert paper.optimiser.adam_epsilon == pytest.approx(1e-8 * paper.network.tau_mem_ms)
    assert paper.augmentation == params.Augmentation(shift_channels=40, blend={"probabilities": expected["blend"]})
    assert paper.optimiser.ease_in == params.EaseIn(start=1e-3, growth=1.05)
    assert paper.train.schedule == params.Schedule(factor=0.5, fast=0.8, slow=0.85, wait_epochs=50)
    assert paper.train.silent_lift == params.SilentLift(amount=0.002, neurons="all")
    assert (paper.optimiser.learning_rate, paper.train.batch_size, paper.preprocess.trial_ms) == (1e-3, 32, 1000)
    delays = network.build(paper.network, 20, paper.preprocess.trial_ms).delay_steps
    assert [step * paper.network.step_ms for step in delays] == list(range(0, 301, 30))
    # divided by the ten intervals, not by the eleven copies
    assert (paper.network.input_mean * 10, paper.network.input_sd * 10) == pytest.approx((0.03, 0.01))
    assert len(paper.study.seeds) == 8 and paper.study.losses == ["exponential"]


def test_unknown_name_lists_the_known(capsys):
    with pytest.raises(UserError, match="There is no preset 'theses'; choose from default, "):
        presets.text("theses")
    assert cli.main(["preset", "../presets/default"]) == 2
    assert "choose from default" in capsys.readouterr().err


def test_command_prints_the_file(capsys):
    assert cli.main(["preset", "thesis"]) == 0
    assert capsys.readouterr().out == presets.text("thesis")


def test_what_was_found_is_laid_over_a_preset_comments_included(tmp_path, capsys):
    overlays = [tmp_path / f"{loss}.yaml" for loss in ("exponential", "gaussian")]
    for path in overlays:
        values = {"optimiser.learning_rate": 0.01, "network.delays.copies": 3}
        tuning.write_overlay(path, path.stem, values, "Found.")
    assert cli.main(["preset", "default", "--over", *map(str, overlays)]) == 0
    said = capsys.readouterr().out
    laid = params.validate(yaml12.parse(said, "laid"))
    assert laid.untuned() == presets.load("default") and "# Groups are named like the stages" in said
    for loss in ("exponential", "gaussian"):
        own = laid.for_loss(loss)
        assert (own.optimiser.learning_rate, own.network.delays.copies) == (0.01, 3)
    assert laid.for_loss("gaussian_matched").optimiser.learning_rate == 0.007
    assert presets.laid("default", overlays) == said


def test_an_overlay_of_another_form_is_refused(tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("train: {epochs: 3}\n")
    with pytest.raises(UserError, match="only files of the form that `tune` leaves"):
        presets.laid("default", [other])
    other.write_text("# a\n\ntrain:\n  epochz: 3\n")
    with pytest.raises(UserError, match=r"other\.yaml: unknown key train\.epochz"):
        presets.laid("default", [other])


def test_without_its_files(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "PRESETS", tmp_path)
    with pytest.raises(UserError, match="install the package again"):
        presets.text("default")
