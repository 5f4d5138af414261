"""Engine `genn`: the equations of `engines.equations` on GeNN (genn-team/genn), with its CUDA or its CPU backend.

`forward` and `adjoint` hold what the neurons compute, `definitions` and `compose` make one GeNN model of them, `build`
compiles it once and keeps the code, `model` runs its two phases, `engine` runs batches, `install` says what is missing.
"""
