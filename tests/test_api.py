"""The names for scripts: the example of docs/api.md runs, and importing the package costs nothing."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from support import tiny, training

import eventspeech
from eventspeech.data import store
from eventspeech.errors import ParameterError

DOCUMENT = Path(__file__).parents[1] / "docs" / "api.md"


@pytest.fixture
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("eventspeech.machine.facts", lambda: {"cpu": "fast"})
    monkeypatch.chdir(tmp_path)


def test_the_documents_example(quick, capsys):
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    right, recorded, heard = capsys.readouterr().out.splitlines()
    assert float(right.removeprefix("right: ")) > 0.9
    assert re.fullmatch(r"hidden spikes: [1-9]\d* voltages: \(1, 60, 2\)", recorded)
    assert set(eval(heard, {"np": np})) == {"low", "high"}
    assert names["model"].weights.keys() == {"input_hidden1", "hidden1_hidden1", "hidden1_output"}


def test_training_is_the_stages(quick, tmp_path):
    store.save(tiny.make_store(), tmp_path / "spikes.npz", "train")
    expected = training.run(tmp_path / "stage", tmp_path / "spikes.npz", "gaussian", 1, train={"epochs": 2})
    content = tiny.CONTENT | {"train": {"epochs": 2, "batch_size": 8}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    given = {
        "a file": str(tmp_path / "params.yaml"),
        "its content": content,
        "checked": tiny.make_params(train=content["train"]),
    }
    for name, params in given.items():
        made = eventspeech.train(params, tmp_path / "spikes.npz", tmp_path / name, "gaussian", 1)
        assert (tmp_path / name / "weights.npz").read_bytes() == expected.weights.read_bytes()
        assert made.meta["seed"] == 1
    made = eventspeech.train(content, tiny.make_store(), tmp_path / "store")
    assert (made.meta["loss"], made.meta["seed"]) == ("exponential", 0), "the first of the study"


def test_parameters_of_another_kind_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="parameters are a file or its content, not a list"):
        eventspeech.train([1], tmp_path / "spikes.npz", tmp_path)


def test_importing_the_package_imports_nothing_else():
    code = (
        "import sys; import eventspeech; dir(eventspeech);"
        "print([name for name in sys.modules if name.startswith(('eventspeech.', 'numpy', 'pydantic'))]);"
        "print(eventspeech.load_model.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "eventspeech.inference.recogniser"]


def test_every_name_is_there_and_no_other():
    assert all(callable(getattr(eventspeech, name)) for name in eventspeech.__all__ if name != "__version__")
    assert set(eventspeech.__all__) <= set(dir(eventspeech))
    with pytest.raises(AttributeError, match="has no attribute 'predcit'"):
        eventspeech.predcit  # noqa: B018
