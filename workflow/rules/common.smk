# What is not a rule: the parameters in force, and the lists of files that the study asks for.
from eventspeech.errors import UserError
from eventspeech.workflow import effective_parameters, extend_path

try:
    PARAMETERS_FILE, PARAMETERS = effective_parameters(config)
except UserError as error:
    raise WorkflowError(str(error)) from None  # Snakemake prints this one without a traceback

extend_path()

# More threads than any machine has: Snakemake lowers it to --cores, so such a job takes the whole machine and runs alone.
ALL_CORES = 4096

STUDY = {"loss": PARAMETERS.study.losses, "seed": PARAMETERS.study.seeds}
SPLITS = ["train", "test"]
SPIKES = expand("data/spikes/{split}.{kind}", split=SPLITS, kind=["npz", "json"])
BASELINE = ["results/baseline/model.npz", "results/baseline/summary.json"]
TRAINED = expand(
    "results/train/{loss}/{seed}/{file}",
    file=["weights.npz", "history.csv", "summary.json"],
    **STUDY,
)
EVALUATION_FILES = ["metrics.json", "predictions.csv", "confusion.csv", "examples.npz"]
EVALUATED = [
    *expand("results/evaluate/{loss}/{seed}/{file}", file=EVALUATION_FILES, **STUDY),
    *expand("results/evaluate/baseline/{file}", file=EVALUATION_FILES),
]
PROFILED = [
    *expand("results/profile/cpu/{batch}.json", batch=PARAMETERS.profile.cpu_batch_sizes),
    *expand("results/profile/cuda/{batch}.json", batch=PARAMETERS.profile.cuda_batch_sizes),
]


wildcard_constraints:
    split="|".join(SPLITS),
    loss="|".join(PARAMETERS.shape),
    seed=r"\d+",
    batch=r"\d+",


def read_by(verb):
    """Return what fills `params: read=`: the values that ``verb`` reads, whose change makes it run again."""
    return lambda wildcards: PARAMETERS.select(verb, wildcards.get("loss"))


def parameters_file(wildcards, input):
    """Return the path of the parameter file.

    Snakemake does not count a parameter derived from `input` as a reason to run again; this one asks for `input` for
    that alone: not where the values stand but the values themselves (`read_by`) decide.
    """
    return PARAMETERS_FILE


def gpus(engine):
    """Return how many GPUs a job of this engine holds."""
    return int(engine != "cpu")
