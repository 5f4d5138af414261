"""Networks as NIR graphs: proven by spikes, in a reader that shares no code with the package, and in other programs."""

import importlib
import json

import numpy as np
import pytest
from support import foreign, nir_reader, trained

from eventspeech import cli, losses, network, params
from eventspeech.data.batches import Batch
from eventspeech.engines.cpu import CpuEngine
from eventspeech.errors import DataError, UserError
from eventspeech.params import CHANNELS, Shape
from eventspeech.records import model

nir = pytest.importorskip("nir", reason="nir: the package nir is not installed (pip install eventspeech[nir])")
exchange = pytest.importorskip("eventspeech.exchange.nir")

STEPS = 80


def make_model(path, kind="gaussian", hidden=(16,), step_ms=1.0, recurrent=True, constants="none", refractory_ms=0.0):
    """Write a network that is busy: some tens of spikes a neuron in 80 ms."""
    given = params.Network(
        hidden=list(hidden), recurrent=recurrent, input_mean=0.05, input_sd=0.1, recurrent_sd=0.3, output_mean=0.2,
        hidden_mean=0.5, hidden_sd=0.2, output_sd=0.2, step_ms=step_ms, refractory_ms=refractory_ms,
        delays=params.Delays(copies=3, interval_ms=4.0),
    )  # fmt: skip
    built = network.build(given, 4, STEPS * 1.0)
    weights = network.initial_weights(built, given, 1)
    if constants != "none":
        weights |= network.initial_time_constants(
            built, 2, constants, constants == "neuron", {"tau_mem_ms": 3.0, "tau_syn_ms": 2.0}
        )
    weights |= losses.learned_weight(Shape(kind=kind))
    meta = {
        "kind": "spiking", "loss": kind, "seed": 5, "fold": "held_out", "epoch": 7, "network": built.as_dict(),
        "shape": Shape(kind=kind).model_dump(mode="json"), "class_names": trained.WORDS, "heard_speakers": [],
        "validation_speakers": [], "spike_count": None, "origin": trained.ORIGIN,
    }  # fmt: skip
    model.save(path, weights, meta)
    return path


def drawn(on):
    """Draw input spikes, [N, C], five per channel and second."""
    return (np.random.default_rng(0).random((on.steps, CHANNELS)) < 0.005 * on.step_ms).astype(float)


def ours(found, on, dense):
    """Return spikes [N, H] of each hidden layer, voltages of the outputs before each step [N, K], and logits [K]."""
    steps, channels = np.nonzero(dense)
    batch = Batch(np.array([0, len(steps)]), steps.astype(np.int32), channels.astype(np.int32), np.zeros(1, np.int64))
    shape = Shape(**found.meta["shape"])
    weights, theta = losses.apart(found.arrays)
    seen = CpuEngine(on, 1).record(weights, batch, losses.objective(shape, on.steps, theta=theta))
    layers = []
    for size, spikes in zip(on.hidden, seen.hidden, strict=True):
        raster = np.zeros((on.steps, size))
        raster[spikes.steps, spikes.channels] = 1
        layers.append(raster)
    return layers, seen.output_voltage[0], seen.inference.logits[0]


def expanded(dense, on, delays):
    """Return the input of a graph: all delayed copies, or the channels as they are."""
    if delays == "nodes":
        return dense
    copies = [np.vstack([np.zeros((delay, CHANNELS)), dense[: len(dense) - delay]]) for delay in on.delay_steps]
    return np.hstack(copies)


CASES = {
    "recurrent": {},
    "two layers": {"hidden": (12, 8)},
    "feed-forward": {"recurrent": False},
    "time constants of populations": {"constants": "population"},
    "time constants of neurons": {"constants": "neuron"},
    "maximum": {"kind": "max"},
    "spiking outputs": {"kind": "first_spike"},
    "a learned weight": {"kind": "learned"},
}


