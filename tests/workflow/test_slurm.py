"""On a cluster without GPUs, and on one that refuses them, the measurement of a GPU is made all the same."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from support.forked import run

from eventspeech import presets

ROOT = Path(__file__).parents[2]
COMMANDS = ("sbatch", "srun", "sacct", "sacctmgr", "scancel", "scontrol", "sinfo", "squeue")


@pytest.fixture
def project(tmp_path):
    """Return a folder with the workflow and what the measurement reads."""
    project = tmp_path / "study"
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, project / name)
    shutil.copy(ROOT / "Snakefile", project)
    shutil.copy(ROOT / "environment.yml", project)
    content = yaml.safe_load(presets.text("default"))
    content["profile"] |= {"cpu_batch_sizes": [1], "cuda_batch_sizes": [1]}
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    spikes = project / "data" / "spikes" / "train.npz"
    spikes.parent.mkdir(parents=True)
    spikes.write_text("spikes\n")
    return project


@pytest.fixture
def submit(project, tmp_path):
    """Return what measures a GPU on a cluster of such nodes, in a partition; it returns what was asked of `sbatch`."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the plugin of SLURM is not installed")
    slurm = tmp_path / "slurm"
    slurm.mkdir()
    commands = project / "bin"
    commands.mkdir()
    for name in ("eventspeech", *COMMANDS):
        source = "fake_eventspeech.py" if name == "eventspeech" else "fake_slurm.py"
        text = (ROOT / "tests" / "support" / source).read_text(encoding="utf-8")
        (commands / name).write_text(f"#!{sys.executable} -IS\n{text}")
        (commands / name).chmod(0o755)
    environment = os.environ | {
        "PATH": os.pathsep.join([str(commands), os.environ["PATH"]]),
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home" / ".cache"),
        "FAKE_SLURM": str(slurm),
    }
    for variable in ("OMP_NUM_THREADS", "SNAKEMAKE_PROFILE", "SLURM_JOB_ID", "SLURM_CPUS_PER_TASK"):
        environment.pop(variable, None)

    def submitted(nodes: str, partition: str) -> list[str]:
        profile = project / "profiles" / "slurm" / "config.yaml"
        text = profile.read_text().replace('# slurm_partition: "your-partition"', f'slurm_partition: "{partition}"')
        profile.write_text(text.replace('# slurm_account: "your-account"', 'slurm_account: "acc"'))
        wait = ["--latency-wait", "3", "--seconds-between-status-checks", "1"]
        wait += ["--slurm-init-seconds-before-status-checks", "1"]
        target = ["results/profile/cuda/1.json", "--allowed-rules", "profile_cuda"]
        arguments = [*target, "--workflow-profile", "profiles/slurm", *wait]
        done = run("snakemake", arguments, project, environment | {"FAKE_SLURM_NODES": nodes})
        logs = "".join(log.read_text() for log in slurm.glob("*.out"))
        assert done.returncode == 0, done.stdout + done.stderr + logs
        assert (project / "results" / "profile" / "cuda" / "1.json").exists()
        return (slurm / "calls").read_text().splitlines()

    return submitted


def test_a_machine_without_gpus_holds_none_for_their_measurement(project):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "HOME": str(project)}
    done = run("snakemake", ["--dry-run", "results/profile/cuda/1.json"], project, environment)
    assert done.returncode == 0, done.stderr
    assert ", gpu=0, mem_mb=4000" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_cluster_without_gpus_is_not_asked_for_one(submit):
    (call,) = submit("part*|6|(null)|idle\nother|2|gpu:4|idle\n", "part")
    assert "--gpus" not in call
    for asked in ("-A acc", "-p part", "--cpus-per-task=6", "--exclusive", "--mem 4000", "-t 240"):
        assert asked in call


@pytest.mark.slow
def test_a_scheduler_that_refuses_a_gpu_gets_the_job_without(submit):
    calls = submit("part|6|gpu:2|idle\n", "part")
    assert ["--gpus" in call for call in calls] == [True, True, False]
