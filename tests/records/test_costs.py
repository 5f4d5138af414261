"""What Snakemake tells of time and memory belongs to jobs of the study, and a file that tells nothing stops nothing."""

import math

import pytest
from support import fake_results

from eventspeech.records import costs

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
PARAMS = fake_results.params(losses=["exponential"], seeds=[0])


def write(folder, job, seconds="2.5", memory="150.5"):
    path = folder / f"{job}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:02\t{memory}\t1\t1\t1\t0\t0\t50\t2.25\n")
    return path


def test_jobs_of_the_study_are_read_under_the_names_of_their_stages(tmp_path):
    jobs = ["download/download", "train/exponential/0/held_out", "evaluate/baseline/held_out", "profile/cuda/8"]
    gone = ["train/gaussian/0/held_out", "train/exponential/1/held_out", "baseline/s03", "evaluate/exponential/0/s03"]
    for job in [*jobs, *gone]:
        write(tmp_path, job)
    found = {(cost.stage, cost.job) for cost in costs.read(PARAMS, tmp_path)}
    assert found == {
        ("download", "download"), ("train", "exponential/0/held_out"), ("evaluate_baseline", "held_out"),
        ("profile_cuda", "8"),
    }  # fmt: skip
    assert costs.read(PARAMS, tmp_path)[0] == costs.Cost("download", "download", 2.5, 2.25, 150.5)


def test_a_job_too_short_to_be_watched_has_its_time_alone(tmp_path):
    write(tmp_path, "compare/compare", memory="NA")
    (cost,) = costs.read(PARAMS, tmp_path)
    assert cost.wall_s == 2.5 and math.isnan(cost.memory_mib)


@pytest.mark.parametrize("content", [b"", b"s\n", b"nothing\nhere\n", b"\xff\xfe", HEADER.encode() + b"a\tb\tc\n"])
def test_what_is_no_benchmark_tells_nothing(tmp_path, content):
    write(tmp_path, "compare/compare").write_bytes(content)
    write(tmp_path, "download/download")
    assert [cost.stage for cost in costs.read(PARAMS, tmp_path)] == ["download"]
    assert costs.read(PARAMS, tmp_path / "missing") == []
