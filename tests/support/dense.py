"""The equations of `engines.equations` written out densely in numpy, slowly and plainly: the oracle of the tests."""

import numpy as np
from scipy.linalg import expm

from eventspeech.engines.equations import coefficients
from eventspeech.losses import cross_entropy
from eventspeech.network import populations, time_constants


def run(network, weights, batch, objective):
    """Return losses float64[B], gradients and spike counts by layer, in float64."""
    constants = {name: time_constants(network, weights, name) for name in populations(network)}
    over = {name: coefficients(network.step_ms, *both) for name, both in constants.items()}
    moved = {name: derivatives(network.step_ms, *both) for name, both in constants.items()}
    layers = len(network.hidden)
    names = ["input", *(f"hidden{i + 1}" for i in range(layers)), "output"]
    trials, outputs = [], []
    for s in range(len(batch)):
        spikes, states = [_delayed_input(network, batch, s)], [None]
        denominators = [None]
        for i, size in enumerate(network.hidden, 1):
            recurrent = weights.get(f"{names[i]}_{names[i]}", np.zeros((size, size)))
            drive = spikes[-1] @ weights[f"{names[i - 1]}_{names[i]}"]
            fired, z, state = _layer(drive, recurrent, *over[names[i]][:3], network.refractory_steps)
            spikes.append(fired)
            denominators.append(z)
            states.append(state)
        drive = spikes[-1] @ weights[f"{names[-2]}_output"]
        read, state, adjoint = OUTPUTS[objective.readout](network, drive, objective, over["output"])
        states.append(state)
        trials.append((spikes, denominators, states, adjoint))
        outputs.append(read)
    losses, errors = _score(np.stack(outputs), batch.labels, objective)
    counts = [np.stack([trial[0][i].sum(axis=0) for trial in trials]) for i in range(1, layers + 1)]
    gradients = {name: np.zeros(array.shape) for name, array in weights.items()}
    for s, (spikes, denominators, states, adjoint) in enumerate(trials):
        (tau_mem, tau_syn), (*_, p, q) = constants["output"], over["output"]
        # unseen: what R of the layer below must not see of lamV
        lam_v, lam_i, jumped, unseen = adjoint(errors[s] / len(batch), tau_mem)
        _add_time_constants(gradients, "output", constants["output"], moved["output"], states[-1], jumped, lam_i)
        for i in reversed(range(1, layers + 1)):
            out = weights[f"{names[i]}_{names[i + 1]}"]
            gradients[f"{names[i]}_{names[i + 1]}"] -= tau_syn * (spikes[i].T @ lam_i[1:])
            recurrent = weights.get(f"{names[i]}_{names[i]}", np.zeros((len(out), len(out))))
            count = counts[i - 1].mean(axis=0) if objective.regulariser_batch else counts[i - 1][s]
            penalty = objective.regulariser_strength * (count - objective.regulariser_target) / len(batch)
            flow = (p * (lam_v - unseen) - q * lam_i)[1:] @ out.T
            unseen = 0
            (_, tau_syn), (a, b, _, k, p, q) = constants[names[i]], over[names[i]]
            lam_v, lam_i, jumped = _adjoint(
                spikes[i], denominators[i], flow, recurrent, penalty, (a, b, k, p, q), states[i][1],
                network.refractory_steps,
            )  # fmt: skip
            _add_time_constants(gradients, names[i], constants[names[i]], moved[names[i]], states[i], jumped, lam_i)
            if f"{names[i]}_{names[i]}" in gradients:
                gradients[f"{names[i]}_{names[i]}"] -= tau_syn * (spikes[i].T @ lam_i[1:])
        gradients[f"input_{names[1]}"] -= tau_syn * (spikes[0].T @ lam_i[1:])
    return losses, gradients, counts


def _score(values, labels, objective):
    """Return losses and minus their derivatives by what was read."""
    if objective.readout != "first_spike":
        losses, probabilities = cross_entropy(values, labels)
        return losses, np.eye(values.shape[1])[labels] - probabilities
    tau0, tau1, alpha = objective.first_spike
    losses, probabilities = cross_entropy(-values / tau0, labels)
    right, own = np.eye(values.shape[1])[labels], values[np.arange(len(labels)), labels]
    late = right * (alpha / tau1 * np.exp(own / tau1))[:, None]
    return losses + alpha * (np.exp(own / tau1) - 1), -((right - probabilities) / tau0 + late)


def _integrate(network, drive, over):
    """Return V[0..N] and I[0..N] of the leaky integrators, [2, N + 1, O]."""
    a, b, c, *_ = over
    state = np.zeros((2, len(drive) + 1, network.outputs))
    for n, arriving in enumerate(drive):
        voltage, current = state[:, n]
        state[:, n + 1] = a * voltage + c * current, b * current + arriving
    return state


