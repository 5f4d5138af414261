"""The equations of `engines.base` written out densely in numpy, slowly and plainly: the oracle of the tests."""

import numpy as np

from eventspeech.engines.base import coefficients
from eventspeech.losses import cross_entropy


def run(network, weights, batch, objective):
    """Return losses float64[B], gradients and spike counts by layer, in float64."""
    a, b, c, k, p, q = coefficients(network.step_ms, network.tau_mem_ms, network.tau_syn_ms)
    steps, layers = network.steps, len(network.hidden)
    names = ["input", *(f"hidden{i + 1}" for i in range(layers)), "output"]
    trials, logits = [], []
    for s in range(len(batch)):
        spikes = [_delayed_input(network, batch, s)]
        denominators = [None]
        for i, size in enumerate(network.hidden, 1):
            recurrent = weights.get(f"{names[i]}_{names[i]}", np.zeros((size, size)))
            fired, z = _layer(spikes[-1] @ weights[f"{names[i - 1]}_{names[i]}"], recurrent, a, b, c)
            spikes.append(fired)
            denominators.append(z)
        drive = spikes[-1] @ weights[f"{names[-2]}_output"]
        voltage, current, logit = np.zeros(network.outputs), np.zeros(network.outputs), np.zeros(network.outputs)
        for n in range(steps):
            logit += objective.weighting[n] * voltage / steps
            voltage, current = a * voltage + c * current, b * current + drive[n]
        trials.append((spikes, denominators))
        logits.append(logit)
    losses, probabilities = cross_entropy(np.stack(logits), batch.labels)
    counts = [np.stack([trial[0][i].sum(axis=0) for trial in trials]) for i in range(1, layers + 1)]
    gradients = {name: np.zeros(array.shape) for name, array in weights.items()}
    for s, (spikes, denominators) in enumerate(trials):
        error = (np.eye(network.outputs)[batch.labels[s]] - probabilities[s]) / len(batch)
        lam_v, lam_i = np.zeros((steps + 1, network.outputs)), np.zeros((steps + 1, network.outputs))
        for n in reversed(range(steps)):
            lam_i[n] = b * lam_i[n + 1] + k * lam_v[n + 1]
            lam_v[n] = a * lam_v[n + 1] + objective.weighting[n] * error / (network.tau_mem_ms * steps)
        for i in reversed(range(1, layers + 1)):
            out = weights[f"{names[i]}_{names[i + 1]}"]
            gradients[f"{names[i]}_{names[i + 1]}"] -= network.tau_syn_ms * spikes[i].T @ lam_i[1:]
            recurrent = weights.get(f"{names[i]}_{names[i]}", np.zeros((len(out), len(out))))
            count = counts[i - 1].mean(axis=0) if objective.regulariser_batch else counts[i - 1][s]
            penalty = objective.regulariser_strength * (count - objective.regulariser_target) / len(batch)
            flow = (p * lam_v - q * lam_i)[1:] @ out.T
            lam_v, lam_i = _adjoint(spikes[i], denominators[i], flow, recurrent, penalty, (a, b, k, p, q))
            if f"{names[i]}_{names[i]}" in gradients:
                gradients[f"{names[i]}_{names[i]}"] -= network.tau_syn_ms * spikes[i].T @ lam_i[1:]
        gradients[f"input_{names[1]}"] -= network.tau_syn_ms * spikes[0].T @ lam_i[1:]
    return losses, gradients, counts


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
    spikes, denominators = np.zeros((steps, size)), np.ones((steps, size))
    for n in range(steps):
        voltage = a * voltage + c * current
        spikes[n] = voltage >= 1
        denominators[n] = current - voltage
        voltage = np.where(spikes[n] > 0, 0.0, voltage)
        current = b * current + drive[n] + spikes[n] @ recurrent
    return spikes, denominators


def _adjoint(spikes, denominators, flow, recurrent, penalty, over):
    a, b, k, p, q = over
    steps, size = spikes.shape
    lam_v, lam_i = np.zeros((steps + 1, size)), np.zeros((steps + 1, size))
    now_v, now_i = np.zeros(size), np.zeros(size)
    for n in reversed(range(steps)):
        z = np.where(spikes[n] > 0, denominators[n], 1.0)  # only spikes have a denominator
        jump = (now_v + flow[n] + recurrent @ (p * now_v - q * now_i)) / z - penalty
        now_v = now_v + np.where(spikes[n] > 0, jump, 0.0)
        now_v, now_i = a * now_v, b * now_i + k * now_v
        lam_v[n], lam_i[n] = now_v, now_i
    return lam_v, lam_i
