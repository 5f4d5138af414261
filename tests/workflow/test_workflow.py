"""Snakemake and DVC conduct the same study: one graph, and an edit reruns exactly the stages that read it.

Everything happens in a copy of the workflow where `eventspeech` is `fake_eventspeech.py`, so that a whole run takes
seconds. Stages are named as DVC names them (`train@gaussian-0-s1`) for both tools. The study has two folds.
"""

import ast
import base64
import contextlib
import copy
import fnmatch
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.dependency.param import ParamsDependency
from support.forked import run
from support.project import FOLDS, PYTHON, ROOT, Project, tiny_parameters

from eventspeech import params, paths, presets
from eventspeech.errors import ParameterError
from eventspeech.workflow import effective_parameters, filled, findings, lines

# DVC's own use of its own data structures
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    """A project run by Snakemake and adopted by DVC."""
    project = Project(tmp_path_factory.mktemp("finished"))
    project.first_words = project.snakemake("--cores", "2")
    project.first_calls = project.calls()
    project.dvc("commit", "--force", "--quiet")
    project.git_commit("receipt")
    return project


@pytest.fixture
def edited(finished):
    """The finished project; its parameters are put back afterwards."""
    yield finished
    finished.write(tiny_parameters())


# --- one graph -------------------------------------------------------------------------------------------------------


def snakemake_jobs(project: Project) -> dict[str, dict]:
    """Return what Snakemake noted about the job that made each output."""
    folder = project.folder / ".snakemake" / "metadata"
    noted = {}
    for file in folder.iterdir():
        noted[base64.urlsafe_b64decode(file.name).decode()] = json.loads(file.read_text())
    return noted


def test_the_two_graphs_are_one(finished):
    jobs = snakemake_jobs(finished)
    with finished.repo() as repo:
        makers = finished.makers(repo)
        assert set(jobs) == set(makers)
        for stage in repo.index.stages:
            outputs = {finished.relative(out.fs_path) for out in stage.outs}
            read = {key for dep in stage.deps if isinstance(dep, ParamsDependency) for key in dep.params}
            files = [finished.relative(dep.fs_path) for dep in stage.deps if not isinstance(dep, ParamsDependency)]
            # DVC names a folder where Snakemake names all files in it
            inputs = {name for file in files for name in makers if name == file or name.startswith(f"{file}/")}
            verb = shlex.split(stage.cmd)[1]
            with contextlib.chdir(finished.folder):
                command = filled(shlex.split(stage.cmd.replace("$DVC_STAGE", stage.addressing)))
            for output in outputs:
                job = jobs[output]
                assert job["rule"] == stage.name.split("@")[0]
                assert shlex.split(job["shellcmd"]) == command
                assert set(job["input"]) == inputs, stage
                leaves = [ast.literal_eval(line).partition(" = ")[0] for line in job["params"]]
                assert {key for key in read if any(f"{leaf}.".startswith(f"{key}.") for leaf in leaves)} == read
                assert all(any(f"{leaf}.".startswith(f"{key}.") for key in read) for leaf in leaves)
            loss = stage.name.partition("@")[2].partition("-")[0]
            assert read == set(params.select(params.validate(tiny_parameters()), verb, loss))


def test_only_evaluate_has_the_test_split_among_its_inputs(finished):
    jobs = snakemake_jobs(finished).values()
    assert {job["rule"] for job in jobs if "data/spikes/test.npz" in job["input"]} == {"evaluate", "evaluate_baseline"}
    with finished.repo() as repo:
        given = {
            stage.name.split("@")[0]
            for stage in repo.index.stages
            for dep in stage.deps
            if not isinstance(dep, ParamsDependency)
            and f"{finished.folder.resolve()}/data/spikes/test.npz/".startswith(f"{dep.fs_path}/")
        }
    assert given == {"evaluate", "evaluate_baseline"}


def test_one_name_for_verb_rule_stage_log_and_benchmark(finished):
    for output, job in snakemake_jobs(finished).items():
        verb = job["shellcmd"].split()[1]
        assert job["rule"].split("_")[0] == verb, output
        (log,) = job["log"]
        assert log.startswith(f"logs/{verb}/")
        benchmark = Path(log.replace("logs", "benchmarks", 1)).with_suffix(".tsv")
        assert (finished.folder / benchmark).is_file()


