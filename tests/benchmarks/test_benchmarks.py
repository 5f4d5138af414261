"""The benchmarks run, and say what they measured."""

import dataclasses
import json

import numpy as np
import pytest

from eventspeech import cli, compiled
from eventspeech.benchmarks import engine as benchmark_engine
from eventspeech.benchmarks import epoch as benchmark_epoch
from eventspeech.benchmarks import growth as benchmark_growth
from eventspeech.benchmarks import limit_cpu
from eventspeech.engines.event_driven.c import launches
from eventspeech.errors import UserError
from eventspeech.network import Network

SMALL = {"hidden": 32, "steps": 100, "spikes": 500, "rate": 2.0, "batch": 2}
built = pytest.mark.skipif(launches.library() is None, reason="the C kernels are not built")


def test_engine_reports_load_and_times():
    found = benchmark_engine.measure(**SMALL, samples=4, threads=1, repeats=2)
    assert found["input_spikes_per_sample"] == pytest.approx(500, rel=0.1)
    assert found["hidden_spikes_per_neuron"] == pytest.approx(2.0, rel=0.3)
    for key in ("inference_ms_per_sample", "training_ms_per_sample"):
        assert 0 < found[key]["low"] <= found[key]["median"] <= found[key]["high"]
    assert found["peak_memory_mib"] > 10


def test_engine_takes_a_delay_line_and_learned_constants():
    line = {"copies": 3, "interval_ms": 40.0, "learned": True}
    found = benchmark_engine.measure(**SMALL, **line, samples=4, threads=1, repeats=1)
    assert found["copies"] == 3 and found["learned_time_constants"]
    assert found["limit"].get("bytes_per_sample", {}).get("drive_memory") == 3 * 100 * 32 * 4
    assert found["training_cpu_ms_per_sample"]["median"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"copies": 2, "interval_ms": 25.0}, "interval_ms = 25 is not a whole number of steps"),
        ({"copies": 30, "interval_ms": 40.0}, "the last of 30 copies would come 1160 ms late"),
        ({"copies": 2, "against": "mlgenn"}, "without a delay line"),
        ({"learned": True, "engine": "mlgenn"}, "leave out --copies and --learned"),
    ],
)
def test_a_delay_line_that_cannot_be_measured_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        benchmark_engine.measure(**SMALL, **change)


def test_two_engines_take_turns():
    found = benchmark_engine.measure(**SMALL, samples=4, threads=1, repeats=2, against="cpu", limit=False)
    assert found["ratio"]["low"] <= found["ratio"]["median"] <= found["ratio"]["high"]
    assert found["against"]["hidden_spikes_per_neuron"] == found["hidden_spikes_per_neuron"]


@built
def test_limit_counts_the_bytes_of_every_event():
    network = Network(700, (64,), 20, True, 100, 1.0, 20.0, 5.0, (0, 30))
    moved = limit_cpu.bytes_moved(network, input_spikes=10, hidden_spikes=3)
    assert moved["forward_cache"] == (10 * 2 + 3) * 64 * 4
    assert moved["gather_cache"] == moved["forward_cache"]
    assert moved["backward_cache"] == 3 * 64 * 4
    assert moved["adjoints_memory"] == moved["drive_memory"] == 2 * 100 * 64 * 4
    learned = limit_cpu.bytes_moved(network, input_spikes=10, hidden_spikes=3, learned=True)
    assert learned["adjoints_memory"] == learned["drive_memory"] == 3 * 100 * 64 * 4
    assert learned["products_cache"] == 3 * 64 * 4  # what arrived was kept
    plain = dataclasses.replace(network, delay_steps=(0,))
    again = limit_cpu.bytes_moved(plain, input_spikes=10, hidden_spikes=3, learned=True)
    assert again["products_cache"] == again["forward_cache"] == (10 + 3) * 64 * 4 and again["drive_memory"] == 0
    rates = limit_cpu.bandwidth(2, copies=2)
    assert rates["cache"] > rates["memory"] > 0
    found = limit_cpu.distance(moved, rates, 2, 1.0, 1.5)
    assert found["times_the_limit"] == pytest.approx(1.0 / found["limit_ms_per_sample"])
    assert found["times_the_limit_of_cpu"] == pytest.approx(0.75 / found["limit_ms_per_sample"])


@built
def test_the_probe_reads_what_it_says():
    table = np.arange(4 * launches.TILE, dtype=np.float32).reshape(4, launches.TILE)
    sums = np.empty(launches.TILE, np.float32)
    compiled.call(launches.library(), "sum_rows", np.array([3, 0, 3], np.int32), 3, table, sums)
    np.testing.assert_array_equal(sums, 2 * table[3] + table[0])


def test_epoch_tells_the_shares_apart():
    found = benchmark_epoch.measure(**SMALL | {"steps": 250}, samples=12, evaluated=4)
    assert found["samples"] == 12 and found["evaluated_samples"] == 4
    assert found["hidden_spikes_per_neuron"] == pytest.approx(2.0, rel=0.5)
    assert found["batching_and_augmentation_share"] == found["batching_and_augmentation_s"] / found["epoch_s"]
    assert min(found[f"{name}_s"] for name in ("epoch", "evaluation", "checkpoint", "optimiser")) > 0


def test_growth_measures_every_point_and_draws_it(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_growth, "BASE", {key: SMALL[key] for key in ("hidden", "spikes", "steps", "batch")})
    monkeypatch.setattr(benchmark_growth, "SAMPLES", 2)
    monkeypatch.setattr(benchmark_growth, "AXES", {"hidden": (32, 64), "spikes": (250, 500, 1000)})
    target, picture = tmp_path / "growth.json", tmp_path / "growth.png"
    assert cli.main(["benchmark", "growth", "--rounds", "1", "--json", str(target), "--plot", str(picture)]) == 0
    found = json.loads(target.read_text())
    threads = {point["threads"] for point in found["points"]}
    assert len(found["points"]) == 5 * len(threads)
    assert len(found["slopes"]) == 2 * len(threads)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_slope_of_a_proportional_cost_is_one():
    rows = [{"value": v, "training_ms_per_sample": {"median": 3.0 * v}} for v in (1, 2, 4, 8)]
    assert benchmark_growth._slope(rows) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("what", "option", "value", "message"),
    [
        ("engine", "--rate", "nan", "nan is not a finite number above 0"),
        ("engine", "--rate", "0", "0 is not a finite number above 0"),
        ("encoder", "--seconds", "inf", "inf is not a finite number above 0"),
        ("growth", "--plot", "growth.gif", "growth.gif does not end in .png, .svg or .pdf"),
        ("growth", "--plot", "growth", "growth does not end in"),
    ],
)
def test_what_cannot_be_measured_or_drawn_is_refused_before(what, option, value, message, capsys):
    with pytest.raises(SystemExit):
        cli.main(["benchmark", what, option, value])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--hidden", "--batch", "--samples", "--repeats", "--threads"])
def test_impossible_sizes_are_refused(option, capsys):
    with pytest.raises(SystemExit):
        cli.main(["benchmark", "engine", option, "0"])
    assert "0 is not a positive number" in capsys.readouterr().err
