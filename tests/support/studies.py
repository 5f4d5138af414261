"""Made-up studies with their comparison, and fixtures of them."""

import shutil

import pytest
import yaml

from eventspeech.report import results as study_results
from eventspeech.stages.compare import compare as write_comparison
from support import fake_results


def make(root, **options):
    """Write a made-up study and its comparison; return its parameters."""
    made = {name: options.pop(name) for name in ("gpu", "words", "called") if name in options}
    chosen = fake_results.params(**{"losses": ["exponential", "gaussian"], **options})
    fake_results.study(root, chosen, **made)
    compare(root, chosen)
    (root / "params.yaml").write_text(yaml.safe_dump(chosen.model_dump(mode="json", exclude_none=True)))
    return chosen


def compare(root, chosen):
    results = root / "results"
    write_comparison(chosen, results / "train", results / "evaluate", results / "compare")


def load(root, chosen):
    return study_results.load(chosen, root / "data" / "spikes", root / "results")


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    return load(root, make(root, tuned=["exponential", "gaussian"]))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory):
    root = tmp_path_factory.mktemp("pristine")
    return root, make(root, seeds=[0, 1])


@pytest.fixture
def own(pristine, tmp_path):
    """A study of the test's own, to be changed: root and parameters."""
    shutil.copytree(pristine[0], tmp_path, dirs_exist_ok=True)
    return tmp_path, pristine[1]


CHANGES = {
    "no_recurrence": {"network": {"recurrent": False}},
    "with_shift": {"augmentation": {"shift_channels": 40}, "train": {"epochs": 20}},
    "same": {"network": {"recurrent": True}},
}


@pytest.fixture(scope="session")
def ablated(tmp_path_factory):
    """A study with entries of an ablation, one of which changes nothing: root and results."""
    root = tmp_path_factory.mktemp("ablated")
    losses = ["exponential", "gaussian", *CHANGES]
    return root, load(root, make(root, losses=losses, changes=CHANGES, seeds=[0, 1, 2], tuned=["gaussian"]))
