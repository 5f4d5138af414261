"""Running graphs that another program has made modules of torch of."""

import numpy as np


def spikes(network, inputs, layers):
    """Run a network on inputs [N, C], a step late; return the spikes [N, H] of its hidden layers.

    These programs let a spike of an input act in its own step, this package in the next one; among neurons all let it
    act in the next.
    """
    import torch

    found = [[] for _ in range(layers)]
    for number, seen in enumerate(found, 1):

        def keep(_module, _arguments, output, seen=seen):
            first = output[0] if isinstance(output, tuple) else output
            seen.append(first.numpy()[0].copy())

        network.get_submodule(f"hidden{number}").register_forward_hook(keep)
    state = None
    with torch.no_grad():
        for row in np.vstack([np.zeros(inputs.shape[1]), inputs[:-1]]):
            _, state = network(torch.tensor(row[None], dtype=torch.float32), state)
    return [np.array(seen) for seen in found]
