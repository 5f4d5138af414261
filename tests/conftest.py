"""Which tests run here: markers that need hardware, packages, the internet or patience are skipped with the reason."""

import importlib.util
import os
import shutil

import pytest

# before anything imports matplotlib: no test may open a window
os.environ["MPLBACKEND"] = "Agg"
# before anything loads OpenMP: numba's threads, which wait busily for the next loop, took the processors from the other
# tests, and three quarters of the time of those of small networks
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_addoption(parser):
    parser.addoption("--run-slow", action="store_true", help="run tests marked slow, too")


def pytest_collection_modifyitems(config, items):
    reasons = {
        "slow": None if config.getoption("--run-slow") else "slow: run with --run-slow",
        "network": None if os.environ.get("EVENTSPEECH_NETWORK") == "1" else "network: set EVENTSPEECH_NETWORK=1",
    }
    probes = {"gpu": _no_gpu, "genn": _no_genn, "browser": _no_browser, "slurm": _no_slurm}
    for item in items:
        for name in ("slow", "network", "gpu", "genn", "browser", "slurm"):
            if item.get_closest_marker(name) is None:
                continue
            if name not in reasons:
                reasons[name] = probes[name]()  # asked only if some test needs to know
            if reasons[name]:
                item.add_marker(pytest.mark.skip(reason=reasons[name]))


def _no_gpu():
    """Return why there is no GPU, or None."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:
        return f"gpu: NVML does not answer ({error})"
    try:
        return None if pynvml.nvmlDeviceGetCount() else "gpu: NVML finds no device"
    finally:
        pynvml.nvmlShutdown()


def _no_browser():
    """Return why the report cannot be opened in a browser, or None."""
    from support import browser

    return None if browser.program() else f"browser: none of {', '.join(browser.NAMES)} is installed"


def _no_slurm():
    """Return why no SLURM can be started, or None."""
    if os.environ.get("EVENTSPEECH_SLURM") != "1":
        return "slurm: set EVENTSPEECH_SLURM=1"
    missing = [name for name in ("slurmctld", "munged") if not shutil.which(name, path=f"{os.defpath}:/usr/sbin")]
    return f"slurm: {' and '.join(missing)} not installed; `apt install slurm-wlm munge`" if missing else None


def _no_genn():
    """Return why PyGeNN cannot be used, or None."""
    if importlib.util.find_spec("pygenn") is None:
        return "genn: PyGeNN is not installed"
    try:
        import pygenn  # noqa: F401
    except Exception as error:
        return f"genn: PyGeNN cannot be imported ({error})"
    return None
