"""No value of the parameter file reaches a shell: DVC puts them into a stage before anything has looked at them."""

import os

import pytest
from support.project import Project, tiny_parameters

TOUCH = "$(touch PWNED)"
SHORT = [f"1 {TOUCH}", "0; touch PWNED #"]
TEXTS = [*SHORT, "0'; touch PWNED; '", '1"; touch PWNED; "', "0\ntouch PWNED\n", "`touch PWNED`", f"\\'{TOUCH}\"'"]

# each would make the file PWNED if a shell read it
HOSTILE = {
    "seeds": ("study", "seeds", [0, *TEXTS]),
    "losses": ("study", "losses", ["exponential", *SHORT]),
    "folds": ("study", "folds", ["s1", *SHORT]),
    "batch sizes": ("profile", "cpu_batch_sizes", [1, *SHORT]),
    "keys": ("study", "seeds", [0, {TOUCH: 1}]),
    "lists": ("study", "folds", ["s1", ["s2", TOUCH]]),
    "another folder": ("study", "folds", ["s1", "../../../README"]),
}


def small(group: str = "study", key: str = "folds", values: list = ("s1",)) -> dict:
    content = tiny_parameters()
    content["validation"] = {"protocol": "random", "fraction": 0.5}
    content["study"] = {"losses": ["exponential"], "seeds": [0], "folds": ["s1"]}
    content[group][key] = list(values)
    content["shape"] |= {name: {"kind": "sum"} for name in content["study"]["losses"]}
    return content


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study, in which `eventspeech` is the true command from then on."""
    project = Project(tmp_path_factory.mktemp("hostile"), small())
    project.dvc("repro", "--quiet")
    project.git_commit("receipt")
    project.environment["PATH"] = os.environ["PATH"]
    return project


@pytest.mark.parametrize("name", HOSTILE)
def test_values_reach_no_shell_under_dvc(study, name):
    study.write(small(*HOSTILE[name]))
    study.dvc("repro", "--keep-going", status=255)
    assert not list(study.folder.rglob("PWNED"))


def test_values_of_an_experiment_reach_no_shell(study):
    study.write(small())
    study.dvc("exp", "run", "--set-param", f"study.seeds=['1 {TOUCH}']", status=255)
    assert not list(study.folder.rglob("PWNED"))
