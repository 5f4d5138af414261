"""How large may a study be? Times and memory of planning it, of its comparison and of its report, on made-up results.

    python tools/scale.py --sizes 5x2x10 20x5x10 20x50x10 --what snakemake compare report --out scale.json

A size is losses x seeds x folds. The study is laid out in a temporary folder and its results are made up, so that
nothing is trained. Each command runs alone, in a process of its own; told are its wall-clock time, its CPU time (which
other work on the machine moves less) and the largest memory that one of its processes held.
"""

import argparse
import itertools
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import fake_results  # noqa: E402

from eventspeech import params as parameters  # noqa: E402
from eventspeech import presets  # noqa: E402
from eventspeech.files import write_json  # noqa: E402
from eventspeech.machine import description  # noqa: E402

COMMANDS = {
    "snakemake": ["snakemake", "--dry-run", "--quiet", "rules"],
    "snakemake, all jobs printed": ["snakemake", "--dry-run"],
    "dvc status": ["dvc", "status"],
    "compare": [
        "eventspeech", "compare", "--params", "params.yaml", "--models", "results/train",
        "--evaluations", "results/evaluate", "--out", "results/compare",
    ],
    "report": [
        "eventspeech", "report", "--params", "params.yaml", "--spikes", "data/spikes", "--results", "results",
        "--benchmarks", "benchmarks", "--out", "reports",
    ],
}  # fmt: skip
NEED_RESULTS = ("compare", "report")
EPOCHS = 30


def study_of(losses: int, seeds: int, folds: int) -> dict[str, Any]:
    """Return the default parameters with so many bells, seeds, and speakers of which each is left out once."""
    content = yaml.safe_load(presets.text("default"))
    names = [f"bell{number:02d}" for number in range(losses)]
    content["shape"] = {
        name: {"kind": "bell", "height": 1.0, "centre": round(0.5 * place / losses, 4), "width": 0.2}
        for place, name in enumerate(names)
    }
    content["study"] = {"losses": names, "seeds": list(range(seeds)), "folds": fake_results.HEARD[:folds]}
    content["validation"] = {"protocol": "leave_one_out"}
    content["profile"] |= {"loss": names[0]}
    content["compare"] |= {"reference": names[0]}
    return content


def make_results(folder: Path, params: parameters.Params) -> None:
    """Write what trainings and tests leave: curves of their own, and tests that the runs of a loss and fold share."""
    first = {"seeds": params.study.seeds[:1], "folds": params.study.folds}
    small = params.model_copy(update={"study": params.study.model_copy(update=first)})
    fake_results.study(folder, small)
    for path in (folder / "results" / "train").glob("*/*/*/summary.json"):
        _rewrite(path, _left_out(path.parent.name, params))
    jobs = itertools.product(params.study.losses, params.study.seeds[1:], params.study.folds)
    for loss, seed, fold in jobs:
        made, tested = (Path(folder, "results", stage, loss) for stage in ("train", "evaluate"))
        accuracy = fake_results.curve(loss, seed + 100 * params.study.folds.index(fold), EPOCHS)
        one = made / str(seed) / fold
        fake_results.training(one, loss, seed, accuracy, params.shape[loss])
        _rewrite(one / "summary.json", _left_out(fold, params))
        like, one = tested / str(params.study.seeds[0]) / fold, tested / str(seed) / fold
        one.mkdir(parents=True)
        for name in ("predictions.csv", "confusion.csv", "examples.npz"):
            os.link(like / name, one / name)
        shutil.copy(like / "metrics.json", one)
        _rewrite(one / "metrics.json", {"model": {"seed": seed}})


def _left_out(fold: str, params: parameters.Params) -> dict[str, Any]:
    heard = [name for name in params.study.folds if name != fold]
    return {"protocol": "leave_one_out", "heard_speakers": heard, "validation_speakers": [fold]}


def _rewrite(path: Path, changed: dict[str, Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, value in changed.items():
        content[name] = content[name] | value if isinstance(value, dict) else value
    write_json(path, content)


def measured(command: list[str], folder: Path) -> dict[str, Any]:
    """Run a command in ``folder``; return seconds (wall clock, CPU) and MiB, and of a failure its last lines."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "true"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    with tempfile.TemporaryFile() as said:
        # by a process of its own, since the largest memory of children is kept for the life of their parent
        asked = [sys.executable, __file__, "--measure", json.dumps(command)]
        done = subprocess.run(asked, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=said)
        said.seek(0)
        last = said.read().decode(errors="replace").strip().splitlines()[-3:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    row = {"wall_s": round(time.monotonic() - start, 1), "cpu_s": round(cpu_s, 1)}
    row["memory_mib"] = round(int(done.stdout or 0) / 1024)
    return row | ({"failed": last} if done.returncode else {})


def measure(command: list[str]) -> int:
    """Run a command, print the largest memory of its processes in KiB and return its status."""
    status = subprocess.run(command, stdout=sys.stderr).returncode
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return status


def main() -> None:
    """Measure, or be the process that is measured in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["5x2x10", "20x5x10", "20x50x10"], help="losses x seeds x folds")
    parser.add_argument("--what", nargs="+", choices=COMMANDS, default=["snakemake", "compare", "report"])
    parser.add_argument("--out", type=Path, help="JSON file to write; one that is there is added to")
    parser.add_argument("--keep", type=Path, help="a folder for the studies, which then stay")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        raise SystemExit(measure(json.loads(given.measure)))
    found = json.loads(given.out.read_text()) if given.out and given.out.exists() else {"rows": []}
    found["machine"] = description.facts()
    with tempfile.TemporaryDirectory() as scratch:
        for size in given.sizes:
            counts = [int(count) for count in size.split("x")]
            folder = (given.keep or Path(scratch)) / size
            subprocess.run(["eventspeech", "init", str(folder)], check=True, capture_output=True)
            if "dvc" in " ".join(given.what):
                subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
            content = study_of(*counts)
            text = yaml.safe_dump(content, sort_keys=False)
            (folder / "params.yaml").write_text(text, encoding="utf-8")
            for what in sorted(given.what, key=list(COMMANDS).index):
                if what in NEED_RESULTS and not (folder / "results").exists():
                    make_results(folder, parameters.validate(content))
                row = {"trainings": math.prod(counts), "size": size, "what": what, **measured(COMMANDS[what], folder)}
                found["rows"] = [old for old in found["rows"] if (old["size"], old["what"]) != (size, what)] + [row]
                print(row, flush=True)
                if given.out:
                    write_json(given.out, found)


if __name__ == "__main__":
    main()