@pytest.mark.parametrize("step_ms", [1.0, 0.5])
@pytest.mark.parametrize("delays", ["inputs", "nodes"])
@pytest.mark.parametrize("case", CASES)
def test_an_independent_reader_gives_the_same_spikes(tmp_path, case, delays, step_ms):
    path = make_model(tmp_path / "m.npz", **CASES[case])
    exchange.write(tmp_path / "m.nir", path, delays=delays)
    found = model.load(path)
    on = network.at_step(model.network_of(found), step_ms)
    dense = drawn(on)
    layers, voltage, logits = ours(found, on, dense)
    spikes, voltages = nir_reader.run(tmp_path / "m.nir", expanded(dense, on, delays), step_ms / 1000)
    for number, expected in enumerate(layers, 1):
        np.testing.assert_array_equal(spikes[f"hidden{number}"], expected)
        assert expected.sum() > 40 and expected.mean() < 0.5
    if CASES[case].get("kind") == "first_spike":
        fired = np.where(spikes["output"].any(axis=0), spikes["output"].argmax(axis=0), on.steps)
        np.testing.assert_allclose(-logits, fired * step_ms, rtol=1e-6)
    else:
        np.testing.assert_allclose(voltages["output"], voltage, rtol=1e-4, atol=1e-5)


def test_eulers_rule_gives_other_spikes(tmp_path):
    path = make_model(tmp_path / "m.npz")
    exchange.write(tmp_path / "m.nir", path)
    found = model.load(path)
    on = model.network_of(found)
    dense = drawn(on)
    layers, _, _ = ours(found, on, dense)
    spikes, _ = nir_reader.run(tmp_path / "m.nir", expanded(dense, on, "inputs"), 1e-3, euler=True)
    assert 0.001 < np.mean(spikes["hidden1"] != layers[0]) < 0.2


@pytest.mark.parametrize("kind", ["gaussian", "first_spike"])
@pytest.mark.parametrize("constants", ["none", "neuron"])
def test_the_scaling_for_snntorch_by_its_own_rule(tmp_path, constants, kind):
    """Its importer's arithmetic, written down: dt = 0.1 ms, alpha = 1 - dt / tau_syn, beta = 1 - dt / tau_mem."""
    path = make_model(tmp_path / "m.npz", constants=constants, kind=kind)
    exchange.write(tmp_path / "m.nir", path, scaling="snntorch")
    found, dt = model.load(path), 1e-4
    on = model.network_of(found)
    dense = drawn(on)
    layers, voltage, logits = ours(found, on, dense)
    nodes, _ = nir_reader.read(tmp_path / "m.nir")
    for name in ("hidden1", "output"):
        np.testing.assert_allclose(nodes[name]["r"], nodes[name]["tau_mem"] / dt)
        np.testing.assert_allclose(nodes[name]["w_in"] * dt / nodes[name]["tau_syn"], 1)
        assert nodes[name]["type"] == "CubaLIF"
    state = {name: np.zeros((3, len(nodes[name]["tau_mem"]))) for name in ("hidden1", "output")}
    spikes, sums, fired = np.zeros_like(layers[0]), np.zeros_like(voltage), np.full(4, on.steps)
    weight = {name: one["weight"] for name, one in nodes.items() if one["type"] == "Linear"}
    np.testing.assert_array_equal(weight["hidden1_hidden1_same"], np.eye(16))
    wide = np.vstack([np.zeros(3 * CHANNELS), expanded(dense, on, "inputs")[:-1]])  # a step later
    for n, arriving in enumerate(wide):
        hidden = state["hidden1"][2]
        drive = {"hidden1": weight["input_hidden1"] @ arriving + weight["hidden1_hidden1"] @ hidden}
        drive["output"] = weight["hidden1_output"] @ hidden  # of the step before, so that steps agree
        sums[n] = state["output"][1]
        for name, (current, volts, spike) in state.items():
            one = nodes[name]
            current[:] = (1 - dt / one["tau_syn"]) * current + drive[name]
            volts[:] = (1 - dt / one["tau_mem"]) * volts + current
            spike[:] = volts > one["v_threshold"]
            volts[spike > 0] = 0
        spikes[n] = state["hidden1"][2]
        fired = np.where((state["output"][2] > 0) & (fired == on.steps), n, fired)
    np.testing.assert_array_equal(spikes, layers[0])
    if kind == "first_spike":
        np.testing.assert_allclose(-logits, fired * on.step_ms, rtol=1e-6)
    else:
        np.testing.assert_allclose(sums, voltage, rtol=1e-3, atol=1e-4)


