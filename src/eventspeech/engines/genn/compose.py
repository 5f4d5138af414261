"""Putting the GeNN model of a network together: populations, connections, and the sums of gradients."""

import math
from typing import Any, NamedTuple

import numpy as np

from eventspeech.engines.equations import DENOMINATOR_FLOOR
from eventspeech.engines.genn import adjoint, definitions, forward, install
from eventspeech.engines.genn.definitions import Neurons
from eventspeech.errors import UserError
from eventspeech.network import Network, connections, populations

LARGEST = 2**31 - 1
"""Of type int."""


class Plan(NamedTuple):
    """All that a model depends on.

    Attributes:
        network: the network.
        readout: what is read of the outputs, as in `losses.Objective`.
        learned: populations whose time constants have gradients.
        samples: B.
        backend: GeNN's name of it.
    """

    network: Network
    readout: str
    learned: tuple[str, ...]
    samples: int
    backend: str

    def cells(self) -> dict[str, Neurons]:
        """Return what each population computes."""
        return {"input": definitions.inputs()} | {
            name: definitions.neurons(
                self.readout if name == "output" else "hidden",
                name in self.learned,
                self.network.refractory_steps > 0,
            )
            for name in populations(self.network)
        }

    def key(self) -> str:
        """Return a text that differs where the code may differ."""
        return repr((self, self.cells(), DENOMINATOR_FLOOR))

    def words(self) -> str:
        """Return a description for messages."""
        hidden = "-".join(map(str, self.network.hidden))
        return f"{hidden} hidden, loss of kind {self.readout}, backend {self.backend}, batch {self.samples}"


class Parts(NamedTuple):
    """GeNN's objects: the model, its populations, its connections, and what sums each connection's gradients."""

    model: Any
    groups: dict[str, Any]
    synapses: dict[str, Any]
    totals: dict[str, Any]


def compose(plan: Plan) -> Parts:
    """Return the complete model, not yet built.

    Raises:
        UserError: a batch is too large for GeNN's code.
    """
    from pygenn import GeNNModel

    _refuse_long_arrays(plan)
    model = GeNNModel("float", "trial", backend=plan.backend, **install.preferences(plan.backend))
    model.dt = 1.0  # time is counted in steps
    model.batch_size = plan.samples
    model.fuse_postsynaptic_models = True
    sizes = {"input": plan.network.inputs * len(plan.network.delay_steps), **populations(plan.network)}
    groups = {name: _add_population(model, plan, name, sizes[name], cells) for name, cells in plan.cells().items()}
    synapses = {c.name: _add_connection(model, groups, c.name) for c in connections(plan.network)}
    totals = {name: _add_updates(model, name, group) for name, group in synapses.items()}
    return Parts(model, groups, synapses, totals)


def _refuse_long_arrays(plan: Plan) -> None:
    """Places in arrays are of type int in the code."""
    each = plan.network.steps * max(plan.network.inputs, *populations(plan.network).values())
    if plan.samples * each > LARGEST:
        raise UserError(
            f"A batch of {plan.samples} needs arrays of {plan.samples * each} places, and GeNN's code counts to "
            f"{LARGEST}; set train.batch_size (evaluate.batch_size) to at most {LARGEST // each}."
        )


def _add_population(model: Any, plan: Plan, name: str, size: int, cells: Neurons) -> Any:
    from pygenn import VarAccess, create_neuron_model

    network, shared = plan.network, cells.coefficients
    neuron = create_neuron_model(
        name,
        params=[("Steps", "int"), ("Channels", "int"), ("Refractory", "int"), ("Floor", "scalar")],
        vars=[*cells.variables.items(), *((k, "scalar", VarAccess.READ_ONLY) for k in shared)],
        extra_global_params=[(array, f"{kind}*") for array, kind in cells.arrays.items()],
        additional_input_vars=[("Flow", "scalar", 0.0)],
        sim_code=cells.code,
        threshold_condition_code=cells.threshold,
        reset_code=cells.reset,
    )
    constants = {
        "Steps": network.steps,
        "Channels": network.inputs,
        "Refractory": network.refractory_steps,
        "Floor": DENOMINATOR_FLOOR,
    }
    start = dict.fromkeys([*cells.variables, *shared], 0)
    group = model.add_neuron_population(name, size, neuron, constants, start)
    lengths = {"B": plan.samples, "N": network.steps, "C": network.inputs, "K": len(network.delay_steps), "H": size}
    for array in cells.arrays:
        length = math.prod(lengths[dimension] for dimension in definitions.LENGTHS.get(array, "BH"))
        values = network.delay_steps if array == "Delays" else np.zeros(length, np.uint8)
        group.extra_global_params[array].set_init_values(values)
    return group


def _add_connection(model: Any, groups: dict[str, Any], name: str) -> Any:
    """Add a connection: it hands on spikes in the forward phase, events in the backward phase."""
    from pygenn import VarAccess, create_weight_update_model, init_postsynaptic, init_weight_update

    before, after = name.split("_")
    read = ["LambdaI"] if before == "input" else ["LambdaI", "Difference"]
    weights = create_weight_update_model(
        "Weights",
        vars=[("g", "scalar", VarAccess.READ_ONLY), ("Gradient", "scalar")],
        pre_neuron_var_refs=[("FiredBefore_pre", "uint8_t")],
        post_neuron_var_refs=[(f"{variable}_post", "scalar") for variable in read],
        pre_spike_syn_code=forward.SYNAPSE,
        pre_event_threshold_condition_code=adjoint.EVENT,
        pre_event_syn_code=adjoint.INPUT_SYNAPSE if before == "input" else adjoint.SYNAPSE,
    )
    group = model.add_synapse_population(
        name,
        "DENSE",
        groups[before],
        groups[after],
        init_weight_update(
            weights,
            vars={"g": 0, "Gradient": 0},
            pre_var_refs={"FiredBefore_pre": "FiredBefore"},
            post_var_refs={f"{variable}_post": variable for variable in read},
        ),
        init_postsynaptic("DeltaCurr"),
    )
    group.pre_target_var = "Flow"
    return group


def _add_updates(model: Any, name: str, synapses: Any) -> Any:
    """Add what forgets a connection's gradients, and what sums them over samples; return the latter."""
    from pygenn import CustomUpdateVarAccess, create_custom_update_model, create_wu_var_ref

    clear = create_custom_update_model("Clear", var_refs=[("Gradient", "scalar")], update_code="Gradient = 0;")
    total = create_custom_update_model(
        "Total",
        vars=[("Sum", "scalar", CustomUpdateVarAccess.REDUCE_BATCH_SUM)],
        var_refs=[("Gradient", "scalar")],
        update_code="Sum = Gradient;",
    )
    gradient = {"Gradient": create_wu_var_ref(synapses, "Gradient")}
    model.add_custom_update(f"{name}_clear", "Clear", clear, {}, {}, gradient)
    return model.add_custom_update(f"{name}_total", "Total", total, {}, {"Sum": 0}, gradient)
