"""Reproducible training of spiking neural networks for speech recognition with Eventprop."""

__version__ = "0.2.0"
