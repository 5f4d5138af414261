"""Time of one answer by the command, cold and warm; see ../predict.md.

    python docs/measurements/predict_latency.py weights.npz one.wav docs/measurements/predict_latency.json

Cold: the membrane's table has to be computed. Warm: the runs after it, which read it.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from eventspeech import machine

WARM = 15


def answer(command, environment):
    """Return wall and processor time of a command (s)."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(model, recording, out):
    """Write the times as JSON."""
    command = [sys.executable, "-m", "eventspeech.cli", "predict", model, recording]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": folder}
        cold = answer(command, environment)
        warm = [answer(command, environment) for _ in range(WARM)]
    facts = machine.facts()
    result = {
        "cold": {"wall_s": cold[0], "processor_s": cold[1]},
        "warm": {
            "runs": WARM,
            "wall_s": {"least": min(w for w, _ in warm), "median": statistics.median(w for w, _ in warm)},
            "processor_s": {"least": min(c for _, c in warm), "median": statistics.median(c for _, c in warm)},
        },
        "load_average": os.getloadavg()[0],
        "machine": {name: facts[name] for name in ("cpu", "cores", "python")},
    }
    Path(out).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
