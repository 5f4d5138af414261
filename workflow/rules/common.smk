# What is not a rule: the parameters in force, and the lists of files that the study asks for.
import os
import re
import sys
from functools import cache
from inspect import Parameter, Signature
from pathlib import Path

from eventspeech import cluster, machine
from eventspeech.engines import gpus
from eventspeech.params import select
from eventspeech.workflow import effective_parameters, extend_path, findings, lines, one_sentence, tell_at_the_end

# Not through `configfile:`, since Snakemake reads YAML 1.1, where 010 is 8 and `no` is false, and DVC 1.2.
with one_sentence():
    given = workflow.config_settings
    PARAMETERS_FILE, PARAMETERS = effective_parameters(given.configfiles, given.config)

extend_path()

# Snakemake fills in wildcards in the whole path: braces in the name of a folder above are no wildcards.
ENVIRONMENT = workflow.source_path("../../environment.yml").replace("{", "{{").replace("}", "}}")

# More threads than any machine has: Snakemake lowers it to --cores, so such a job takes the whole machine and runs alone.
ALL_CORES = 4096

FOLDS = PARAMETERS.study.folds
STUDY = {"loss": PARAMETERS.study.losses, "seed": PARAMETERS.study.seeds, "fold": FOLDS}
SPLITS = ["train", "test"]
# what the report shows of the data: of the test split the statistics alone
SHOWN = ["data/spikes/train.npz", *expand("data/spikes/{split}.json", split=SPLITS)]
BASELINE = expand("results/baseline/{fold}/{file}", file=["model.npz", "summary.json"], fold=FOLDS)
TRAINED = expand(
    "results/train/{loss}/{seed}/{fold}/{file}",
    file=["weights.npz", "history.csv", "summary.json"],
    **STUDY,
)
TUNED = expand(
    "results/tune/{loss}/{file}",
    file=["trials.csv", "curves.csv", "best.yaml", "summary.json"],
    loss=PARAMETERS.tune.losses,
)
EVALUATION_FILES = ["metrics.json", "predictions.csv", "confusion.csv", "examples.npz"]
EVALUATED = [
    *expand("results/evaluate/{loss}/{seed}/{fold}/{file}", file=EVALUATION_FILES, **STUDY),
    *expand("results/evaluate/baseline/{fold}/{file}", file=EVALUATION_FILES, fold=FOLDS),
]
PROFILED = [
    *expand("results/profile/cpu/{batch}.json", batch=PARAMETERS.profile.cpu_batch_sizes),
    *expand("results/profile/cuda/{batch}.json", batch=PARAMETERS.profile.cuda_batch_sizes),
]


# On a cluster these run where Snakemake runs: compute nodes often have no internet, the others are short.
localrules:
    all,
    download,
    compare,
    report,


wildcard_constraints:
    split="|".join(SPLITS),
    loss="|".join(PARAMETERS.shape),
    seed=r"\d+",
    fold="|".join(map(re.escape, FOLDS)),
    batch=r"\d+",


def asks_for(*names):
    """Tell Snakemake what a function takes, which it else finds out anew for each job, in a third of the call's time."""

    def told(function):
        function.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names])
        return function

    return told


@cache
def values_read(verb, loss):
    """Return one line `key = value` for each leaf that ``verb`` reads, with the changes of ``loss``."""
    return lines(select(PARAMETERS, verb, loss))


def read_by(verb):
    """Return what stands under `params:`: one line `key = value` for each leaf that ``verb`` reads.

    Snakemake runs a job again if one of these lines has changed, and then shows the line before and now. (It keeps
    values without their names, hence the key in the line.) Where losses differ, be it in the shape or by a loss's own
    changes, the line is a function of the wildcards; all shapes have the same keys. The others are plain texts, since
    functions, forty for each of ten thousand trainings, were a third of the time that Snakemake takes to plan. (In a
    plain text it would fill in what stands in braces.)
    """
    each_loss = [values_read(verb, loss) for loss in PARAMETERS.shape]
    return [
        texts[0] if len(set(texts)) == 1 and "{" not in texts[0] else line_of_loss(verb, line)
        for line, texts in enumerate(zip(*each_loss, strict=True))
    ]


def line_of_loss(verb, line):
    """Return the function that gives one line of the values that ``verb`` reads for the loss of a job."""

    @asks_for("wildcards")
    def value(wildcards):
        return values_read(verb, wildcards.get("loss"))[line]

    return value


@asks_for("wildcards", "input")
def parameters_file(wildcards, input):
    """Return the path of the parameter file.

    Snakemake does not count a parameter derived from `input` as a reason to run again; this one asks for `input` for
    that alone: not where the values stand but the values themselves (`read_by`) decide.
    """
    return PARAMETERS_FILE


# What jobs ask for. On one machine threads and GPUs count; a cluster's scheduler also heeds memory and time.


def partition(rule):
    """Return the partition that the jobs of a rule are submitted to, if it is named."""
    settings = workflow.resource_settings
    return cluster.named_partition(settings.overwrite_resources.get(rule, {}), settings.default_resources or {})


def whole_node(rule):
    """Return the threads of jobs that take a whole machine, be it this one or a node of a cluster."""

    def threads(wildcards):
        if workflow.remote_exec or workflow.subprocess_exec:  # on the node: what the scheduler has given
            return int(os.environ.get("SLURM_CPUS_PER_TASK", ALL_CORES))
        return cluster.cores(partition(rule)) if workflow.non_local_exec else ALL_CORES

    return threads


@asks_for("wildcards", "attempt")
def memory_mb(wildcards, attempt):
    """Return room for SHD's 65 million events, at 8 bytes, and some copies; a job that failed gets twice as much."""
    return 4000 * 2 ** (attempt - 1)


def gpu_to_measure(wildcards, attempt):
    """Return how many GPUs the measurement of one asks for: none where there is none, and its row says why."""
    return cluster.gpus_to_ask(attempt, workflow.non_local_exec, partition("profile_cuda"), machine.cuda_problem)
