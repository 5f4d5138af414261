r"""NIR, the Neuromorphic Intermediate Representation (Pedersen et al. 2024, Nature Communications 15, 8122).

A graph of nodes: ``Linear`` for each connection, ``CubaLIF`` for each hidden layer (and for outputs that spike),
``CubaLI`` for outputs that do not, between one ``Input`` and one ``Output``. Times are in seconds.

NIR's equations are tau_syn I' = -I + w_in S and tau_mem v' = v_leak - v + r I, so that a spike moves the current by
w_in / tau_syn. Two scalings:

- ``continuous``: what the equations say: r = 1, w_in = tau_syn, and the time constants and weights of the network. Who
  integrates exactly between the steps D of the network computes its dynamics; Euler steps compute others.
- ``snntorch``: for the importer of snnTorch, whose step is dt = 0.1 ms whatever the data's, which computes
  I <- (1 - dt/tau_syn) I + W S and v <- (1 - dt/tau_mem) v + I, and refuses r other than tau_mem / dt. With
  tau' = dt / (1 - exp(-D / tau)), r = tau_mem' / dt, w_in = tau_syn' / dt and all weights times c
  (`engines.equations`) its step is the network's step of D. It knows no ``CubaLI``: outputs become ``CubaLIF`` of a
  threshold out of reach.

What NIR does not say is in the graph's metadata, item ``eventspeech``, as JSON: words, loss, trial, step, cochlea,
delays, a learned weight, and the digest of the model. docs/nir.md says which programs gave the same spikes.
"""

import json
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from eventspeech import losses, network
from eventspeech.engines.equations import coefficients
from eventspeech.errors import DataError, UserError
from eventspeech.files import atomic_path
from eventspeech.network import Network, Weights
from eventspeech.records import model as model_file
from eventspeech.records.model import Model

Scaling = Literal["continuous", "snntorch"]
Delays = Literal["inputs", "nodes"]

SNNTORCH_DT_S = 1e-4
"""The step that snnTorch's importer has written into it."""

OUT_OF_REACH = 1e9
"""Threshold of neurons that are to integrate only."""

ITEM = "eventspeech"
FORMAT = 1


def _nir() -> Any:
    try:
        import nir
    except ImportError as error:
        raise UserError("NIR graphs need the package nir; run `pip install eventspeech[nir]`.") from error
    return nir


def write(path: Path, model: Path, scaling: Scaling = "continuous", delays: Delays = "inputs") -> None:
    """Write a trained network as a NIR graph.

    Args:
        path: HDF5 file to write.
        model: ``weights.npz`` made by `train`.
        scaling: see this module.
        delays: ``inputs``: the graph's input has all copies of each channel, copy by copy, and whoever runs it delays
            them (most programs refuse delays); ``nodes``: it has the channels, and ``Delay`` nodes before the weights.

    Raises:
        UserError: the package nir is not installed, or NIR cannot say what the network does.
        DataError: the model is damaged or no network.
    """
    found = model_file.load(model)
    if found.meta["kind"] != "spiking":
        raise DataError(f"{model} holds logistic regression, the baseline; give the weights.npz of a trained network.")
    graph = to_nir(found, scaling, delays, str(model))
    with atomic_path(path) as temporary:
        _nir().write(str(temporary), graph)


def read(path: Path, like: Path | None = None) -> Model:
    """Read a network from a NIR graph.

    Args:
        path: HDF5 file.
        like: a model whose words, loss, trial, step and cochlea the network has; by default as the metadata say.

    Raises:
        UserError: the package nir is not installed.
        DataError: the file is no graph, or not of a network that this program has; says what.
    """
    nir = _nir()
    try:
        graph = nir.read(str(path))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check the path.") from error
    except Exception as error:  # h5py and nir raise what they like
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is no NIR graph ({type(error).__name__}: {reason}); check the path.") from error
    return from_nir(graph, path, None if like is None else model_file.load(like))


def bring_back(path: Path, model: Path, like: Path | None = None) -> None:
    """Write the network in a NIR graph as a model that `evaluate` and `predict` take; errors as of :func:`read`."""
    found = read(path, like)
    model_file.save(model, found.arrays, found.meta)


