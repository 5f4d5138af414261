"""Kills a small study at random moments and runs the plain command until it is done: is anything lost?

    python tools/chaos.py --tool snakemake --times 3 --seed 0 --out docs/measurements/chaos_snakemake.json

A trial starts the study in a folder of its own, sends a signal to the whole group, to the scheduler alone or to one of
its jobs, and then gives the plain command, `snakemake` or `dvc repro`, until it ends well. Every result must be that of
a run that nobody disturbed, bit by bit (`eventspeech verify`). Told for each kind: how many trials ended well by the
plain command alone, how many needed `eventspeech mend`, and how many trainings lost more than the epoch at hand.
"""

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from eventspeech import params as parameters
from eventspeech import presets, verify
from eventspeech.errors import DataError
from eventspeech.files import read_json, read_npz, write_json
from eventspeech.records import manifest

SIGNALS = ("KILL", "TERM", "INT")
TARGETS = ("group", "scheduler", "job")
GOAL = "compare"
COMMANDS = {"snakemake": ["snakemake", "--quiet", "--cores", "2"], "dvc": ["dvc", "repro", "--quiet"]}
MOST_RUNS = 4
"""Plain commands that a trial may need before it counts as failed."""
LONGEST_S = 600.0
SECONDS_FOR_A_JOB = 20.0
SMALL: dict[str, dict[str, Any]] = {
    "study": {"losses": ["exponential", "gaussian"], "seeds": [0]},
    "download": {"source": "synthetic", "synthetic": {"speakers": 3, "takes": 2, "test_speakers": 1, "test_takes": 1}},
    "validation": {"protocol": "held_out", "speakers": ["s02"]},
    "network": {"hidden": [32]},
    "train": {"epochs": 20},
    "evaluate": {"steps_ms": [1], "examples": 1},
    "profile": {"cpu_batch_sizes": [32], "cuda_batch_sizes": [], "samples": 32, "trials": 1, "idle_s": 0.1},
}
"""What differs from the default study."""


class Outcome(NamedTuple):
    """Of a trial.

    Attributes:
        seconds: after the start, when the signal was sent.
        hit: whether what was to be hit was still there.
        runs: plain commands until it was done; 0: it never was.
        mended: whether `eventspeech mend` was needed.
        lost: trainings that began anew, though some epochs of them were finished.
        differing: files that are not those of the undisturbed run.
        left: half-written files and locks that are still there.
        said: the last lines of a plain command that failed.
    """

    seconds: float
    hit: bool
    runs: int
    mended: bool
    lost: int
    differing: int
    left: int
    said: str

    def is_good(self) -> bool:
        """Say whether nothing was lost, and the plain command alone was enough."""
        return self.runs > 0 and not (self.mended or self.lost or self.differing or self.left)


def small_study(folder: Path) -> None:
    """Lay out the study of :data:`SMALL`."""
    subprocess.run(["eventspeech", "init", str(folder)], check=True, capture_output=True)
    content = yaml.safe_load(presets.text("default"))
    for group, values in SMALL.items():
        content[group] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def command(tool: str) -> list[str]:
    """Return the plain command, as far as the comparison: the report takes most of a small study's time."""
    return [*COMMANDS[tool], GOAL]