def _snntorch(graph):
    return importlib.import_module("snntorch.import_nir").import_from_nir(graph)


def _norse(graph):
    return importlib.import_module("norse.torch").from_nir(graph, dt=1e-4)


@pytest.mark.parametrize("case", ["recurrent", "feed-forward", "two layers", "time constants of neurons"])
@pytest.mark.parametrize(("program", "load"), [("snntorch", _snntorch), ("norse", _norse)])
def test_other_programs_give_the_same_spikes(tmp_path, program, load, case):
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip(program, reason=f"{program} is not installed")
    path = make_model(tmp_path / "m.npz", **CASES[case])
    exchange.write(tmp_path / "m.nir", path, scaling="snntorch")
    found = model.load(path)
    on = model.network_of(found)
    dense = drawn(on)
    layers, _, _ = ours(found, on, dense)
    seen = foreign.spikes(load(nir.read(str(tmp_path / "m.nir"))), expanded(dense, on, "inputs"), len(layers))
    for later, (spikes, expected) in enumerate(zip(seen, layers, strict=True)):
        # a spike of the layer below acts in its own step there, in the next one here
        np.testing.assert_array_equal(spikes[: on.steps - later], expected[later:])


@pytest.mark.parametrize("delays", ["inputs", "nodes"])
@pytest.mark.parametrize("case", CASES)
def test_a_network_comes_back_to_the_bit(tmp_path, case, delays):
    path = make_model(tmp_path / "m.npz", **CASES[case])
    assert cli.main(["export", str(path), "--to", "nir", str(tmp_path / "m.nir"), "--delays", delays]) == 0
    assert cli.main(["import", str(tmp_path / "m.nir"), str(tmp_path / "back.npz")]) == 0
    assert (tmp_path / "back.npz").read_bytes() == path.read_bytes()


def test_the_metadata_say_what_nir_does_not(tmp_path):
    path = make_model(tmp_path / "m.npz")
    exchange.write(tmp_path / "m.nir", path)
    told = json.loads(nir.read(str(tmp_path / "m.nir")).metadata["eventspeech"])
    found = model.load(path)
    assert (told["delays_ms"], told["step_ms"], told["trial_ms"]) == ([0, 4, 8], 1.0, 80.0)
    assert told["meta"] == found.meta and told["sha256"] == model.digest(found.arrays, found.meta)


def test_a_graph_of_another_program_is_like_a_model(tmp_path):
    """Other names, other units of current and threshold, a bias of zero: the same network."""
    path = make_model(tmp_path / "m.npz", constants="population")
    found = model.load(path)
    graph = exchange.to_nir(found)
    names = {name: f"layer.{number}" for number, name in enumerate(graph.nodes)}
    nodes = {names[name]: node for name, node in graph.nodes.items()}
    hidden, into = nodes[names["hidden1"]], names["input_hidden1"]
    hidden.v_threshold, hidden.r, hidden.w_in = 3 * hidden.v_threshold, 6 * hidden.r, 0.5 * hidden.w_in
    nodes[into] = nir.Affine(weight=nodes[into].weight, bias=np.zeros(16))
    nir.write(str(tmp_path / "other.nir"), nir.NIRGraph(nodes, [(names[a], names[b]) for a, b in graph.edges]))
    with pytest.raises(DataError, match=r"other\.nir does not say its words, loss, trial and cochlea.* with --like"):
        exchange.read(tmp_path / "other.nir")
    back = exchange.read(tmp_path / "other.nir", like=path)
    assert back.meta == found.meta and back.arrays.keys() == found.arrays.keys()
    for name, array in found.arrays.items():
        np.testing.assert_allclose(back.arrays[name], array, rtol=1e-6)


def altered(found, change):
    graph = exchange.to_nir(found)
    change(graph)
    return graph


def _set(node, name, value):
    return lambda graph: setattr(graph.nodes[node], name, value)


def _told(**changes):
    def change(graph):
        graph.metadata["eventspeech"] = json.dumps(json.loads(graph.metadata["eventspeech"]) | changes)

    return change


