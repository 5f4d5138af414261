"""What the kernels of event-driven engines pass to each other, and what a set of kernels offers."""

from typing import NamedTuple, Protocol

import numpy as np

from eventspeech.data.batches import Batch
from eventspeech.engines.equations import Coefficients
from eventspeech.network import Weights


class Events(NamedTuple):
    """Presynaptic events of a batch, in compressed form.

    Attributes:
        rows: int32[E], the unit of each event.
        starts: int64[B, N + 1], events of sample s and step n are ``rows[starts[s, n]:starts[s, n + 1]]``.
    """

    rows: np.ndarray
    starts: np.ndarray

    def part(self, group: slice) -> "Events":
        """Return some of the samples."""
        return self._replace(starts=self.starts[group])


class Sorted(NamedTuple):
    """Events sorted by unit, in whatever form their kernels choose.

    Attributes:
        places: int32[E], where in the adjoints each event reads.
        unit_starts: int64[..., M + 1], where the events of each unit start.
    """

    places: np.ndarray
    unit_starts: np.ndarray


class Source(NamedTuple):
    """A connection into a population, whose gradient is to be gathered.

    Attributes:
        events: of the presynaptic units, sorted.
        delays: int64[K], in steps.
        total: [K * M, H], to which the gradient is added.
    """

    events: Sorted
    delays: np.ndarray
    total: np.ndarray


class Layer(NamedTuple):
    """What a hidden layer did.

    Attributes:
        spikes: int32[B, capacity], the neuron of each spike in order of time.
        denominators: [B, capacity], Z = I - V at the spike.
        starts: int64[B, N + 1], spikes of step n are ``starts[s, n]:starts[s, n + 1]``; if the last entry is above
            the capacity, the surplus was not stored.
        restarts: [B, capacity], the neuron's current in the step before the restart, I[n + r], 0 where the trial ends
            before; of no samples without a refractory period.
        drive: what arrived in each step, of every sample, in whatever layout its kernels choose; None where it was not
            asked for or is as fast to compute again.
    """

    spikes: np.ndarray
    denominators: np.ndarray
    starts: np.ndarray
    restarts: np.ndarray
    drive: np.ndarray | None = None

    @property
    def capacity(self) -> int:
        """Spikes of a sample that can be stored."""
        return self.spikes.shape[1]

    def most(self) -> int:
        """Return how many spikes the sample with the most of them has."""
        return int(self.starts[:, -1].max(initial=0))

    def part(self, group: slice) -> "Layer":
        """Return some of the samples."""
        spikes, denominators, starts, restarts, drive = self
        kept = None if drive is None else drive[group]
        return Layer(spikes[group], denominators[group], starts[group], restarts[group], kept)

    def as_events(self) -> Events:
        """View the spikes as presynaptic events of the layer above."""
        first = (np.arange(len(self.starts)) * self.spikes.shape[1])[:, None]
        return Events(self.spikes.reshape(-1), self.starts + first)


class Peaks(NamedTuple):
    """The maxima of the output voltages, each [B, O]: see `engines.equations`.

    Attributes:
        values: float64, S_o.
        steps: int32, m, the step before which it is reached.
        shares: r, of g_o in the R of the spikes that end the rise.
    """

    values: np.ndarray
    steps: np.ndarray
    shares: np.ndarray

    def part(self, group: slice) -> "Peaks":
        """Return some of the samples."""
        return Peaks(*(array[group] for array in self))


Vectors = Coefficients
"""Coefficients of a population, each [H], in the kernels' type."""


class Adjoint(NamedTuple):
    """Adjoints of a population, in whatever layout its kernels choose.

    Attributes:
        current: lamI of every step.
        difference: p lamV - q lamI (see `engines.equations`) of every step, or empty if no layer below needs it.
    """

    current: np.ndarray
    difference: np.ndarray