def test_paths_are_those_of_the_package(finished):
    outputs = set(snakemake_jobs(finished))
    expected = {paths.RAW, paths.RESULTS / "compare"}
    expected |= {named(split) for split in ("train", "test") for named in (paths.spikes, paths.statistics)}
    for loss in ("exponential", "gaussian"):
        for fold in FOLDS:
            expected |= {paths.model(paths.RESULTS, loss, 1, fold) / name for name in ("weights.npz", "history.csv")}
            tested = paths.evaluation(paths.RESULTS, loss, 1, fold)
            expected |= {tested / name for name in ("metrics.json", "examples.npz")}
    expected |= {paths.baseline(paths.RESULTS, fold) / "model.npz" for fold in FOLDS}
    expected |= {paths.RESULTS / "evaluate" / "baseline" / fold / "metrics.json" for fold in FOLDS}
    expected |= {paths.profile(paths.RESULTS, device, 1) for device in ("cpu", "cuda")}
    expected |= {paths.tuning(paths.RESULTS, "gaussian") / name for name in ("trials.csv", "best.yaml")}
    expected |= {paths.REPORTS / name for name in ("study.ipynb", "study.html", "figures", "tables")}
    assert {path.as_posix() for path in expected} <= outputs


def test_checkpoints_are_no_outputs(finished):
    assert (finished.folder / "results/checkpoints/gaussian/1/s2.npz").is_file()
    assert (finished.folder / "results/checkpoints/tune/gaussian.journal").is_file()
    assert not any("checkpoints" in output for output in snakemake_jobs(finished))


def test_threads_reach_the_command(finished):
    threads = {}
    for call in finished.first_calls:
        verb, number, _log = call.split()
        threads.setdefault(verb, set()).add(number)
    assert len(finished.first_calls) == len(set(finished.first_calls))
    assert threads.pop("preprocess") == threads.pop("profile") == {"2"}, "these take every core"
    assert set().union(*threads.values()) == {"1"}


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_spells_out_what_dvc_watches(name):
    # DVC knows no defaults: a group or leaf that it shall watch has to be in the file
    content = yaml.safe_load(presets.text(name))
    validated = params.validate(content)
    for verb in params.READ_BY:
        for key in params.select(validated, verb, validated.study.losses[0]):
            value = content
            for part in key.split("."):
                assert part in value, f"{name} does not spell out {key}"
                value = value[part]


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_makes_a_graph_in_both_tools(edited, name):
    edited.write(presets.text(name))
    validated = params.load(edited.folder / "params.yaml")
    study = validated.study
    jobs = [f"train@{loss}-{seed}-{fold}" for loss in study.losses for seed in study.seeds for fold in study.folds]
    said = edited.snakemake("--dry-run", "--quiet", "rules", "--forceall", "--cores", "1")
    assert re.search(rf"^train +{len(jobs)}$", said, re.MULTILINE), said
    with edited.repo() as repo:
        stages = {stage.addressing for stage in repo.index.stages}
    assert {stage for stage in stages if stage.startswith("train@")} == set(jobs)
    tuned = validated.tune.losses
    assert {stage for stage in stages if stage.startswith("tune")} == {f"tune@{loss}" for loss in tuned}
    assert ("\ntune  " in said) == bool(tuned), "planned where something is looked for, and only there"


# --- an edit reruns exactly what reads it ----------------------------------------------------------------------------


def change(**groups):
    """Return an edit of the parameters that sets these values and leaves the others of their groups alone."""

    def merge(old, new):
        return {**old, **{k: merge(old.get(k, {}), v) if isinstance(v, dict) else v for k, v in new.items()}}

    return lambda content: merge(content, groups)


def comment_and_layout(content: dict) -> str:
    text = yaml.safe_dump(dict(reversed(content.items())), indent=4)
    assert "trial_ms: 1000\n" in text
    return "# other words\n" + text.replace("trial_ms: 1000", "trial_ms: 1000.0  # still a second")


BELL = {"kind": "bell", "centre": 0.4}
TRAINED = "train@* tune@* evaluate@* compare report"
BASELINE = "baseline@* evaluate_baseline@*"
EVERYTHING = f"preprocess@* {BASELINE} profile_* {TRAINED}"
SPACE = {"optimiser.adam_beta1": {"kind": "continuous", "low": 0.5, "high": 0.95}}

