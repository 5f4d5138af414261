"""The readable kernels of engine `cpu`: `forward` faces `adjoint`; `gather` collects the weight gradients.

Each module stands alone: numba's cache watches only the file of a function, not the files of what it calls.
"""