def environment() -> dict[str, str]:
    """Return the environment in which the tools run: quiet, and of one thread, so that trials may share a machine."""
    return os.environ | {"OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "true", "EVENTSPEECH_TOLD_LATER": "1"}


def prepare(folder: Path, tool: str) -> float:
    """Make the undisturbed run and, beside it, the state in which trials start; return the seconds that it took.

    Trials start after `preprocess`: only what comes then has anything to lose.
    """
    start, whole = folder / "start", folder / "whole"
    small_study(start)
    first = {"snakemake": ["data/spikes/train.npz", "data/spikes/test.npz"], "dvc": ["preprocess"]}[tool]
    run([*COMMANDS[tool], *first], start)
    shutil.copytree(start, whole, symlinks=True)
    begun = time.monotonic()
    said = run(command(tool), whole)
    if said is not None:
        raise SystemExit(f"the undisturbed run failed:\n{said}")
    return time.monotonic() - begun


def run(arguments: list[str], folder: Path) -> str | None:
    """Run a command; return None, or the end of what it said if it failed."""
    done = subprocess.run(
        arguments, cwd=folder, env=environment(), capture_output=True, text=True, errors="replace", timeout=LONGEST_S
    )
    return None if done.returncode == 0 else "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])


def trial(folder: Path, tool: str, name: str, target: str, moment_s: float, draw: random.Random) -> Outcome:
    """Start, kill, and give the plain command until it is done."""
    study = folder / f"trial-{time.monotonic_ns()}"
    shutil.copytree(folder / "start", study, symlinks=True)
    with subprocess.Popen(
        command(tool), cwd=study, env=environment(), start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as started:  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(moment_s)
        hit = _send(started.pid, getattr(signal, f"SIG{name}"), target, draw)
        started.wait(LONGEST_S)
    reached = {path: _epochs(path) for path in _checkpoints(study)}
    shutil.rmtree(study / "logs" / "train", ignore_errors=True)  # what is there later tells of later runs
    runs, mended, lost, said = 0, False, 0, ""
    for number in range(1, MOST_RUNS + 1):
        failed = run(command(tool), study)
        lost += sum(_began_anew(study, path) for path, epochs in reached.items() if epochs)
        reached = {}
        if failed is None:
            runs = number
            break
        said = failed
        if "dvc.lock" in failed or "rwlock" in failed:
            mended = run(["eventspeech", "mend"], study) is None or mended
    outcome = Outcome(
        round(moment_s, 2), hit, runs, mended, lost, _differing(folder / "whole", study), _left(study), said
    )
    if outcome.is_good():
        shutil.rmtree(study)
    return outcome


def _send(leader: int, number: int, target: str, draw: random.Random) -> bool:
    try:
        if target == "group":
            os.killpg(leader, number)
        elif target == "scheduler":
            os.kill(leader, number)
        else:
            draw.choice(_jobs(leader)).send_signal(number)
    except (ProcessLookupError, psutil.Error, IndexError):
        return False
    return True


def _jobs(leader: int) -> list[psutil.Process]:
    """Return the jobs at work, if need be those that come next."""
    deadline = time.monotonic() + SECONDS_FOR_A_JOB
    while time.monotonic() < deadline:
        found = [one for one in psutil.Process(leader).children(recursive=True) if _is_job(one)]
        if found:
            return found
        time.sleep(0.02)
    return []


def _is_job(process: psutil.Process) -> bool:
    try:
        return any("eventspeech" in Path(word).name for word in process.cmdline()[:2])
    except psutil.Error:
        return False


def _checkpoints(study: Path) -> Iterator[Path]:
    yield from sorted((study / "results" / "checkpoints").rglob("*.npz"))


def _epochs(path: Path) -> int:
    """Return how many epochs of a training are finished; a finished one counts as many."""
    try:
        arrays = read_npz(path)
    except DataError:
        return 0
    return len(arrays["rows"]) if "rows" in arrays else 10**6


def _began_anew(study: Path, checkpoint: Path) -> bool:
    """Say whether a training that had a checkpoint was trained, but did not go on from it, as its log tells."""
    log = study / "logs" / "train" / checkpoint.relative_to(study / "results" / "checkpoints").with_suffix(".log")
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    return "epoch 1/" in text and "Going on after epoch" not in text


def _differing(whole: Path, study: Path) -> int:
    params = parameters.load(whole / "params.yaml")
    known = manifest.of_study(params, "", whole / "data" / "spikes", whole / "results")
    found = verify.compare(params, known, study / "data" / "spikes", study / "results")
    return sum(len(stage.differing) + len(stage.missing) for stage in found)


def _left(study: Path) -> int:
    """Count what nobody will look at again."""
    halves = itertools.chain(study.glob("data/**/.*.part"), study.glob("results/**/.*.part"))
    return len([*halves, *study.glob(".snakemake/locks/*"), *study.glob(".snakemake/eventspeech/owners/*.json")])


def table(files: list[Path]) -> str:
    """Return what some runs of this command found, as a table in Markdown: a row for each kind."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    for file in files:
        content = read_json(file)
        for kind, outcomes in content["kinds"].items():
            found.setdefault((content["tool"], kind), []).extend(Outcome(**outcome) for outcome in outcomes)
    lines = [
        "| tool | signal | trials | hit | plain command alone | `mend` | trainings lost | files that differ | left |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for (tool, kind), outcomes in found.items():
        alone = sum(one.runs == 1 and not one.mended for one in outcomes)
        sums = [sum(getattr(one, name) for one in outcomes) for name in ("mended", "lost", "differing", "left")]
        numbers = [len(outcomes), sum(one.hit for one in outcomes), alone, *sums]
        lines.append(f"| {tool} | {kind} | " + " | ".join(map(str, numbers)) + " |")
    return "\n".join(lines)


def main() -> int:
    """Run the trials; return 1 if one of them lost something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", choices=sorted(COMMANDS), default="snakemake")
    parser.add_argument("--signals", nargs="+", choices=SIGNALS, default=list(SIGNALS))
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--times", type=int, default=3, help="trials of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of such files, and kill nothing")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(arguments.table))
        return 0
    draw = random.Random(arguments.seed)
    found: dict[str, list[dict[str, Any]]] = {}
    folder = Path(tempfile.mkdtemp(prefix="eventspeech-chaos-"))
    whole_s = prepare(folder, arguments.tool)
    print(f"undisturbed: {whole_s:.1f} s, in {folder}", flush=True)
    good = True
    for target, name in itertools.product(arguments.targets, arguments.signals):
        kind = f"{name} to the {target}" if target != "job" else f"{name} to one job"
        for _ in range(arguments.times):
            outcome = trial(folder, arguments.tool, name, target, draw.uniform(0, 0.8 * whole_s), draw)
            good = good and outcome.is_good()
            found.setdefault(kind, []).append(outcome._asdict())
            print(f"{kind:<24} {'well' if outcome.is_good() else 'NOT WELL'}  {outcome}", flush=True)
    if arguments.out:
        content = {"tool": arguments.tool, "seed": arguments.seed, "undisturbed_s": whole_s, "kinds": found}
        write_json(arguments.out, content)
    if good:
        shutil.rmtree(folder)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