EDITS = {
    "a comment, another order, 1000.0 for 1000": (comment_and_layout, ""),
    "report.title": (change(report={"title": "Bumps"}), "report"),
    "compare.confidence": (change(compare={"confidence": 0.9}), "compare report"),
    "evaluate.examples": (change(evaluate={"examples": 2}), "evaluate@* evaluate_baseline@* compare report"),
    "baseline.time_bins": (change(baseline={"time_bins": 5}), f"{BASELINE} compare report"),
    "profile.trials": (change(profile={"trials": 5}), "profile_* report"),
    "a seed more": (change(study={"seeds": [0, 1, 2]}), "train@*-2-* evaluate@*-2-* compare report"),
    "a seed less": (change(study={"seeds": [1]}), "compare report"),
    "a loss more": (
        change(study={"losses": ["exponential", "gaussian", "gaussian_matched"]}),
        "train@gaussian_matched-* evaluate@gaussian_matched-* compare report",
    ),
    "gaussian's width": (
        change(shape={"gaussian": {"width": 0.3}}),
        "train@gaussian-* tune@gaussian evaluate@gaussian-* compare report",
    ),
    "gaussian's changes": (
        change(shape={"gaussian": {"changes": {"augmentation": {"shift_channels": 1}, "train": {"epochs": 3}}}}),
        "train@gaussian-* tune@gaussian evaluate@gaussian-* compare report",
    ),
    "the measured loss's changes": (
        change(shape={"exponential": {"changes": {"network": {"delays": {"copies": 1}}}}}),
        "train@exponential-* evaluate@exponential-* compare profile_* report",
    ),
    "the measured loss's shape": (
        change(shape={"exponential": {"learning_rate": 0.01}}),
        "train@exponential-* evaluate@exponential-* compare profile_* report",
    ),
    "a shape nobody trains": (change(shape={"bell": BELL}), "report"),
    "train.epochs": (change(train={"epochs": 7}), TRAINED),
    "optimiser.learning_rate": (change(optimiser={"learning_rate": 0.5}), f"{TRAINED} profile_*"),
    "optimiser.ease_in": (change(optimiser={"ease_in": {"start": 0.5}}), f"{TRAINED} profile_*"),
    "train.schedule": (change(train={"schedule": {"factor": 0.5}}), TRAINED),
    "train.select": (change(train={"select": "last"}), TRAINED),
    "blending": (change(augmentation={"blend": {"probabilities": [0.5, 0.5]}}), f"{TRAINED} profile_*"),
    "a batch size more": (change(profile={"cpu_batch_sizes": [1, 8]}), "profile_cpu@8 report"),
    "a fold more": (
        change(study={"folds": ["s1", "s2", "s3"]}),
        "train@*-s3 tune@* evaluate@*-s3 baseline@s3 evaluate_baseline@s3 compare report",
    ),
    "another fold": (
        change(study={"folds": ["s3", "s1"]}),
        "train@*-s3 tune@* evaluate@*-s3 baseline@s3 evaluate_baseline@s3 compare report",
    ),
    "more trials": (change(tune={"trials": 40}), "tune@* report"),
    "another space": (change(tune={"space": SPACE}), "tune@* report"),
    "a tuned loss more": (change(tune={"losses": ["gaussian", "exponential"]}), "tune@exponential report"),
    "other workers": (change(tune={"workers": 2}), "report"),
    "nothing tuned": (change(tune={"losses": []}), "report"),
    "the protocol": (
        lambda content: {
            **content,
            "validation": {"protocol": "random", "fraction": 0.1},
        },
        f"{TRAINED} {BASELINE}",
    ),
    "preprocess.trial_ms": (change(preprocess={"trial_ms": 900}), EVERYTHING),
    "cochlea.seed": (change(cochlea={"seed": 1}), EVERYTHING),
    "download's takes": (change(download={"synthetic": {"takes": 4}}), f"{EVERYTHING} download"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_what_reads_it(edited, name):
    edit, patterns = EDITS[name]
    edited.write(edit(tiny_parameters()))
    stages, by_snakemake, by_dvc = edited.reruns()
    expected = {stage for stage in stages if any(fnmatch.fnmatchcase(stage, one) for one in patterns.split())}
    assert by_snakemake == expected
    assert by_dvc == expected


def test_a_default_written_out_reruns_nothing_in_snakemake_but_does_in_dvc(edited):
    content = tiny_parameters()
    content["report"]["title"] = params.Report().title
    edited.write(content)
    _, by_snakemake, by_dvc = edited.reruns()
    assert by_snakemake == set()
    assert by_dvc == {"report"}, "DVC compares what the file says, and cannot know the default"


def test_compare_waits_for_exactly_the_pairs_of_the_study(edited):
    content = tiny_parameters()
    content["study"] = {"losses": ["gaussian"], "seeds": [1], "folds": ["s2", "s1"]}
    content["compare"]["reference"] = "gaussian"
    edited.write(content)
    inputs = re.search(r"rule compare:\s+input: (.*)", edited.snakemake("-n")).group(1).split(", ")
    models = {file.rpartition("/")[0] for file in inputs}
    folders = ("results/train/gaussian/1", "results/evaluate/gaussian/1", "results/evaluate/baseline")
    assert models == {f"{folder}/{fold}" for folder in folders for fold in FOLDS}
    # what the study no longer asks for stays, and counts again if it is put back
    assert (edited.folder / "results/train/gaussian/0/s1/weights.npz").is_file()


# --- the command line lays values over params.yaml -------------------------------------------------------------------


def test_values_on_the_command_line_reach_the_commands(edited, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("train: {epochs: 7}\noptimiser: {engine: cuda}\n")
    said = edited.snakemake("-n", "--configfile", str(other), "--config", "report={title: Bumps}")
    (file,) = set(re.findall(r"--params (\S+)", said))
    loaded = params.load(edited.folder / file)
    assert (loaded.train.epochs, loaded.report.title) == (7, "Bumps")
    assert loaded.study.seeds == [0, 1]
    before = tiny_parameters()["train"]["epochs"]
    assert f"'train.epochs = {before}'" in said and "'train.epochs = 7'" in said, "the reason is readable"
    assert re.findall(r"^rule train:", said, re.M) and not re.findall(r"^rule (preprocess|baseline):", said, re.M)
    jobs = re.split(r"\n\n", said)
    assert all("gpu=1" in job for job in jobs if "rule train:" in job)
    # where the values come from is no reason to run
    other.write_text(yaml.safe_dump(tiny_parameters()))
    assert "Nothing to be done" in edited.snakemake("-n", "--configfile", str(other))


def test_effective_parameters(tmp_path):
    file = tmp_path / "params.yaml"
    content = tiny_parameters()
    file.write_text(yaml.safe_dump(content))
    assert effective_parameters([], {}, file, tmp_path) == (file, params.validate(content))
    same = {"train": {"epochs": str(content["train"]["epochs"])}}
    assert effective_parameters([], same, file, tmp_path)[0] == file
    path, parameters = effective_parameters([], {"train": {"epochs": "3"}}, file, tmp_path)
    assert path != file and parameters == params.load(path) and parameters.train.epochs == 3
    (tmp_path / "other.yaml").write_text("train: {epochs: 3}")
    assert effective_parameters([tmp_path / "other.yaml"], {}, file, tmp_path)[0] == path
    with pytest.raises(ParameterError, match=r"command line.*epochz"):
        effective_parameters([], {"train": {"epochz": "3"}}, file, tmp_path)


# texts are what Snakemake makes of --config train='{...}'; without braces it takes numbers for numbers itself
TYPED = {
    "scientific": ({"optimiser": {"learning_rate": "1e-3"}}, lambda p: p.optimiser.learning_rate == 1e-3),
    "YAML 1.2": ({"train": {"epochs": "010"}}, lambda p: p.train.epochs == 10),
    "octal": ({"study": {"seeds": ["0o17", "0x1F"]}}, lambda p: p.study.seeds == [15, 31]),
    "boolean": ({"network": {"recurrent": "false"}}, lambda p: p.network.recurrent is False),
    "nothing": ({"augmentation": {"blend": {"samples": "null"}}}, lambda p: p.augmentation.blend.samples is None),
    "number for a text": ({"report": {"title": "3"}}, lambda p: p.report.title == "3"),
    "numbers for texts": ({"study": {"folds": ["1", "2"]}}, lambda p: p.study.folds == ["1", "2"]),
    "word": ({"report": {"title": "no"}}, lambda p: p.report.title == "no"),
}


@pytest.mark.parametrize("name", TYPED)
def test_values_of_the_command_line_have_the_types_of_a_file(name, tmp_path):
    config, holds = TYPED[name]
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(tiny_parameters()))
    path, parameters = effective_parameters([], config, file, tmp_path)
    assert holds(parameters) and params.load(path) == parameters


def test_a_word_is_no_boolean_on_the_command_line_either(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(tiny_parameters()))
    with pytest.raises(ParameterError, match=r"network\.recurrent = 'no' is not valid: .*boolean"):
        effective_parameters([], {"network": {"recurrent": "no"}}, file, tmp_path)


def test_lines_keep_the_name_with_the_value():
    assert lines(
        {"optimiser": {"regulariser": {"strength": 0.0}}, "train": {"epochs": 3}, "shape.sum": {"kind": "sum"}}
    ) == [
        "optimiser.regulariser.strength = 0.0",
        "train.epochs = 3",
        'shape.sum.kind = "sum"',
    ]


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("epochs: many", "train.epochs = 'many' is not valid"),
        ("epochz: 30", "unknown key train.epochz"),
        ("epochs: [30", "is not valid YAML"),
        ("epochs: 3\n  epochs: 4", "the key epochs stands in line"),
        (
            "x0: &x0 [1, 2]\n" + "".join(f"  x{i}: &x{i} [*x{i - 1}, *x{i - 1}]\n" for i in range(1, 40)),
            "are more than",
        ),
    ],
)
def test_bad_parameters_end_in_one_sentence(edited, broken, sentence):
    before = snapshot(edited.folder)
    text = yaml.safe_dump(tiny_parameters())
    line = f"  epochs: {tiny_parameters()['train']['epochs']}\n"
    assert text.count(line) == 1
    edited.write(text.replace(line, f"  {broken}\n"))
    if "valid YAML" in sentence:  # in a process of its own, as a user sees it
        command = [PYTHON, "-m", "snakemake", "--cores", "2"]
        done = subprocess.run(command, cwd=edited.folder, env=edited.environment, capture_output=True, text=True)
    else:
        done = run("snakemake", ["--cores", "2"], edited.folder, edited.environment)
    assert done.returncode == 1 and done.stdout == ""
    told = [line for line in done.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert len(told) == 1 and told[0].startswith("snakemake: params.yaml") and sentence in told[0]
    assert snapshot(edited.folder) == before
    assert edited.calls() == []


# --- going from one tool to the other --------------------------------------------------------------------------------


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for name in ("data", "results", "reports") for path in (folder / name).rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files if path.is_file()}


