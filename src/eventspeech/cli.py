"""The command line: one verb a stage, explicit paths, no logic.

Imports of a verb's module happen inside its function, so that `--help` and a quick refusal need no numba.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from eventspeech import __version__, console
from eventspeech.benchmarks import run as benchmarks
from eventspeech.errors import UserError
from eventspeech.paths import BENCHMARKS, PARAMS, RESULTS, SPIKES


def _download(arguments: argparse.Namespace) -> None:
    from eventspeech import params
    from eventspeech.stages import download

    download.download(params.load(arguments.params), arguments.raw)


def _preprocess(arguments: argparse.Namespace) -> None:
    from eventspeech import params
    from eventspeech.stages import preprocess

    preprocess.preprocess(
        params.load(arguments.params), arguments.raw, arguments.split, arguments.spikes, arguments.statistics
    )


def _baseline(arguments: argparse.Namespace) -> None:
    from eventspeech import params
    from eventspeech.stages import baseline

    baseline.train(params.load(arguments.params), arguments.spikes, arguments.model, arguments.summary, arguments.fold)


def _train(arguments: argparse.Namespace) -> None:
    from eventspeech import params
    from eventspeech.stages import train

    train.train(
        params.load(arguments.params),
        arguments.loss,
        arguments.seed,
        arguments.spikes,
        train.Outputs(arguments.weights, arguments.history, arguments.summary, arguments.checkpoint),
        arguments.fold,
    )


def _tune(arguments: argparse.Namespace) -> None:
    from eventspeech import params
    from eventspeech.stages import tune

    tune.tune(
        params.load(arguments.params),
        arguments.loss,
        arguments.spikes,
        tune.Outputs(arguments.trials, arguments.curves, arguments.best, arguments.summary, arguments.storage),
        arguments.workers,
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    from eventspeech import params
    from eventspeech.stages import evaluate

    evaluate.evaluate(
        params.load(arguments.params),
        arguments.model,
        arguments.spikes,
        evaluate.Outputs(arguments.metrics, arguments.predictions, arguments.confusion, arguments.examples),
        arguments.raw,
    )


def _compare(arguments: argparse.Namespace) -> None:
    from eventspeech import params
    from eventspeech.stages import compare

    compare.compare(params.load(arguments.params), arguments.models, arguments.evaluations, arguments.out)


def _profile(arguments: argparse.Namespace) -> None:
    from eventspeech import params
    from eventspeech.stages import profile

    profile.profile(
        params.load(arguments.params), arguments.device, arguments.batch_size, arguments.spikes, arguments.out
    )


def _report(arguments: argparse.Namespace) -> None:
    from eventspeech import params
    from eventspeech.stages import report

    report.report(
        params.load(arguments.params), arguments.params, arguments.spikes, arguments.results, arguments.out,
        arguments.benchmarks,
    )  # fmt: skip


def _predict(arguments: argparse.Namespace) -> None:
    from eventspeech import predict

    words = [word.strip() for word in (arguments.words or "").split(",") if word.strip()]
    predict.predict(
        arguments.model, arguments.files, form=arguments.form, window_s=arguments.window, hop_s=arguments.hop,
        words=words, figure=arguments.figure, study=arguments.params,
    )  # fmt: skip


def _card(arguments: argparse.Namespace) -> None:
    from eventspeech import card

    card.write(arguments.models, arguments.evaluation)


def _track(arguments: argparse.Namespace) -> None:
    from eventspeech import track

    track.track(arguments.results, arguments.to, arguments.folder or Path(arguments.to))


def _export(arguments: argparse.Namespace) -> None:
    from eventspeech.exchange import nir

    nir.write(arguments.file, arguments.model, arguments.scaling, arguments.delays)


def _import(arguments: argparse.Namespace) -> None:
    from eventspeech.exchange import nir

    nir.bring_back(arguments.file, arguments.model, arguments.like)


def _doctor(arguments: argparse.Namespace) -> int:
    from eventspeech import doctor

    return doctor.run(sys.stdout)


def _init(arguments: argparse.Namespace) -> None:
    from eventspeech import init

    init.init(arguments.folder, arguments.preset)


def _verify(arguments: argparse.Namespace) -> int:
    from eventspeech import verify

    return verify.run(sys.stdout, arguments.manifest, arguments.params, arguments.spikes, arguments.results)


def _mend(arguments: argparse.Namespace) -> None:
    from eventspeech import mending

    for sentence in mending.mend(Path()) or ["there is nothing to put right in this folder."]:
        sys.stdout.write(f"mend: {sentence}\n")


def _site(arguments: argparse.Namespace) -> None:
    from eventspeech import site

    site.site(arguments.studies, arguments.out)


def _preset(arguments: argparse.Namespace) -> None:
    from eventspeech import presets

    sys.stdout.write(presets.laid(arguments.name, arguments.over) if arguments.over else presets.text(arguments.name))


def _check_gradients(arguments: argparse.Namespace) -> int:
    from eventspeech import check_gradients

    return check_gradients.run(arguments.engine, arguments.json, sys.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="eventspeech", description=sys.modules["eventspeech"].__doc__)
    parser.add_argument("--version", action="version", version=f"eventspeech {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_stages(verbs)
    _add_uses(verbs)
    _add_tools(verbs)
    return parser


def _add_stages(verbs: argparse._SubParsersAction) -> None:
    def stage(name: str, function: Callable, text: str) -> argparse.ArgumentParser:
        epilog = 'With --job "$DVC_STAGE", as in dvc.yaml, {loss}, {seed}, {fold} and {batch} stand for what it names.'
        verb = verbs.add_parser(name, help=text, description=text, epilog=epilog)
        verb.add_argument("--params", type=Path, required=True, help="parameter file")
        verb.add_argument("--log", type=Path, help="file that gets everything this command says, tracebacks too")
        verb.set_defaults(function=function)
        return verb

    def paths(verb: argparse.ArgumentParser, **options: str) -> None:
        for option, text in options.items():
            verb.add_argument(f"--{option}", type=Path, required=True, help=text)

    def fold(verb: argparse.ArgumentParser) -> None:
        text = "an entry of `study.folds` in the parameter file; may be left out where there is one only"
        verb.add_argument("--fold", help=text)

    verb = stage("download", _download, "Fetch, synthesise or index the raw speech.")
    paths(verb, raw="folder to make")
    verb = stage("preprocess", _preprocess, "Make the spike store of a split.")
    paths(verb, raw="folder made by download", spikes="spike store to write", statistics="JSON to write")
    verb.add_argument("--split", required=True, choices=["train", "validation", "test"])
    verb = stage("baseline", _baseline, "Fit logistic regression on binned spike counts.")
    paths(verb, spikes="training split", model="NPZ to write", summary="JSON to write")
    fold(verb)
    verb = stage("train", _train, "Train one network with Eventprop.")
    verb.add_argument("--loss", required=True, help="an entry of `shape` in the parameter file")
    verb.add_argument("--seed", type=int, required=True)
    fold(verb)
    paths(
        verb,
        spikes="training split",
        weights="NPZ to write: weights of the best epoch",
        history="CSV to write: one row an epoch",
        summary="JSON to write",
        checkpoint="NPZ that lets an interrupted training go on; kept beside, not among, the outputs",
    )
    verb = stage("tune", _tune, "Look for better parameters of one loss, by validation alone.")
    verb.add_argument("--loss", required=True, help="an entry of `tune.losses` in the parameter file")
    verb.add_argument("--workers", type=_workers, help="trials at a time; default `tune.workers`")
    paths(
        verb,
        spikes="training split",
        trials="CSV to write: one row a trial",
        curves="CSV to write: one row an epoch",
        best="YAML to write: the best values, laid over a parameter file by `snakemake --configfile`",
        summary="JSON to write",
        storage="journal of the search; the same command, here or on another machine, goes on with it or helps",
    )
    verb = stage("evaluate", _evaluate, "Test a trained model, once.")
    paths(
        verb,
        model="NPZ made by train or baseline",
        spikes="test split",
        metrics="JSON to write",
        predictions="CSV to write",
        confusion="CSV to write",
        examples="NPZ to write: spikes and voltages of a few samples",
    )
    text = "folder made by download: the examples come with their recordings if these are synthesised"
    verb.add_argument("--raw", type=Path, help=text)
    verb = stage("compare", _compare, "Compare the losses over seeds.")
    paths(verb, models="folder of trainings", evaluations="folder of tests", out="folder to write")
    verb = stage("profile", _profile, "Measure time, power and energy of training.")
    verb.add_argument("--device", required=True, choices=["cpu", "cuda"])
    verb.add_argument("--batch-size", type=int, required=True)
    paths(verb, spikes="training split", out="JSON to write")
    verb = stage("report", _report, "Execute and render the report.")
    paths(verb, spikes="folder of spike stores", results="folder of results", out="folder to write")
    text = "folder in which Snakemake keeps the time and memory of each job; may be missing"
    verb.add_argument("--benchmarks", type=Path, default=BENCHMARKS, help=text)


def _add_uses(verbs: argparse._SubParsersAction) -> None:
    """Add what is done with a trained network, outside the graph."""
    text = "Say which words a trained network hears in recordings."
    verb = verbs.add_parser("predict", help=text, description=text)
    verb.add_argument("model", type=Path, metavar="MODEL", help="weights.npz made by train")
    verb.add_argument("files", type=Path, nargs="+", metavar="FILE", help="sound file, folder, or - for standard input")
    verb.add_argument("--window", type=float, metavar="S", help="go through long recordings in windows of S seconds")
    verb.add_argument("--hop", type=float, metavar="S", help="a window every S seconds; default: half a window")
    verb.add_argument("--words", metavar="WORD,...", help="answer with one of these words only")
    form = verb.add_mutually_exclusive_group()
    for name in ("json", "csv"):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, default="table",
                          help=f"print {name.upper()} in place of a table")  # fmt: skip
    verb.add_argument("--figure", type=Path, metavar="FILE", help="draw what happened (.png, .svg, .pdf)")
    verb.add_argument("--params", type=Path, help="parameter file of the study, for models of version 0.2 or before")
    verb.add_argument("--log", type=Path, help="file that gets everything this command says, tracebacks too")
    verb.set_defaults(function=_predict)

    text = "Write a model card beside each trained network: data, licence, protocol, accuracy by voice, cost, limits."
    verb = verbs.add_parser("card", help=text, description=text)
    verb.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="weights.npz made by train")
    verb.add_argument("--evaluation", type=Path, help="folder made by evaluate; default: where a study has it")
    verb.set_defaults(function=_card)

    text = "Write the runs of a study, their history and parameters, for MLflow or TensorBoard."
    verb = verbs.add_parser("track", help=text, description=text)
    verb.add_argument("results", type=Path, metavar="RESULTS", help="folder of results, or of one training")
    verb.add_argument("--to", choices=["mlflow", "tensorboard"], required=True)
    verb.add_argument("--folder", type=Path, help="folder to write into; default: mlflow or tensorboard")
    verb.set_defaults(function=_track)

    text = "Write a trained network for other programs."
    verb = verbs.add_parser("export", help=text, description=text)
    verb.add_argument("model", type=Path, metavar="MODEL", help="weights.npz made by train")
    verb.add_argument("--to", choices=["nir"], default="nir", help="nir: Neuromorphic Intermediate Representation")
    verb.add_argument("file", type=Path, metavar="FILE", help="file to write")
    verb.add_argument("--scaling", choices=["continuous", "snntorch"], default="continuous",
                      help="what the equations of NIR say, or what the importer of snnTorch computes")  # fmt: skip
    verb.add_argument("--delays", choices=["inputs", "nodes"], default="inputs",
                      help="an input for each delayed copy, or Delay nodes, which most programs refuse")  # fmt: skip
    verb.set_defaults(function=_export)

    text = "Read a network that was exported, and perhaps trained on elsewhere."
    verb = verbs.add_parser("import", help=text, description=text)
    verb.add_argument("file", type=Path, metavar="FILE", help="NIR graph")
    verb.add_argument("model", type=Path, metavar="MODEL", help="weights.npz to write")
    verb.add_argument("--like", type=Path, metavar="MODEL", help="model whose words, loss, trial and cochlea it has")
    verb.set_defaults(function=_import)


def _add_tools(verbs: argparse._SubParsersAction) -> None:
    doctor = verbs.add_parser("doctor", help="Say what this machine can run: PASS, FAIL or SKIP with the remedy.")
    doctor.set_defaults(function=_doctor)

    init = verbs.add_parser("init", help="Lay out a study in a folder of its own.")
    init.add_argument("folder", type=Path, metavar="FOLDER", help="new or empty folder")
    init.add_argument("--preset", default="default", metavar="NAME", help="as of `eventspeech preset`")
    init.set_defaults(function=_init)

    site = verbs.add_parser("site", help="Lay the reports of several studies side by side, to be published.")
    site.add_argument("studies", type=Path, nargs="+", metavar="STUDY", help="folder that holds reports/study.html")
    site.add_argument("--out", type=Path, required=True, help="folder to make anew, with an index.html")
    site.set_defaults(function=_site)

    verify = verbs.add_parser("verify", help="Say whether a study came out bit by bit as another one did.")
    verify.add_argument("manifest", type=Path, metavar="MANIFEST", help="its checksums: reports/tables/manifest.json")
    for option, place in (("params", PARAMS), ("spikes", SPIKES), ("results", RESULTS)):
        verify.add_argument(f"--{option}", type=Path, default=place, help=f"of the study here (default {place})")
    verify.set_defaults(function=_verify)

    text = "Put right what a killed DVC, a killed job or a clock that was set back left in this folder."
    mend = verbs.add_parser("mend", help=text, description=text)
    mend.set_defaults(function=_mend)

    preset = verbs.add_parser("preset", help="Print a parameter file.")
    preset.add_argument("name", help="default, recordings, thesis, ...; an unknown name lists them")
    over = "overlays that `tune` left, to be laid over it"
    preset.add_argument("--over", type=Path, nargs="+", default=[], metavar="FILE", help=over)
    preset.set_defaults(function=_preset)

    check = verbs.add_parser("check-gradients", help="Prove an engine's gradients against finite differences.")
    check.add_argument("--engine", default="cpu", choices=["exact", "cpu", "cuda"])
    check.add_argument("--json", type=Path, help="write the table as JSON")
    check.set_defaults(function=_check_gradients)

    benchmarks.add_parser(verbs)


def _workers(text: str) -> int:
    """Return a number of workers; argparse tells what is none."""
    if not text.isdecimal() or not 0 < int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text} is no number of workers; give one from 1 to 1024")
    return int(text)


def _filled(given: list[str]) -> list[str]:
    if "--job" not in given:
        return given
    from eventspeech import workflow

    return workflow.filled(given)


def _require_distinct(arguments: argparse.Namespace) -> None:
    """Refuse a command that would write over what it reads, or over what it writes elsewhere."""
    given = {name: value for name, value in vars(arguments).items() if isinstance(value, Path)}
    places: dict[str, str] = {}
    for name, path in given.items():
        place, option = os.path.realpath(path), "--" + name.replace("_", "-")
        if place in places:
            raise UserError(f"{places[place]} and {option} both name {path}; give each a path of its own.")
        places[place] = option
    if arguments.verb == "download":
        raw = os.path.realpath(arguments.raw)
        for place, option in places.items():
            if option != "--raw" and Path(place).is_relative_to(raw):
                raise UserError(f"{option} lies in the folder {arguments.raw}, which --raw makes anew; choose another.")


def main(argv: list[str] | None = None) -> int:
    """Run a verb; return the status to exit with, which :mod:`.console` explains."""
    console.open_streams()
    given = sys.argv[1:] if argv is None else argv
    try:
        arguments = _parser().parse_args(_filled(given))
    except UserError as error:
        print(f"eventspeech {given[0]}: {error}", file=sys.stderr)
        return console.USERS_ERROR
    except OSError:  # help that cannot be written, which argparse of Python 3.11.2 lets pass
        return console.close_output("--help", 0)
    except SystemExit as asked:  # for help, or in a way that cannot be
        asked.code = console.close_output("--help", int(asked.code or 0))
        raise
    try:
        _require_distinct(arguments)  # before the log is written, which may be one of the two
    except UserError as error:
        print(f"eventspeech {arguments.verb}: {error}", file=sys.stderr)
        return console.USERS_ERROR
    return console.run(arguments.verb, lambda: arguments.function(arguments), getattr(arguments, "log", None))


if __name__ == "__main__":
    sys.exit(main())
