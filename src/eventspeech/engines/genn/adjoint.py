"""Backward phase: what the populations do in the steps n = N-1..0, after the trial; the mirror image of `forward`.

A spike of step n needs what its targets hold after step n + 1 (R and lamI[n+1] of `engines.equations`). GeNN hands
events on at the start of a step, before the neurons are updated: a neuron says in step n + 1 that it fired in step n:

    GeNN's step for n + 1:   neurons      lamV[n+1], lamI[n+1];  FiredBefore, if Z[n] > 0
    GeNN's step for n:       synapses     of those: Gradient += lamI_post[n+1],  Flow += w (p lamV - q lamI)_post[n+1]
                             neurons      if Z[n] > 0: jump;  lamV[n], lamI[n];  FiredBefore, if Z[n-1] > 0

Step N-1 is the first and takes nothing from before: lamV[N] = lamI[N] = 0. ``Gradient`` lacks the factor -tau_syn.
"""

INPUT = """
const int before = n - 1 - Delays[(int)id / Channels];
Fires = 0;
FiredBefore = (before >= 0) ? Spikes[(((int)batch * Steps) + before) * Channels + ((int)id % Channels)] : 0;
"""

EVENT = "FiredBefore_pre"

SYNAPSE = """
Gradient += LambdaI_post;
addToPre(g * Difference_post);
"""

INPUT_SYNAPSE = "Gradient += LambdaI_post;"

START = """
const int here = ((int)batch * (int)num_neurons) + (int)id;
const int place = ((((int)batch * Steps) + n) * (int)num_neurons) + (int)id;
LambdaV = (n == Steps - 1) ? 0 : LambdaV;
LambdaI = (n == Steps - 1) ? 0 : LambdaI;
"""

OWN = "const scalar own = LambdaV;\n"

RESTART = """
Carried = (n == Steps - 1) ? 0 : Carried;
if (n >= Refractory && Z[place - (Refractory * (int)num_neurons)] > 0) {
    Carried = LambdaV;
    LambdaV = 0;
}
const scalar own = Carried * Restart[place];
"""
"""Instead of :data:`OWN`, with a refractory period; ``Carried`` is lamV at the restart that follows."""

JUMP = """
if (Z[place] > 0) {
    LambdaV += ((own + Flow) / Z[place]) - Penalty[here];
}
FiredBefore = (n > 0) ? (Z[place - (int)num_neurons] > 0) : 0;
"""

FIRST_SPIKE = """
if (Z[place] > 0) {
    LambdaV += (own + ((n == First[here]) ? Slope[here] : 0)) / Z[place];
}
"""
"""Instead of :data:`JUMP`, of outputs; ``Slope`` is dL/dt_o."""

PRODUCTS = """
if (n == Steps - 1) {
    Drift = 0;
    Charge = 0;
    Current = 0;
}
Drift += LambdaV * (VoltageTrace[place] - CurrentTrace[place]);
Charge += LambdaV * CurrentTrace[place];
Current += LambdaI * CurrentTrace[place];
"""
"""Sums of `engines.equations.Products`, with lamV[n+1] after the jumps of step n and lamI[n+1]."""

DECAY = """
LambdaI = (b * LambdaI) + (k * LambdaV);
LambdaV = a * LambdaV;
"""

SUM = "LambdaV += (scalar)Weighting[n] * Drive[here];\n"

MAX = "LambdaV += (n == Peak[here]) ? Drive[here] : 0;\n"

DIFFERENCE = "Difference = (p * LambdaV) - (q * LambdaI);\n"

MAX_DIFFERENCE = "Difference = (p * (LambdaV - ((n == Peak[here]) ? Unseen[here] : 0))) - (q * LambdaI);\n"
"""``Unseen`` is (1 - r) g_o, what R must not see of lamV at the maximum."""