def test_dvc_adopts_what_snakemake_made(finished):
    finished.dvc("status", "--quiet")  # exit status 0: up to date
    said = finished.dvc("repro", "--dry")
    assert "Running stage" not in said and "'train@gaussian-1-s1' didn't change" in said
    assert "Nothing to be done" in finished.snakemake("-n")
    assert finished.calls() == []


def test_snakemake_adopts_what_dvc_made(tmp_path):
    content = tiny_parameters()
    content["study"] |= {"seeds": [0], "folds": ["Jürgen-李"]}  # names of speakers, in any script
    content["validation"] = {"protocol": "random", "fraction": 0.5}
    project = Project(tmp_path, content)
    project.dvc("repro", "--quiet")
    # without Snakemake, threads are the package's choice
    assert all(call.split()[1] == "None" for call in project.calls())
    assert "Nothing to be done" in project.snakemake("-n")
    adopt = ("--touch", "--forceall", "--quiet", "all")
    project.snakemake(*adopt)
    assert project.rerun_by_snakemake() == set()
    project.write(change(report={"title": "Bumps"})(content))
    assert project.rerun_by_snakemake() == {"report"}, "the parameters were noted"

    # restored files carry new times
    project.write(content)
    for name in ("data", "results", "reports"):
        shutil.rmtree(project.folder / name)
    project.dvc("checkout", "--quiet")
    project.snakemake(*adopt)
    assert project.rerun_by_snakemake() == set()
    project.dvc("status", "--quiet")
    assert project.calls() == []