def to_nir(model: Model, scaling: Scaling = "continuous", delays: Delays = "inputs", name: str = "The model") -> Any:
    """Return a spiking model as a ``nir.NIRGraph``; arguments as of :func:`write`."""
    nir, on = _nir(), model_file.network_of(model)
    if on.refractory_steps:
        raise UserError(
            f"{name} has a refractory period of {on.refractory_steps * on.step_ms:g} ms, which no node of NIR has; "
            "train with network.refractory_ms 0 to export it."
        )
    spiking = model.meta["shape"]["kind"] == "first_spike"
    populations = {
        population: _population(nir, on, model.arrays, population, scaling, population != "output" or spiking)
        for population in network.populations(on)
    }
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    copies = len(on.delay_steps)
    wide = delays == "inputs"
    nodes["input"] = nir.Input({"input": np.array([on.inputs * copies if wide else on.inputs])})
    for connection in network.connections(on):
        pre, post = connection.name.split("_")
        weights = model.arrays[connection.name] * populations[post].factor
        if pre == "input" and not wide:
            for copy, steps in enumerate(on.delay_steps):
                part = weights[copy * on.inputs : (copy + 1) * on.inputs]
                edges += _delayed(nir, nodes, post, copy, part, np.full(on.inputs, steps * on.step_ms / 1000))
            continue
        nodes[connection.name] = nir.Linear(weight=np.ascontiguousarray(weights.T))
        edges += [(pre, connection.name), (connection.name, post)]
        if pre == post and scaling == "snntorch":
            # its importer (1.0) sends the input of neurons with one Linear around them through that Linear, not past it
            nodes[f"{connection.name}_same"] = nir.Linear(weight=np.eye(connection.rows, dtype=np.float32))
            edges[-1:] = [(connection.name, f"{connection.name}_same"), (f"{connection.name}_same", post)]
    nodes |= {population: found.node for population, found in populations.items()}
    nodes["out"] = nir.Output({"output": np.array([on.outputs])})
    edges.append(("output", "out"))
    return nir.NIRGraph(nodes, edges, metadata={ITEM: json.dumps(_metadata(model, scaling, delays), sort_keys=True)})


class _Population(NamedTuple):
    """A node of neurons, and what the weights into each of them are multiplied by, float32[H] or 1."""

    node: Any
    factor: np.ndarray | float


def _population(nir: Any, on: Network, weights: Weights, name: str, scaling: Scaling, spiking: bool) -> _Population:
    tau_mem_ms, tau_syn_ms = network.time_constants(on, weights, name)
    one = np.ones_like(tau_mem_ms)
    tau_mem_s, tau_syn_s, r = tau_mem_ms / 1000, tau_syn_ms / 1000, one
    w_in, threshold = tau_syn_s, one
    factor: np.ndarray | float = 1.0
    if scaling == "snntorch":
        over = coefficients(on.step_ms, tau_mem_ms, tau_syn_ms)
        tau_mem_s, tau_syn_s = SNNTORCH_DT_S / (1 - over.a), SNNTORCH_DT_S / (1 - over.b)
        r, w_in, factor = tau_mem_s / SNNTORCH_DT_S, tau_syn_s / SNNTORCH_DT_S, over.c.astype(np.float32)
        threshold, spiking = (one if spiking else OUT_OF_REACH * one), True
    constants = {"tau_mem": tau_mem_s, "tau_syn": tau_syn_s, "r": r, "w_in": w_in, "v_leak": 0 * one}
    if spiking:
        return _Population(nir.CubaLIF(**constants, v_threshold=threshold, v_reset=0 * one), factor)
    return _Population(nir.CubaLI(**constants), factor)


def _delayed(
    nir: Any, nodes: dict[str, Any], post: str, copy: int, weights: np.ndarray, delay_s: np.ndarray
) -> list[tuple[str, str]]:
    """Add a copy of the input with its delay, if it has one; return the edges."""
    name = f"input_{post}_{copy}"
    nodes[name] = nir.Linear(weight=np.ascontiguousarray(weights.T))
    if not delay_s.any():
        return [("input", name), (name, post)]
    nodes[f"delay_{copy}"] = nir.Delay(delay=delay_s)
    return [("input", f"delay_{copy}"), (f"delay_{copy}", name), (name, post)]


def _metadata(model: Model, scaling: Scaling, delays: Delays) -> dict[str, Any]:
    on, (_, theta) = model_file.network_of(model), losses.apart(model.arrays)
    return {
        "format": FORMAT,
        "scaling": scaling,
        "delays": delays,
        "delays_ms": [steps * on.step_ms for steps in on.delay_steps],
        "step_ms": on.step_ms,
        "trial_ms": on.trial_ms,
        "sha256": model_file.digest(model.arrays, model.meta),
        "constants": _sizes(model),
        "theta": None if theta is None else [float(value) for value in theta],
        "meta": model.meta,
    }


