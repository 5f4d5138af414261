"""Which meter a device has on this machine."""

from eventspeech.meters.nvml import NvmlMeter
from eventspeech.meters.rapl import RaplMeter
from eventspeech.meters.window import Meter, NoMeter, Unavailable


def for_device(device: str) -> Meter:
    """Return the meter of ``cpu`` or ``cuda``; one that cannot be metered gets a :class:`NoMeter` with the reason."""
    try:
        return NvmlMeter() if device == "cuda" else RaplMeter()
    except Unavailable as error:
        return NoMeter(str(error))
    except Exception as error:  # a broken driver must cost the energy column, not the measurement of time
        return NoMeter(f"the meter failed ({type(error).__name__}: {error})")