def _without(*names):
    def change(graph):
        for name in names:
            del graph.nodes[name]
        graph.edges = [edge for edge in graph.edges if not set(names) & set(edge)]

    return change


def _add(name, node, *edges):
    def change(graph):
        graph.nodes[name] = node
        graph.edges = [*graph.edges, *edges]

    return change


FOREIGN = {
    "a leak": (_set("hidden1", "v_leak", np.full(16, 0.1)), "v_leak of its hidden1 is not 0"),
    "a reset": (_set("hidden1", "v_reset", np.full(16, -1.0)), "v_reset of its hidden1 is not 0"),
    "no threshold": (_set("hidden1", "v_threshold", np.zeros(16)), "of its hidden1 give no finite number"),
    "no recurrence": (_without("hidden1_hidden1"), "it lacks the connection hidden1_hidden1"),
    "no output": (_without("hidden1_output"), "0 populations follow its hidden1"),
    "no input": (_without("input"), "it has 0 inputs and 1 outputs"),
    "another node": (_add("extra", nir.Threshold(np.ones(3))), "it has a node Threshold"),
    "a weight too wide": (
        _set("hidden1_output", "weight", np.zeros((4, 17))),
        "hidden1_output has the shape (4, 17)",
    ),
    "a way past": (
        _add("skip", nir.Linear(np.zeros((4, 2100))), ("input", "skip"), ("skip", "output")),
        "2 populations follow its input",
    ),
    "a weight that ends nowhere": (
        _add("skip", nir.Linear(np.zeros((4, 16))), ("hidden1", "skip")),
        "skip does not",
    ),
    "a bias": (
        lambda graph: graph.nodes.update(hidden1_output=nir.Affine(graph.nodes["hidden1_output"].weight, np.ones(4))),
        "its hidden1_output has a bias",
    ),
    "NaN": (lambda graph: graph.nodes["hidden1_output"].weight.fill(np.nan), "hold NaN or infinity"),
    "outputs that spike": (
        lambda graph: graph.nodes.update(
            output=nir.CubaLIF(*(np.ones(4) for _ in range(3)), v_leak=np.zeros(4), v_threshold=np.ones(4))
        ),
        "its output is CubaLIF[4], not CubaLI[4]",
    ),
    "another version": (_told(format=2), "was exported by another version (format 2)"),
    "scaled": (_told(scaling="snntorch"), "is scaled for 'snntorch', which loses digits"),
    "no meta data": (_told(meta={}), "lacks the field kind"),
    "a damaged model": (_told(meta={"kind": "spiking"}), "lacks the field"),
    "no sizes": (_told(constants=[1]), "its metadata hold no sizes of time constants"),
    "metadata of text": (lambda graph: graph.metadata.update(eventspeech="{"), "its metadata are unreadable"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_is_no_network_of_this_program_is_refused(tmp_path, case):
    change, sentence = FOREIGN[case]
    graph = altered(model.load(make_model(tmp_path / "m.npz")), change)
    with pytest.raises(DataError) as caught:
        exchange.from_nir(graph, tmp_path / "m.nir")
    assert sentence in str(caught.value) and str(caught.value).startswith(str(tmp_path / "m.nir"))


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "notes.nir").write_text("no graph")
    for name, sentence in {"notes.nir": "is no NIR graph", "nothing.nir": "does not exist"}.items():
        with pytest.raises(DataError, match=rf"{name} {sentence}.*; check the path"):
            exchange.read(tmp_path / name)


def test_a_refractory_period_cannot_be_said(tmp_path):
    path = make_model(tmp_path / "m.npz", refractory_ms=2.0)
    with pytest.raises(
        UserError, match=r"m\.npz has a refractory period of 2 ms, which no node of NIR has; train with"
    ):
        exchange.write(tmp_path / "m.nir", path)


def test_without_the_package_one_sentence_says_so(tmp_path, monkeypatch, capsys):
    path = make_model(tmp_path / "m.npz")
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    assert cli.main(["export", str(path), str(tmp_path / "m.nir")]) == 2
    assert "NIR graphs need the package nir; run `pip install eventspeech[nir]`." in capsys.readouterr().err
