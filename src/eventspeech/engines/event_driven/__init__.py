"""The event-driven engines: one order of passes (`engine`) over three sets of kernels (`c`, `numba`, `cuda`)."""
