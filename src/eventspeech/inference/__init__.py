"""Using a trained network: from a recording to spikes, from spikes to words.

- :mod:`.recogniser`: a model file, loaded; encode, infer, record;
- :mod:`.sounds`: files, folders and standard input, whole or window by window;
- :mod:`.answers`: what the network says of each of them.

Nothing here learns, and nothing reads a parameter file. Modules of long import times (numba, SciPy, pandas, matplotlib)
are not imported, so that an answer to a short recording takes less than a second.
"""
