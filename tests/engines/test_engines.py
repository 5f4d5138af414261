"""The registry of engines: what is said of each is true, and everything else reads it there."""

import pytest

from eventspeech import doctor, engines, machine
from eventspeech.engines.genn import install
from eventspeech.errors import UserError
from eventspeech.params import Params


@pytest.mark.parametrize("name", engines.ENGINES)
def test_an_engine_says_where_it_runs_and_whether_it_can(name):
    entry = engines.named(name)
    assert set(entry.devices) <= {"cpu", "cuda"} and entry.devices
    problem, detail, remedy = entry.examine()
    assert detail if problem is None else remedy
    assert doctor.CHECKS[f"engine {name}"]().status == ("PASS" if problem is None else "SKIP")


def test_parameters_choose_from_the_registry():
    groups = Params.model_fields["optimiser"].annotation, Params.model_fields["evaluate"].annotation
    for group in groups:
        assert group.model_json_schema()["properties"]["engine"]["enum"] == list(engines.ENGINES)


def test_an_unknown_engine_is_refused_in_one_sentence():
    with pytest.raises(UserError, match="no engine 'abacus'; choose from cpu, cuda, genn"):
        engines.create("abacus", None)


@pytest.mark.parametrize(
    ("device", "configured", "engine"),
    [("cpu", "cpu", "cpu"), ("cpu", "cuda", "cpu"), ("cuda", "cpu", "cuda"), ("cuda", "genn", "genn")],
)
def test_a_device_is_measured_with_the_configured_engine_or_its_own(device, configured, engine):
    assert engines.for_device(device, configured) == engine


def test_a_gpu_is_not_measured_with_a_genn_that_cannot_use_it(monkeypatch):
    monkeypatch.setattr(machine, "cuda_problem", lambda: None)
    monkeypatch.setattr(install, "problem", lambda backend: f"no backend {backend}")
    assert engines.named("genn").problem("cuda") == "no backend cuda"
    assert engines.named("cpu").problem("cpu") is None


@pytest.mark.parametrize(("name", "gpus"), [("cpu", 0), ("cuda", 1), ("genn", 1)])
def test_a_job_holds_a_gpu_if_its_engine_needs_one(name, gpus):
    assert engines.gpus(name) == gpus
