"""Kernels of engine `cuda` and their launches; nothing here needs a GPU to be imported."""
