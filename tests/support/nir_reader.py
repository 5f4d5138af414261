"""An independent reader of NIR: HDF5 by h5py, the equations as NIR prints them, no code of this package.

Between the steps of its grid it integrates exactly or by Euler. A spike of a step is there from the next step on.
"""

import math

import h5py
import numpy as np


def read(path):
    """Return nodes (name to type and arrays) and edges of a file."""
    with h5py.File(path, "r") as file:
        node = file["node"]
        nodes = {
            name: {key: value[()] for key, value in one.items() if isinstance(value, h5py.Dataset)}
            for name, one in node["nodes"].items()
        }
        edges = [(source.decode(), target.decode()) for source, target in node["edges"][()]]
    return {name: one | {"type": one["type"].decode()} for name, one in nodes.items()}, edges


def run(path, inputs, dt, euler=False):
    """Run a graph on inputs [N, C], dt in s; return name of each neuron node to its spikes [N, H] and voltages [N, H].

    Voltages are those before each step; delays are whole steps.
    """
    nodes, edges = read(path)
    neurons = {name: one for name, one in nodes.items() if one["type"] in ("CubaLIF", "CubaLI")}
    spikes = {name: np.zeros((len(inputs), len(one["tau_mem"]))) for name, one in neurons.items()}
    voltages = {name: np.zeros((len(inputs), len(one["tau_mem"]))) for name, one in neurons.items()}
    state = {name: np.zeros((2, len(one["tau_mem"]))) for name, one in neurons.items()}

    def sent(name, n):
        """What a node gives in step n; a delay's output is its input so many steps ago."""
        one = nodes[name]
        if one["type"] == "Input":
            return inputs[n] if n >= 0 else np.zeros(inputs.shape[1])
        if name in neurons:
            return spikes[name][n] if n >= 0 else np.zeros(spikes[name].shape[1])
        before = [source for source, target in edges if target == name]
        if one["type"] == "Delay":
            [steps] = set(np.round(one["delay"] / dt).astype(int))
            return sum(sent(source, n - steps) for source in before)
        return one["weight"] @ sum(sent(source, n) for source in before)

    for n in range(len(inputs)):
        for name, one in neurons.items():
            voltage, current = state[name]
            voltages[name][n] = voltage
            state[name][0] = _voltage(one, voltage, current, dt, euler)
            if one["type"] == "CubaLIF":
                spikes[name][n] = state[name][0] > one["v_threshold"]
                state[name][0] = np.where(spikes[name][n] > 0, one["v_reset"], state[name][0])
        for name, one in neurons.items():
            arriving = sum(sent(source, n) for source, target in edges if target == name)
            decay = 1 - dt / one["tau_syn"] if euler else np.exp(-dt / one["tau_syn"])
            state[name][1] = decay * state[name][1] + one["w_in"] / one["tau_syn"] * arriving
    return spikes, voltages


def _voltage(one, voltage, current, dt, euler):
    """Return v after dt, of tau_mem v' = v_leak - v + r I with I' = -I / tau_syn."""
    mem, syn = one["tau_mem"], one["tau_syn"]
    if euler:
        return voltage + dt / mem * (one["v_leak"] - voltage + one["r"] * current)
    a, b = np.exp(-dt / mem), np.exp(-dt / syn)
    from_current = [
        dt / m * math.exp(-dt / m) if math.isclose(m, s) else s / (m - s) * (x - y)
        for m, s, x, y in zip(mem, syn, a, b, strict=True)
    ]
    return one["v_leak"] + a * (voltage - one["v_leak"]) + one["r"] * current * np.array(from_current)
