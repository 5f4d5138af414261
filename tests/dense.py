"""The equations of `engines.base` written out densely in numpy, slowly and plainly: the oracle of the tests."""

import numpy as np
from scipy.linalg import expm

from eventspeech.engines.base import coefficients
from eventspeech.losses import cross_entropy
from eventspeech.network import populations, time_constants


def run(network, weights, batch, objective):
    """Return losses float64[B], gradients and spike counts by layer, in float64."""
    constants = {name: time_constants(network, weights, name) for name in populations(network)}
    over = {name: coefficients(network.step_ms, *both) for name, both in constants.items()}
    moved = {name: derivatives(network.step_ms, *both) for name, both in constants.items()}
    steps, layers = network.steps, len(network.hidden)
    names = ["input", *(f"hidden{i + 1}" for i in range(layers)), "output"]
    trials, logits = [], []
    for s in range(len(batch)):
        spikes, states = [_delayed_input(network, batch, s)], [None]
        denominators = [None]
        for i, size in enumerate(network.hidden, 1):
            recurrent = weights.get(f"{names[i]}_{names[i]}", np.zeros((size, size)))
            drive = spikes[-1] @ weights[f"{names[i - 1]}_{names[i]}"]
            fired, z, state = _layer(drive, recurrent, *over[names[i]][:3])
            spikes.append(fired)
            denominators.append(z)
            states.append(state)
        drive = spikes[-1] @ weights[f"{names[-2]}_output"]
        a, b, c, *_ = over["output"]
        voltage, current, logit = np.zeros(network.outputs), np.zeros(network.outputs), np.zeros(network.outputs)
        states.append(np.zeros((2, steps, network.outputs)))
        for n in range(steps):
            logit += objective.weighting[n] * voltage / steps
            states[-1][:, n] = voltage, current
            voltage, current = a * voltage + c * current, b * current + drive[n]
        trials.append((spikes, denominators, states))
        logits.append(logit)
    losses, probabilities = cross_entropy(np.stack(logits), batch.labels)
    counts = [np.stack([trial[0][i].sum(axis=0) for trial in trials]) for i in range(1, layers + 1)]
    gradients = {name: np.zeros(array.shape) for name, array in weights.items()}
    for s, (spikes, denominators, states) in enumerate(trials):
        error = (np.eye(network.outputs)[batch.labels[s]] - probabilities[s]) / len(batch)
        (tau_mem, tau_syn), (a, b, c, k, p, q) = constants["output"], over["output"]
        lam_v, lam_i = np.zeros((steps + 1, network.outputs)), np.zeros((steps + 1, network.outputs))
        for n in reversed(range(steps)):
            lam_i[n] = b * lam_i[n + 1] + k * lam_v[n + 1]
            lam_v[n] = a * lam_v[n + 1] + objective.weighting[n] * error / (tau_mem * steps)
        jumped = lam_v[1:]
        _add_time_constants(gradients, "output", constants["output"], moved["output"], states[-1], jumped, lam_i)
        for i in reversed(range(1, layers + 1)):
            out = weights[f"{names[i]}_{names[i + 1]}"]
            gradients[f"{names[i]}_{names[i + 1]}"] -= tau_syn * (spikes[i].T @ lam_i[1:])
            recurrent = weights.get(f"{names[i]}_{names[i]}", np.zeros((len(out), len(out))))
            count = counts[i - 1].mean(axis=0) if objective.regulariser_batch else counts[i - 1][s]
            penalty = objective.regulariser_strength * (count - objective.regulariser_target) / len(batch)
            flow = (p * lam_v - q * lam_i)[1:] @ out.T
            (_, tau_syn), (a, b, _, k, p, q) = constants[names[i]], over[names[i]]
            lam_v, lam_i, jumped = _adjoint(spikes[i], denominators[i], flow, recurrent, penalty, (a, b, k, p, q))
            _add_time_constants(gradients, names[i], constants[names[i]], moved[names[i]], states[i], jumped, lam_i)
            if f"{names[i]}_{names[i]}" in gradients:
                gradients[f"{names[i]}_{names[i]}"] -= tau_syn * (spikes[i].T @ lam_i[1:])
        gradients[f"input_{names[1]}"] -= tau_syn * (spikes[0].T @ lam_i[1:])
    return losses, gradients, counts