def test_experiments_metrics_and_plots(finished, tmp_path):
    project = copy.copy(finished)
    project.folder = tmp_path / "copy"
    shutil.copytree(finished.folder, project.folder)
    stages = [f"evaluate_baseline@{fold}" for fold in FOLDS]
    project.dvc("exp", "run", "--quiet", "--set-param", "baseline.time_bins=5", *stages)
    assert {call.split()[0] for call in project.calls()} == {"baseline", "evaluate"}
    # a few numbers of the comparison, which has not run again, and each figure once
    assert project.dvc("metrics", "diff", "--json").strip() == "{}"
    (metrics,) = json.loads(project.dvc("metrics", "show", "--json"))[""]["data"].items()
    assert metrics[0] == "results/compare/metrics.json" and len(metrics[1]["data"]) == 1
    plots = json.loads(project.dvc("plots", "show", "--json"))["data"]
    assert set(plots) == {"training", "reports/figures/png/a.png"}
    assert plots["training"][0]["content"]["encoding"]["color"] == {"field": "loss", "type": "nominal"}
    assert "could not be loaded" in Path(project.dvc("plots", "show").strip().removeprefix("file://")).read_text()
    assert json.loads(project.dvc("params", "diff", "--json"))["params.yaml"]["baseline.time_bins"]["new"] == 5