def _sizes(model: Model) -> dict[str, int]:
    """Return how many values the model has of each time constant that is among its weights."""
    return {name: len(array) for name, array in model.arrays.items() if network.is_time_constant(name)}


def from_nir(graph: Any, path: Path, like: Model | None = None) -> Model:
    """Return the model in a ``nir.NIRGraph``; see :func:`read`."""
    told = _told(graph, path, like)
    on = network.from_dict(told["meta"]["network"])
    into, nodes = _named(_chains(graph, path), on, path)
    spiking = told["meta"]["shape"]["kind"] == "first_spike"
    arrays: Weights = {}
    constants: Weights = {}
    for population, size in network.populations(on).items():
        node = _neurons(graph, nodes[population], population, size, population != "output" or spiking, path)
        factor = _factor(node, population, path)
        for connection in (one for one in network.connections(on) if one.name.endswith(f"_{population}")):
            weights = np.concatenate([np.asarray(part, np.float64).T for part in into[connection.name]])
            if weights.shape != (connection.rows, connection.columns):
                found, needed = weights.shape[::-1], (connection.columns, connection.rows)
                raise _refused(path, f"its {connection.name} has the shape {found}, not {needed}")
            arrays[connection.name] = np.ascontiguousarray(weights * factor, np.float32)
        constants |= _constants(node, on, population, told["constants"])
    arrays |= constants
    if told["theta"] is not None:
        arrays[losses.LEARNED] = np.array(told["theta"], np.float32)
    return model_file.checked(path, Model(arrays, told["meta"]))


def _refused(path: Path, what: str) -> DataError:
    return DataError(f"{path} is not of a network that this program has: {what}; export it with `eventspeech export`.")


def _told(graph: Any, path: Path, like: Model | None) -> dict[str, Any]:
    """Return what the graph's metadata say, or what stands for them."""
    item = graph.metadata.get(ITEM) if isinstance(graph.metadata, dict) else None
    if like is not None:
        if like.meta["kind"] != "spiking":
            raise UserError("--like names logistic regression, the baseline; give the weights.npz of a network.")
        return {"meta": like.meta, "constants": _sizes(like), "theta": losses.apart(like.arrays)[1]}
    if item is None:
        raise DataError(
            f"{path} does not say its words, loss, trial and cochlea, as graphs of other programs; name a model that "
            "has them with --like."
        )
    try:
        told = json.loads(item.decode() if isinstance(item, bytes) else str(item))
        version, scaling = told["format"], told["scaling"]
        known = {name: told[name] for name in ("meta", "constants", "theta")}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is damaged: its metadata are unreadable ({error}); export it again.") from error
    if version != FORMAT:
        raise DataError(f"{path} was exported by another version (format {version!r}); use that version.")
    if scaling != "continuous":
        raise DataError(f"{path} is scaled for {scaling!r}, which loses digits; export it with --scaling continuous.")
    model_file.checked_meta(path, known["meta"])
    numbers = known["theta"] or []
    if not isinstance(known["constants"], dict) or not isinstance(numbers, list):
        raise DataError(f"{path} is damaged: its metadata hold no sizes of time constants; export it again.")
    if not all(isinstance(value, float | int) for value in numbers):
        raise DataError(
            f"{path} is damaged: the learned weight in its metadata is no list of numbers; export it again."
        )
    return known


class _Chains(NamedTuple):
    """Connections of a graph: (pre, post) to the weights, those of several delays in the order of these."""

    between: dict[tuple[str, str], list[tuple[float, np.ndarray]]]
    entry: str
    exit: str


def _chains(graph: Any, path: Path) -> _Chains:
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    if unknown := sorted(set(kinds.values()) - {"Input", "Output", "Linear", "Affine", "Delay", "CubaLIF", "CubaLI"}):
        raise _refused(path, f"it has a node {unknown[0]}")
    entries, exits = ([name for name, kind in kinds.items() if kind == wanted] for wanted in ("Input", "Output"))
    if len(entries) != 1 or len(exits) != 1:
        raise _refused(path, f"it has {len(entries)} inputs and {len(exits)} outputs")
    before: dict[str, list[str]] = {name: [] for name in kinds}
    after: dict[str, list[str]] = {name: [] for name in kinds}
    for source, target in dict.fromkeys(map(tuple, graph.edges)):
        if source not in kinds or target not in kinds:
            raise _refused(path, f"an edge leads to {target}, which it lacks")
        before[target].append(source)
        after[source].append(target)
    between: dict[tuple[str, str], list[tuple[float, np.ndarray]]] = {}
    for name, kind in kinds.items():
        if kind not in ("Linear", "Affine"):
            continue
        delay, pre = _before(graph, kinds, before, name, path)
        if len(after[name]) != 1 or kinds[after[name][0]] not in ("CubaLIF", "CubaLI"):
            raise _refused(path, f"its {name} does not lead to one population of neurons")
        if kind == "Affine" and np.any(graph.nodes[name].bias):
            raise _refused(path, f"its {name} has a bias")
        between.setdefault((pre, after[name][0]), []).append((delay, np.asarray(graph.nodes[name].weight)))
    return _Chains(between, entries[0], before[exits[0]][0] if before[exits[0]] else "")


