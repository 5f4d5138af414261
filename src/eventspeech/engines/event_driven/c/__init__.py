"""The fast kernels of engine `cpu`, in C."""