class Kernels(Protocol):
    """A set of kernels: one pass over a batch a method, of the same name in every set.

    Weights, gradients, vectors, events, layers and adjoints are the kernels' own, wherever they keep them; other arrays
    are numpy's. B samples, N steps, M presynaptic units, K copies of them, H neurons or O outputs, E events. Weights of
    a population are [K * M, H] (copy-major) or recurrent [H, H], all in the engine's type; ``delays`` are int64[K], in
    steps. The numbers have been bounded (`engines.bounds`).

    Attributes:
        name: of the set.
    """

    name: str

    def load(self, weights: Weights) -> Weights:
        """Take connections, in the engine's type, to where the kernels compute."""

    def zeros(self, weights: Weights) -> Weights:
        """Return zero gradients of loaded weights."""

    def fetch(self, gradients: Weights, weights: Weights) -> Weights:
        """Bring gradients back, in the shapes of ``weights``."""

    def vectors(self, vectors: Vectors) -> Vectors:
        """Take coefficients of a population to where the kernels compute."""

    def events(self, batch: Batch, steps: int) -> Events:
        """Take a batch to where the kernels compute; ``steps`` is N."""

    def counts(self, layer: Layer, size: int) -> np.ndarray:
        """Return int64[B, H]: spikes of each of ``size`` neurons."""

    def fetch_layer(self, layer: Layer) -> Layer:
        """Bring back what a layer did."""

    def samples_at_once(self, steps: int, width: int) -> int:
        """Return how many samples the backward pass takes at once, for adjoints of ``width`` neurons in all."""

    def forward_hidden(
        self, events: Events, *, delays: np.ndarray, weights: np.ndarray, recurrent: np.ndarray | None,
        vectors: Vectors, capacity: int, refractory: int, keep_drive: bool,
    ) -> Layer:  # fmt: skip
        """Run a hidden layer forward.

        Args:
            events: what reaches it.
            delays: of the copies of ``events``.
            weights: [K * M, H].
            recurrent: [H, H], None without recurrence.
            vectors: its coefficients.
            capacity: spikes of a sample that can be stored; those beyond are counted, not stored.
            refractory: steps for which a neuron is held after the step of its spike.
            keep_drive: :meth:`products` will be asked for; a drive that is kept is valid until the next one is.
        """

    def forward_output(
        self, events: Events, weights: np.ndarray, vectors: Vectors, weighting: np.ndarray, keep_trace: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the outputs forward; return logits float64[B, O] and, if asked for, voltages [B, N, O].

        ``weights`` are [M, O], ``weighting`` is w(n/N) / N, float64[N].
        """

    def adjoint_output(self, drive: np.ndarray, weighting: np.ndarray, vectors: Vectors) -> Adjoint:
        """Integrate the outputs' adjoints.

        ``drive`` is (y - p) D / (tau_mem T B), [B, O], ``weighting`` is w(n/N), [N].
        """

    def forward_max(self, events: Events, weights: np.ndarray, vectors: Vectors) -> Peaks:
        """Run the outputs forward and find their maxima; ``weights`` are [M, O]."""

    def adjoint_max(self, drive: np.ndarray, peaks: Peaks, steps: int, vectors: Vectors) -> Adjoint:
        """Integrate the outputs' adjoints from their maxima; ``drive`` is (y - p) / (tau_mem B), [B, O]."""

    def adjoint_hidden(
        self, layer: Layer, *, above: np.ndarray | None, adjoint_above: Adjoint | None, recurrent: np.ndarray | None,
        penalty: np.ndarray, vectors: Vectors, refractory: int, keep_difference: bool,
        timing: np.ndarray | None = None,
    ) -> tuple[Adjoint, int]:  # fmt: skip
        """Integrate the adjoints of a spiking layer; also return how many denominators were bounded from below.

        Args:
            layer: what it did.
            above: weights to the layer above, [H, its size], None for the last.
            adjoint_above: of the layer above, None for the last.
            recurrent: [H, H], None without recurrence.
            penalty: [B, H], what the regulariser takes from lamV at each spike.
            vectors: its coefficients.
            refractory: as of :meth:`forward_hidden`.
            keep_difference: a layer below needs p lamV - q lamI.
            timing: [B, capacity], added to the R of each spike: the derivative of the loss by its time, beyond what the
                adjoints carry.
        """

    def products(
        self, events: Events, *, delays: np.ndarray, weights: np.ndarray, recurrent: np.ndarray | None,
        layer: Layer | None, vectors: Vectors, refractory: int, adjoint: Adjoint,
    ) -> np.ndarray:  # fmt: skip
        """Return `engines.equations.Products` of every sample, [B, 3, H].

        Voltages and currents are computed once more, from what came in (arguments as of :meth:`forward_hidden`, or what
        ``layer`` kept of it) and the spikes that went out: ``layer`` is what the population did, None for the outputs,
        ``adjoint`` its adjoints.
        """

    def sort(self, events: Events, units: int, adjoint: Adjoint) -> Sorted:
        """Sort events by unit, of which there are ``units``, for adjoints of the shape of ``adjoint``."""

    def gather(self, sources: list[Source], tau_syn_ms: np.ndarray, adjoint: Adjoint) -> None:
        """Add the gradients of all connections into the population of ``adjoint`` to their totals.

        ``tau_syn_ms`` is [H], of that population.
        """
