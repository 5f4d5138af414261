"""A small study on a real SLURM: two nodes on this machine, without GPUs and without accounting.

    apt install slurm-wlm munge
    EVENTSPEECH_SLURM=1 pytest tests/workflow/test_slurm_real.py -n 0

One run of the study is disturbed in four ways at once: a training is cancelled, one is queued again by the
administrator, one has to give way to a job of a partition of higher priority, and one fails for a reason of its own.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from eventspeech import init, presets

pytestmark = pytest.mark.slurm

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "slurm_here.py"
LONGEST_S = 900.0
SMALL = {
    "study": {"losses": ["exponential", "gaussian"], "seeds": [0, 1]},
    "download": {"source": "synthetic", "synthetic": {"speakers": 3, "takes": 2, "test_speakers": 1, "test_takes": 1}},
    "validation": {"protocol": "held_out", "speakers": ["s02"]},
    "network": {"hidden": [32]},
    "train": {"epochs": 300},
    "evaluate": {"steps_ms": [1], "examples": 1},
    "profile": {"samples": 32, "trials": 1, "idle_s": 0.1, "cpu_batch_sizes": [32], "cuda_batch_sizes": [1]},
}
CANCELLED, REQUEUED, PREEMPTED, FAILING = "exponential/0", "exponential/1", "gaussian/0", "gaussian/1"


class Study:
    """The study in a folder, and what SLURM says of its jobs."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = folder, environment
        init.init(folder)
        content = yaml.safe_load(presets.text("default"))
        for group, values in SMALL.items():
            content[group] |= values
        (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def snakemake(self, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *arguments]
        # asked more often than is good for a scheduler of others
        command += ["--seconds-between-status-checks", "3", "--slurm-init-seconds-before-status-checks", "2"]
        with (self.folder / "snakemake.txt").open("a", encoding="utf-8") as said:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=said, stderr=said)

    def ask(self, *command: str) -> str:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def running(self) -> dict[str, tuple[str, str]]:
        """Return number and node of the running job of each training, by `loss/seed`."""
        found = {}
        for line in self.ask("squeue", "--noheader", "--states=RUNNING", "--format=%i|%N|%k").splitlines():
            number, node, comment = line.split("|", 2)
            if named := re.search(r"train.*?(exponential|gaussian)\W*_*(\d)", comment):
                found[f"{named[1]}/{named[2]}"] = (number, node)
        return found

    def half_done(self, training: str) -> tuple[str, str] | None:
        """Return number and node of a training that runs and has a checkpoint."""
        checkpoint = self.folder / "results" / "checkpoints" / training / "held_out.npz"
        return self.running().get(training) if checkpoint.exists() else None

    def weights(self, training: str) -> Path:
        return self.folder / "results" / "train" / training / "held_out" / "weights.npz"

    def log(self, training: str) -> str:
        return (self.folder / "logs" / "train" / training / "held_out.log").read_text(encoding="utf-8")

    def jobs(self) -> list[dict[str, str]]:
        """Return what SLURM keeps of each job."""
        lines = self.ask("scontrol", "--oneliner", "show", "jobs").splitlines()
        return [dict(field.split("=", 1) for field in line.split() if "=" in field) for line in lines]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start SLURM; return the environment in which its commands find it."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the plugin of SLURM is not installed")
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([sys.executable, TOOL, "start", folder], check=True)
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    for variable in ("SLURM_CONF", "SNAKEMAKE_PROFILE", "SLURM_JOB_ID", "SLURM_CPUS_PER_TASK"):
        environment.pop(variable, None)
    yield environment
    subprocess.run([sys.executable, TOOL, "stop", folder], check=True)


def disturb(study: Study, process: subprocess.Popen) -> None:
    """Cancel, queue again and preempt a training each, once it has written a checkpoint."""
    left = {CANCELLED, REQUEUED, PREEMPTED}
    end = time.monotonic() + LONGEST_S
    while left and process.poll() is None and time.monotonic() < end:
        for training in sorted(left):
            if job := study.half_done(training):
                left.remove(training)
                number, node = job
                if training == CANCELLED:
                    study.ask("scancel", number)
                elif training == REQUEUED:
                    study.ask("scontrol", "requeue", number)
                else:
                    urgent = ["sbatch", "--partition=urgent", f"--nodelist={node}", "--exclusive", "--output=/dev/null"]
                    study.ask(*urgent, "--wrap=sleep 3")
        time.sleep(0.5)
    assert not left, f"{left} ended before they could be disturbed"


@pytest.fixture(scope="module")
def disturbed(cluster, tmp_path_factory):
    """The study after a disturbed run, without the training that fails."""
    study = Study(tmp_path_factory.mktemp("study"), cluster)
    (study.folder / "results" / "checkpoints" / FAILING / "held_out.npz").mkdir(parents=True)  # where a file belongs
    started = time.monotonic()
    process = study.snakemake()
    disturb(study, process)
    study.status = process.wait(LONGEST_S)
    study.seconds = time.monotonic() - started
    return study


def test_a_failing_training_does_not_stop_the_others(disturbed):
    said = (disturbed.folder / "snakemake.txt").read_text()
    assert disturbed.status != 0, said
    assert not disturbed.weights(FAILING).exists()
    for training in (CANCELLED, REQUEUED, PREEMPTED):
        assert disturbed.weights(training).exists(), said


def test_both_nodes_had_work_and_interrupted_jobs_were_queued_again(disturbed):
    jobs = disturbed.jobs()
    assert {"here1", "here2"} <= {job["NodeList"] for job in jobs}
    assert sum(job["Restarts"] != "0" for job in jobs) >= 2
    assert any(job["JobState"] == "CANCELLED" for job in jobs)


@pytest.mark.parametrize("training", [CANCELLED, REQUEUED, PREEMPTED])
def test_an_interrupted_training_goes_on_from_its_checkpoint_and_ends_with_the_same_bits(disturbed, training, tmp_path):
    assert re.search(r"Going on after epoch [1-9]", disturbed.log(training))
    loss, seed = training.split("/")
    command = [sys.executable, "-m", "eventspeech.cli", "train", "--params", "params.yaml", "--loss", loss]
    command += ["--seed", seed, "--fold", "held_out", "--spikes", "data/spikes/train.npz"]
    for name, file in {"weights": "weights.npz", "history": "history.csv", "summary": "summary.json"}.items():
        command += [f"--{name}", str(tmp_path / file)]
    command += ["--checkpoint", str(tmp_path / "checkpoint.npz")]
    subprocess.run(command, cwd=disturbed.folder, env=disturbed.environment, check=True, capture_output=True)
    assert disturbed.weights(training).read_bytes() == (tmp_path / "weights.npz").read_bytes()


def test_the_plain_command_then_ends_with_the_report(disturbed):
    shutil.rmtree(disturbed.folder / "results" / "checkpoints" / FAILING)
    kept = {training: disturbed.weights(training).stat().st_mtime_ns for training in (CANCELLED, REQUEUED, PREEMPTED)}
    assert disturbed.snakemake().wait(LONGEST_S) == 0, (disturbed.folder / "snakemake.txt").read_text()
    assert (disturbed.folder / "reports" / "study.html").exists()
    assert kept == {training: disturbed.weights(training).stat().st_mtime_ns for training in kept}
