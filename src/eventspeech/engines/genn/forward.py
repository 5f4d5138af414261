"""Forward phase: what the populations do in the steps n = 0..N-1 of a trial; `adjoint` is its mirror image.

One GeNN model runs both phases one after the other, GeNN's steps 0..N-1 forward and N..2N-1 backward, so that a batch
goes forward and backward with the same weights and has ended before the next begins:

    GeNN's step         0     1    ...   N-1  |   N     N+1   ...  2N-1
    step n of a trial   0     1    ...   N-1  |  N-1    N-2   ...   0
    spikes              written by step       |  read by step
                      Z[0]  Z[1]   ... Z[N-1] | Z[N-1] Z[N-2] ...  Z[0]

Z has a place for every sample, step and neuron: the denominator of a spike, bounded from below and so positive, or 0.
No buffer can overflow, and each place is written anew in every trial, with a spike or without.

In its step n GeNN first hands on what fired in step n - 1 (``Isyn``), then updates the neurons: that is I[n]. Step 0
takes nothing from before, whatever is still on its way there from an earlier trial: nothing leaks.

``t`` counts steps. Names in the code are those of `engines.equations`; ``here`` is a neuron's place in arrays [B, H],
``place`` that of its step n in arrays [B, N, H]. What is seldom needed is in such arrays and not in variables, which
GeNN reads and writes in every step.
"""

INPUT = """
const int source = n - Delays[(int)id / Channels];
Fires = (source >= 0) ? Spikes[(((int)batch * Steps) + source) * Channels + ((int)id % Channels)] : 0;
FiredBefore = 0;
"""
"""Copies of the channels, each with its delay; ``Spikes`` is uint8[B, N, C]."""

INPUT_THRESHOLD = "Fires"

SYNAPSE = "addToPost(g);"

ARRIVAL = """
const int here = ((int)batch * (int)num_neurons) + (int)id;
const int place = ((((int)batch * Steps) + n) * (int)num_neurons) + (int)id;
const scalar decayed = b * I;
I = (n == 0) ? 0 : decayed + Isyn;
V = (n == 0) ? 0 : V;
"""

SPIKING = """
if (n == 0) {
    Count[here] = 0;
    Floored[here] = 0;
    FiredBefore = 0;
}
V = (a * V) + (c * I);
Z[place] = 0;
"""

HELD = """
Free = (n == 0) ? 0 : Free;
if (n < Free) {
    V = 0;
    if (n + 1 == Free) {
        Restart[place - (Refractory * (int)num_neurons)] = I;
    }
}
if (V >= 1) {
    Free = n + 1 + Refractory;
    Restart[place] = 0;
}
"""
"""After :data:`SPIKING`, with a refractory period: ``Free`` is the first step in which a neuron is not held.
``Restart`` has the current of the step before it at the place of the spike, 0 if the trial ends before."""

CROSSING = """
if (V >= 1) {
    const scalar denominator = I - V;
    Z[place] = fmax(denominator, (scalar)Floor);
    Floored[here] += (denominator < Floor) ? 1 : 0;
    Count[here]++;
}
"""

THRESHOLD, RESET = "V >= 1", "V = 0;"

FIRST_SPIKE = """
First[here] = (n == 0) ? Steps : First[here];
if (V >= 1 && First[here] == Steps) {
    First[here] = n;
}
"""
"""After :data:`CROSSING`, of outputs."""

SUM = """
Value = (n == 0) ? 0 : Value + (Weighting[n] * V);
V = (a * V) + (c * I);
"""
"""``Weighting`` is float64[N], ``Value`` N S_o."""

MAX = """
if (n == 0) {
    Value = 0;
    Peak[here] = 0;
    Rise[here] = 0;
    Fall[here] = 0;
}
const scalar after = (a * V) + (c * I);
if (V > Value) {
    Value = V;
    Peak[here] = n;
    Rise[here] = (a * V) + (c * decayed) - V;
    Fall[here] = V - after;
}
V = after;
"""
"""``Rise`` is U - V_o[m], without what has just arrived, ``Fall`` V_o[m] - V_o[m+1]."""

TRACE_VOLTAGE = "VoltageTrace[place] = V;\n"

TRACE_CURRENT = "CurrentTrace[place] = I;\n"