def _push(network, pushes, over):
    """Return lamV and lamI of the leaky integrators for what is added to lamV in every step; and lamV[n + 1]."""
    a, b, _, k, _, _ = over
    lam_v, lam_i = np.zeros((len(pushes) + 1, network.outputs)), np.zeros((len(pushes) + 1, network.outputs))
    for n in reversed(range(len(pushes))):
        lam_i[n] = b * lam_i[n + 1] + k * lam_v[n + 1]
        lam_v[n] = a * lam_v[n + 1] + pushes[n]
    return lam_v, lam_i, lam_v[1:]


# each returns what is read, V and I before every step, and a function that gives the adjoints (see `run`)


def _sum(network, drive, objective, over):
    state = _integrate(network, drive, over)[:, :-1]

    def adjoint(error, tau_mem):
        return *_push(network, np.outer(objective.weighting, error / (tau_mem * network.steps)), over), 0

    return objective.weighting @ state[0] / network.steps, state, adjoint


def _max(network, drive, objective, over):
    a, b, c, *_ = over
    state = _integrate(network, drive, over)
    voltage, current = state
    peak = voltage[:-1].argmax(axis=0)
    each = peak, np.arange(network.outputs)

    def adjoint(error, tau_mem):
        pushes, unseen = np.zeros_like(drive), np.zeros_like(voltage)
        pushes[each] = error / tau_mem
        for o, m in enumerate(peak):
            if m > 0:
                undisturbed = (a * voltage[m] + c * b * current[m - 1])[o]
                if undisturbed > voltage[m, o] >= voltage[m + 1, o]:
                    taken = undisturbed - voltage[m + 1, o]
                    unseen[m, o] = pushes[m, o] * (voltage[m, o] - voltage[m + 1, o]) / taken
        return *_push(network, pushes, over), unseen

    return voltage[each], state[:, :-1], adjoint


def _first_spike(network, drive, objective, over):
    a, b, c, k, p, q = over
    none = np.zeros((network.outputs, network.outputs))
    fired, z, state = _layer(drive, none, a, b, c, network.refractory_steps)
    silent = ~fired.any(axis=0)
    first = np.where(silent, network.steps, fired.argmax(axis=0))

    def adjoint(error, tau_mem):
        timing = np.zeros_like(fired)
        timing[first[~silent], np.flatnonzero(~silent)] = -error[~silent]
        held = network.refractory_steps
        return *_adjoint(fired, z, timing, none, 0.0, (a, b, k, p, q), state[1], held), 0

    return first * network.step_ms, state, adjoint


OUTPUTS = {"sum": _sum, "max": _max, "first_spike": _first_spike}


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


def _layer(drive, recurrent, a, b, c, refractory):
    steps, size = drive.shape
    voltage, current = np.zeros(size), np.zeros(size)
    left = np.zeros(size, int)  # steps for which a neuron is still held
    spikes, denominators, states = np.zeros((steps, size)), np.ones((steps, size)), np.zeros((2, steps, size))
    for n in range(steps):
        states[:, n] = voltage, current
        voltage = np.where(left > 0, 0.0, a * voltage + c * current)
        spikes[n] = voltage >= 1
        left = np.where(spikes[n] > 0, refractory, np.maximum(left - 1, 0))
        denominators[n] = current - voltage
        voltage = np.where(spikes[n] > 0, 0.0, voltage)
        current = b * current + drive[n] + spikes[n] @ recurrent
    return spikes, denominators, states


def _adjoint(spikes, denominators, flow, recurrent, penalty, over, currents, refractory):
    """Return lamV[n] and lamI[n], [N + 1, H], and lamV[n + 1] after the jumps of step n, [N, H]."""
    a, b, k, p, q = over
    steps, size = spikes.shape
    lam_v, lam_i, jumped = np.zeros((steps + 1, size)), np.zeros((steps + 1, size)), np.zeros((steps, size))
    now_v, now_i = np.zeros(size), np.zeros(size)
    driven = np.zeros((steps, size))  # lamV I at the restart after each spike
    for n in reversed(range(steps)):
        z = np.where(spikes[n] > 0, denominators[n], 1.0)  # only spikes have a denominator
        received = flow[n] + recurrent @ (p * now_v - q * now_i)
        if 0 < refractory <= n:
            awake = spikes[n - refractory] > 0
            driven[n - refractory] = np.where(awake, now_v * currents[n], 0.0)
            now_v = np.where(awake, 0.0, now_v)
        own = driven[n] if refractory else now_v
        jump = (own + received) / z - penalty
        now_v = now_v + np.where(spikes[n] > 0, jump, 0.0)
        jumped[n] = now_v
        now_v, now_i = a * now_v, b * now_i + k * now_v
        lam_v[n], lam_i[n] = now_v, now_i
    return lam_v, lam_i, jumped