def _before(
    graph: Any, kinds: dict[str, str], before: dict[str, list[str]], name: str, path: Path
) -> tuple[float, str]:
    """Return the delay (s) of a connection, and where it comes from."""
    delay_s, place = 0.0, name
    for _ in range(len(kinds)):
        if len(before[place]) != 1:
            raise _refused(path, f"its {place} does not come from one node")
        place = before[place][0]
        if kinds[place] != "Delay":
            return delay_s, place
        found = np.unique(graph.nodes[place].delay)
        if len(found) != 1:
            raise _refused(path, f"its {place} delays channels differently")
        delay_s += float(found[0])
    raise _refused(path, "its delays run in a circle")


def _named(chains: _Chains, on: Network, path: Path) -> tuple[dict[str, list[np.ndarray]], dict[str, str]]:
    """Return the weights of each connection, and the node of each population, by the names of this program."""
    nodes = {"input": chains.entry}
    here = chains.entry
    for population in network.populations(on):
        following = [post for pre, post in chains.between if pre == here and post not in nodes.values()]
        if len(following) != 1:
            raise _refused(path, f"{len(following)} populations follow its {here}")
        here = nodes[population] = following[0]
    if here != chains.exit:
        raise _refused(path, f"its output does not follow after {len(on.hidden)} hidden layers")
    names = {node: population for population, node in nodes.items()}
    found = {f"{names.get(pre, pre)}_{names.get(post, post)}": parts for (pre, post), parts in chains.between.items()}
    if odd := sorted(set(found) ^ {connection.name for connection in network.connections(on)}):
        raise _refused(path, f"it {'has' if odd[0] in found else 'lacks'} the connection {odd[0]}")
    in_order = {name: sorted(parts, key=lambda part: part[0]) for name, parts in found.items()}
    return {name: [weights for _, weights in parts] for name, parts in in_order.items()}, nodes


def _neurons(graph: Any, node: str, population: str, size: int, spiking: bool, path: Path) -> Any:
    """Return the node of a population of ``size`` neurons."""
    found = graph.nodes[node]
    kind = "CubaLIF" if spiking else "CubaLI"
    if type(found).__name__ != kind or found.tau_mem.shape != (size,):
        raise _refused(
            path, f"its {population} is {type(found).__name__}{list(found.tau_mem.shape)}, not {kind}[{size}]"
        )
    for name in ("v_leak", *(["v_reset"] if spiking else [])):
        if np.any(getattr(found, name)):
            raise _refused(path, f"{name} of its {population} is not 0")
    return found


def _factor(node: Any, population: str, path: Path) -> np.ndarray:
    """Return what a weight is multiplied by where r, w_in / tau_syn and the threshold are 1, float64[H]."""
    threshold = getattr(node, "v_threshold", np.ones_like(node.r))
    with np.errstate(all="ignore"):
        factor = np.asarray(node.r * (node.w_in / node.tau_syn) / threshold, np.float64)
    if not np.isfinite(factor).all():
        raise _refused(path, f"r, w_in, tau_syn and threshold of its {population} give no finite number")
    return factor


def _constants(node: Any, on: Network, population: str, sizes: dict[str, int]) -> Weights:
    """Return the time constants that belong among the weights: those that differ from the network's, or did so."""
    found: Weights = {}
    for kind, seconds in (("tau_mem_ms", node.tau_mem), ("tau_syn_ms", node.tau_syn)):
        name, constants = f"{population}_{kind}", (1000 * np.asarray(seconds, np.float64)).astype(np.float32)
        shared = bool(np.all(constants == constants[0]))
        if name in sizes:
            found[name] = constants[:1] if sizes[name] == 1 and shared else constants
        elif not (shared and math.isclose(float(constants[0]), getattr(on, kind), rel_tol=1e-6)):
            found[name] = constants[:1] if shared else constants
    return found