# --- an interruption loses nothing -----------------------------------------------------------------------------------


def test_a_failing_training_leaves_the_rest_alone(tmp_path):
    project = Project(tmp_path)
    said = project.snakemake("--cores", "2", status=1, FAKE_FAIL="gaussian/1/s2")
    assert "logs/train/gaussian/1/s2.log" in said, "the message names the log"
    results = project.folder / "results"
    assert not (results / "train/gaussian/1/s2/weights.npz").exists()
    checkpoint = results / "checkpoints/gaussian/1/s2.npz"
    assert checkpoint.is_file()
    assert (results / "evaluate/gaussian/1/s1/metrics.json").is_file(), "the other folds went on"
    before = snapshot(project.folder)
    project.calls()

    project.snakemake("--cores", "2")
    assert sorted(call.split()[0] for call in project.calls()) == ["compare", "evaluate", "report", "train"]
    after = snapshot(project.folder)
    assert {path for path in before if after[path] != before[path]} <= {str(checkpoint)}


# --- form ------------------------------------------------------------------------------------------------------------


def test_a_run_ends_with_what_was_found(finished, tmp_path):
    told = (finished.folder / "reports" / "tables" / "findings.txt").read_text()
    assert f"(100%) done\n{told}" in finished.first_words
    assert findings(tmp_path, finished.folder / "reports") == told
    (tmp_path / "newer.json").write_text("{}")
    assert findings(tmp_path, finished.folder / "reports") == "", "of another study than the results"
    assert findings(tmp_path, tmp_path) == ""


def test_lint(finished):
    assert "in a good condition" in finished.snakemake("--lint")


def test_format():
    pytest.importorskip("snakefmt", reason="snakefmt is not installed")
    files = [ROOT / "Snakefile", ROOT / "workflow" / "Snakefile", *(ROOT / "workflow" / "rules").iterdir()]
    done = subprocess.run(
        [PYTHON, "-m", "snakefmt", "--check", "--line-length", "120", *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_snakefile_is_a_table_of_contents():
    text = (ROOT / "workflow" / "Snakefile").read_text()
    assert len(text.splitlines()) <= 40
    assert "shell:" not in text and "def " not in text


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_profiles_say_why(profile):
    from snakemake.cli import get_argument_parser

    text = (ROOT / "profiles" / profile / "config.yaml").read_text()
    options = {option for action in get_argument_parser()._actions for option in action.option_strings}
    content = {key: value for key, value in yaml.safe_load(text).items() if not key.startswith("__")}  # YTE's own
    # options of a plugin are known where it is installed
    known = {key for key in content if not key.startswith("slurm-") or "--slurm-status-command" in options}
    assert {f"--{key}" for key in known} <= options
    for key, value in content.items():
        if not isinstance(value, (dict, list)):
            assert re.search(rf"^{key}: .* # ", text, re.M), f"{profile}: {key} lacks its reason"
    rules = set(re.findall(r"^rule (\w+):", "".join(f.read_text() for f in (ROOT / "workflow/rules").iterdir()), re.M))
    assert set(content.get("set-resources", {})) <= rules