def derivatives(step_ms, tau_mem_ms, tau_syn_ms):
    """Return d(a, c, b)/dtau_mem and d(a, c, b)/dtau_syn, each [3, H], as derivatives of a matrix exponential.

    One step is exp(D M) with M = [[-1/tau_mem, 1/tau_mem], [0, -1/tau_syn]]; its derivative along E stands in the upper
    right of exp(D [[M, E], [0, M]]) (Van Loan 1978), whatever the time constants.
    """
    found = []
    for mem, syn in zip(tau_mem_ms, tau_syn_ms, strict=True):
        system = np.array([[-1 / mem, 1 / mem], [0, -1 / syn]])
        by_mem, by_syn = np.array([[1, -1], [0, 0]]) / mem**2, np.array([[0, 0], [0, 1]]) / syn**2
        for along in (by_mem, by_syn):
            moved = expm(step_ms * np.block([[system, along], [np.zeros((2, 2)), system]]))[:2, 2:]
            found.append([moved[0, 0], moved[0, 1], moved[1, 1]])
    return np.array(found).T.reshape(3, -1, 2).transpose(2, 0, 1)


def _add_time_constants(gradients, name, constants, moved, state, jumped, lam_i):
    """Add dL/dV' times what V' moves by, and dL/dI times what I moves by, for both time constants of a population."""
    (tau_mem, tau_syn), (voltage, current) = constants, state
    for kind, (a, c, b) in zip(("tau_mem_ms", "tau_syn_ms"), moved, strict=True):
        if f"{name}_{kind}" in gradients:
            by_step = -tau_mem * jumped * (a * voltage + c * current) - tau_syn * lam_i[1:] * b * current
            by_neuron = by_step.sum(axis=0)
            gradients[f"{name}_{kind}"] += by_neuron if len(gradients[f"{name}_{kind}"]) > 1 else by_neuron.sum()


def _delayed_input(network, batch, s):
    events = slice(batch.offsets[s], batch.offsets[s + 1])
    dense = np.zeros((network.steps, len(network.delay_steps) * network.inputs))
    for step, channel in zip(batch.steps[events], batch.channels[events], strict=True):
        for copy, delay in enumerate(network.delay_steps):
            if step + delay < network.steps:
                dense[step + delay, copy * network.inputs + channel] = 1
    return dense


def _layer(drive, recurrent, a, b, c):
    steps, size = drive.shape
    voltage, current = np.zeros(size), np.zeros(size)
    spikes, denominators, states = np.zeros((steps, size)), np.ones((steps, size)), np.zeros((2, steps, size))
    for n in range(steps):
        states[:, n] = voltage, current
        voltage = a * voltage + c * current
        spikes[n] = voltage >= 1
        denominators[n] = current - voltage
        voltage = np.where(spikes[n] > 0, 0.0, voltage)
        current = b * current + drive[n] + spikes[n] @ recurrent
    return spikes, denominators, states


def _adjoint(spikes, denominators, flow, recurrent, penalty, over):
    """Return lamV[n] and lamI[n], [N + 1, H], and lamV[n + 1] after the jumps of step n, [N, H]."""
    a, b, k, p, q = over
    steps, size = spikes.shape
    lam_v, lam_i, jumped = np.zeros((steps + 1, size)), np.zeros((steps + 1, size)), np.zeros((steps, size))
    now_v, now_i = np.zeros(size), np.zeros(size)
    for n in reversed(range(steps)):
        z = np.where(spikes[n] > 0, denominators[n], 1.0)  # only spikes have a denominator
        jump = (now_v + flow[n] + recurrent @ (p * now_v - q * now_i)) / z - penalty
        now_v = now_v + np.where(spikes[n] > 0, jump, 0.0)
        jumped[n] = now_v
        now_v, now_i = a * now_v, b * now_i + k * now_v
        lam_v[n], lam_i[n] = now_v, now_i
    return lam_v, lam_i, jumped
