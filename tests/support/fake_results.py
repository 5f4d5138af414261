"""Results as the stages write them, made up: for tests of the comparison and of the report only."""

import itertools
from pathlib import Path

import numpy as np

from eventspeech import losses
from eventspeech import params as parameters
from eventspeech.data import store
from eventspeech.files import write_csv, write_json, write_npz
from eventspeech.records import history, tuning

WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun",
]  # fmt: skip
SPEAKERS = [f"s{number:02d}" for number in range(1, 15)]
HEARD = SPEAKERS[:10]
SPACE = {
    "optimiser.learning_rate": {"kind": "log", "low": 0.0005, "high": 0.01},
    "network.recurrent": {"kind": "choice", "values": [True, False]},
}
ACCIDENT = {
    "kind": "silent", "first_epoch": 3, "epochs": 2, "value": 0.0, "bound": 0.1,
    "remedy": "lower optimiser.learning_rate",
}  # fmt: skip
MACHINE = {"cpu": "Made-up CPU", "cores": 2, "threads": 2, "gpu": None, "python": "3.11.2", "packages": {"numpy": "2"}}


def params(
    validation: dict | None = None, changes: dict | None = None, shapes: dict | None = None,
    tuned: list[str] | None = None, **study: object,
) -> parameters.Params:  # fmt: skip
    """The parameters of a made-up study of three losses; ``changes`` and ``shapes`` map further names to theirs.

    Those of ``tuned`` were tuned.
    """
    gaussian = {"kind": "gaussian", "gain": 2.0, "offset": 0.4, "slope": 4.4, "centre": 0.0, "width": 0.2}
    content = {
        "study": {"losses": ["exponential", "gaussian", "gaussian_matched"], "seeds": [0, 1, 2]} | study,
        "shape": {
            "exponential": {"kind": "exponential"},
            "gaussian": gaussian,
            "gaussian_matched": gaussian | {"mean_weight": 0.6321},
            "max": {"kind": "max"},
            "first_spike": {"kind": "first_spike"},
            **(shapes or {}),
            **{name: {"kind": "exponential", "changes": values} for name, values in (changes or {}).items()},
        },
        "validation": validation or {"speakers": ["s11", "s12"]},
        "profile": {"cpu_batch_sizes": [1, 32], "cuda_batch_sizes": [1, 8, 32]},
        "tune": {"losses": tuned or [], "space": SPACE, "trials": 6},
    }
    return parameters.validate(content)


def searched(folder: Path, loss: str, best: float = 0.8) -> None:
    """Write what a search of six trials leaves: the last one is the best, one was given up and one failed."""
    values = [
        {"optimiser.learning_rate": 0.001 * (trial + 1), "network.recurrent": trial % 2 == 0} for trial in range(6)
    ]
    accuracies = [0.7, 0.5, None, 0.6, None, best]
    states = ["complete", "complete", "pruned", "complete", "failed", "complete"]
    epochs = [2, 2, 1, 2, 0, 2]
    rows = [
        tuning.TrialRow(trial, state, accuracy, count, 1.5 * count, "diverged" if state == "failed" else "")
        for trial, (state, accuracy, count) in enumerate(zip(states, accuracies, epochs, strict=True))
    ]
    curves = [
        tuning.CurveRow(row.trial, 100, "held_out", epoch, 0.3 * epoch)
        for row in rows
        for epoch in range(1, row.epochs + 1)
    ]
    tuning.write_trials(folder / "trials.csv", rows, list(SPACE), values)
    tuning.write_curves(folder / "curves.csv", curves)
    tuning.write_overlay(folder / "best.yaml", loss, values[-1], "Made up.")
    summary = {
        "loss": loss,
        "trials": 6,
        "best_trial": 5 if best > 0.7 else 0,
        "epochs": sum(epochs),
        "duration_s": 13.5,
    }
    summary |= {"importance": {"optimiser.learning_rate": 0.9, "network.recurrent": 0.1}, "importance_reason": None}
    tuning.write_summary(folder / "summary.json", summary | {"validation_accuracy_as_it_stands": 0.7})


def curve(loss: str, seed: int, epochs: int = 30) -> np.ndarray:
    """A learning curve, float64[epochs]; the Gaussian is faster at first and lower in the end."""
    draws = np.random.default_rng([len(loss), seed])
    time_constant, ceiling = {"exponential": (7, 0.84), "gaussian": (4.5, 0.81)}.get(loss, (5, 0.83))
    epoch = np.arange(1, epochs + 1)
    rising = 0.05 + (ceiling - 0.05 + draws.normal(0, 0.01)) * (1 - np.exp(-(((epoch - 1) / time_constant) ** 1.5)))
    return np.round(np.clip(rising + draws.normal(0, 0.012, epochs), 0, 1) * 120) / 120


def training(folder: Path, loss: str, seed: int, accuracy: np.ndarray, shape: parameters.Shape | None = None) -> None:
    """Write history.csv and summary.json of a training with these validation accuracies."""
    rows = [
        [
            epoch,
            3 * (1 - a) + 0.05,
            min(1.0, a * 1.12),
            3 * (1 - a) + 0.2,
            a,
            6 + 6 * a + seed,
            0.005,
            0.01,
            1.5,
            5.0,
            0.5,
        ]
        for epoch, a in enumerate(map(float, accuracy), 1)
    ]
    history.write(folder / "history.csv", rows)
    best = int(np.argmax(accuracy))
    summary = {"loss": loss, "seed": seed, "fold": folder.name, "kind": "spiking", "best_epoch": best + 1}
    summary |= {"best_validation_accuracy": float(accuracy[best]), "best_validation_loss": 0.7}
    summary |= {"final_validation_accuracy": float(accuracy[-1]), "epochs": len(accuracy), "training_samples": 400}
    summary |= {"collapsed_at_epoch": None, "accidents": [], "protocol": "held_out"}
    summary |= {"heard_speakers": HEARD, "validation_speakers": ["s11", "s12"]}
    summary |= {"validation_samples": 120, "parameters": 915000, "duration_s": 150.0, "ms_per_sample": 3.1}
    summary |= {"engine": "cpu", "threads": 2, "machine": MACHINE}
    for name, theta in losses.learned_weight(shape).items() if shape else ():
        moved = np.random.default_rng(seed).normal(0, 0.3, len(theta))
        summary[name] = {"chosen": (theta + moved).tolist(), "last": (theta + 2 * moved).tolist()}
    write_json(folder / "summary.json", summary)


def evaluation(
    folder: Path, model: dict, right: float, seed: int, words: list[str] = WORDS, called: dict[str, str] | None = None
) -> dict:
    """Write metrics.json, predictions.csv and confusion.csv of a test; return the metrics."""
    draws = np.random.default_rng([seed, int(1000 * right)])
    rows, classes = [], len(words)
    for name in [*HEARD, "s11", "s13", "s14"]:
        chance_of_right = right if name in HEARD else right - 0.06
        for actual in list(range(classes)) * (1 if name in HEARD else 3):
            hit = draws.random() < chance_of_right
            # a wrong answer is mostly a neighbour's: some words are alike
            predicted = actual if hit else (actual + int(draws.choice([1, 2, classes // 2]))) % classes
            rows.append((name, name in HEARD, actual, predicted))
    names = {name: _named([name], called)[0] for name in SPEAKERS}
    counts = np.zeros((classes, classes), int)
    for _, _, actual, predicted in rows:
        counts[actual, predicted] += 1
    header = ["sample", "speaker", "heard", "actual", "predicted"]
    named = [[i, names[n], h, words[a], words[p]] for i, (n, h, a, p) in enumerate(rows)]
    write_csv(folder / "predictions.csv", header, named)
    write_csv(folder / "confusion.csv", ["actual", *words], [[w, *row] for w, row in zip(words, counts, strict=True)])
    job = {"kind": "spiking", "seed": seed, "fold": folder.name, "sha256": "0" * 64}
    metrics = {"model": job | model, "samples": len(rows), "accuracy": _share(rows), "loss": 0.8}
    metrics |= {"accuracy_validation_speakers": None, "accuracy_heard": _share([row for row in rows if row[1]])}
    metrics |= {"accuracy_unheard": _share([row for row in rows if not row[1]])}
    metrics["accuracy_by_speaker"] = {
        names[name]: {"accuracy": _share(own), "samples": len(own), "heard": name in HEARD, "validation": name == "s11"}
        for name in dict.fromkeys(row[0] for row in rows)
        for own in [[row for row in rows if row[0] == name]]
    }
    metrics |= {"hidden_spikes": 9.5, "step_ms": None, "steps": []}
    if metrics["model"]["kind"] == "spiking":
        metrics |= {"step_ms": 1.0, "steps": _at_steps(metrics)}
    write_json(folder / "metrics.json", metrics)
    return metrics


def _at_steps(metrics: dict) -> list[dict]:
    """Return a test at three time steps: the finer the step, the fewer predictions stay, and the more neurons fire.

    With the dead time of the trained step it is less so.
    """
    return [
        {
            "step_ms": step_ms,
            "dead_time": dead_time,
            "refractory_ms": 0.0 if dead_time == "of_step" or step_ms == 1 else 0.5,
            "engine": "cpu",
            "accuracy": metrics["accuracy"] * step_ms**power,
            "hidden_spikes": metrics["hidden_spikes"] / step_ms ** (10 * power),
            "agreement": step_ms**power,
        }
        for step_ms in (1.0, 0.5, 0.1)
        for dead_time, power in (("of_step", 0.1), ("kept", 0.01))
    ]


def _named(speakers: list[str], called: dict[str, str] | None) -> list[str]:
    """Return other names of speakers, where there are any."""
    return [(called or {}).get(name, name) for name in speakers]


def _share(rows: list[tuple]) -> float:
    return float(np.mean([actual == predicted for _, _, actual, predicted in rows]))


def examples(path: Path, seed: int, words: list[str] = WORDS, hidden: int = 128, steps: int = 1000) -> None:
    """Write examples.npz of two samples, with their recordings: a short tone each."""
    draws = np.random.default_rng(seed)
    times = [np.sort(draws.gamma(4, 90, 2500)) for _ in range(2)]
    times = [t[t < 1000] for t in times]
    spikes = [np.sort(draws.gamma(4, 100, 1200)) for _ in range(2)]
    spikes = [np.floor(t[t < 1000]) for t in spikes]
    rise = np.cumsum(draws.normal(0, 0.06, (2, steps, len(words))), axis=1)
    rise[:, :, 1] += 3 * np.exp(-(((np.arange(steps) - 700) / 300) ** 2))
    write_npz(path, {
        "input_offsets": np.cumsum([0, *map(len, times)]), "input_times_ms": np.concatenate(times),
        "input_channels": draws.integers(0, 700, sum(map(len, times))),
        "hidden_offsets": np.cumsum([0, *map(len, spikes)]), "hidden_times_ms": np.concatenate(spikes),
        "hidden_units": draws.integers(0, hidden, sum(map(len, spikes))),
        "output_voltage": rise.astype(np.float32), "labels": np.array([1, 0]),
        "predictions": np.array([1 if seed != 1 else 0, 0]),
        "logits": rise.mean(axis=1), "speakers": np.array(["s01", "s02"]),
        "class_names": np.array(words), "step_ms": np.float64(1), "trial_ms": np.float64(1000),
        "sound": (9000 * np.sin(np.arange(1600) / 5)).astype(np.int16), "sound_offsets": np.array([0, 800, 1600]),
        "sound_rate_hz": np.array(8000),
    })  # fmt: skip


def spikes(folder: Path, words: list[str] = WORDS, called: dict[str, str] | None = None) -> None:
    """Write the spike stores of both splits and their statistics."""
    draws = np.random.default_rng(0)
    for split in ("train", "test"):
        names = [name for name in SPEAKERS if split == "test" or name in HEARD]
        labels, speakers = np.meshgrid(np.arange(len(words)), [SPEAKERS.index(name) for name in names])
        samples = []
        for label in labels.ravel():
            count = int(draws.normal(500, 60))  # few, since there are hundreds of samples
            times = draws.gamma(3, 70 + 5 * label, count)
            channels = draws.normal(350 + 200 * np.sin(times / 90 + label), 60)
            samples.append((times, np.clip(channels, 0, 699).astype(int)))
        made = store.from_samples(samples, labels.ravel(), speakers.ravel(), words, _named(SPEAKERS, called), 1000.0)
        store.save(made, folder / f"{split}.npz", split)
        counts = np.diff(made.offsets)
        statistics = {"source": "synthetic", "split": split, "samples": len(made), "trial_ms": 1000.0}
        statistics |= {"classes": words, "speakers": _named(SPEAKERS, called)}
        statistics["samples_per_speaker"] = dict.fromkeys(_named(names, called), len(words))
        statistics["spikes_per_sample"] = {"mean": counts.mean(), "sd": counts.std(), "largest": counts.max()}
        write_json(folder / f"{split}.json", statistics)


def profile(results: Path, study: parameters.Params, gpu: bool = False) -> None:
    """Write the measurements: CPU times without energy, and a GPU or the reason why there is none."""
    unknown = dict.fromkeys([
        "epoch_time_s", "epoch_time_low_s", "epoch_time_high_s", "power_w", "energy_per_epoch_j", "accuracy",
        "energy_net_per_epoch_j", "energy_per_sample_j", "idle_power_w", "peak_memory_mib", "energy_reason",
        "energy_per_epoch_low_j", "energy_per_epoch_high_j", "energy_sampled_per_epoch_j", "updates_per_epoch",
        "adam_damping",
    ])  # fmt: skip
    for device, sizes in {"cpu": study.profile.cpu_batch_sizes, "cuda": study.profile.cuda_batch_sizes}.items():
        for size in sizes:
            row = unknown | {"device": device, "batch_size": size, "trials": 3, "samples": 128, "machine": MACHINE}
            row |= {"status": "VALID", "reason": None, "energy_status": "not measured"}
            if device == "cpu":
                time = 0.9 if size == 1 else 0.4
                row |= {"energy_reason": "RAPL counters cannot be read by this user"}
            elif gpu:
                time = 0.05 / size**0.7
                row |= {"power_w": 250.0, "idle_power_w": 80.0, "energy_status": "VALID"}
                row |= {"energy_per_epoch_j": 250 * time, "energy_net_per_epoch_j": 170 * time}
                row |= {"energy_per_sample_j": 250 * time / 128, "energy_sampled_per_epoch_j": 245 * time}
                row |= {"energy_per_epoch_low_j": 240 * time, "energy_per_epoch_high_j": 255 * time}
            else:
                row |= dict.fromkeys(["reason", "energy_reason"], "no NVIDIA driver on this machine")
                row |= {"status": "not measured"}
            if row["status"] == "VALID":
                row |= {"epoch_time_s": time, "epoch_time_low_s": 0.95 * time, "epoch_time_high_s": 1.1 * time}
                row |= {"peak_memory_mib": 310.0, "accuracy": 0.5 / size, "adam_damping": 0.1}
                row |= {"updates_per_epoch": 128 // size}
            write_json(results / "profile" / device / f"{size}.json", row)


def study(
    root: Path,
    chosen: parameters.Params,
    gpu: bool = False,
    words: list[str] = WORDS,
    called: dict[str, str] | None = None,
) -> None:
    """Write data/spikes and results of a whole study under ``root``, but for results/compare.

    Its words are ``words``, and its speakers are named as ``called`` says.
    """
    results = root / "results"
    for loss in chosen.tune.losses:
        searched(results / "tune" / loss, loss)
    spikes(root / "data" / "spikes", words, called)
    for place, loss in enumerate(chosen.study.losses):
        for seed, fold in itertools.product(chosen.study.seeds, chosen.study.folds):
            accuracy = curve(loss, seed + 100 * chosen.study.folds.index(fold))
            training(results / "train" / loss / str(seed) / fold, loss, seed, accuracy, chosen.shape[loss])
            tested = results / "evaluate" / loss / str(seed) / fold
            model = {"kind": "spiking", "loss": loss, "seed": seed}
            evaluation(tested, model, float(accuracy.max()) + 0.03, seed, words, called)
            examples(tested / "examples.npz", place, words)
    model = {"kind": "logistic", "loss": None, "seed": None}
    for fold in chosen.study.folds:
        metrics = evaluation(results / "evaluate" / "baseline" / fold, model, 0.74, 99, words, called)
        write_json(
            results / "baseline" / fold / "summary.json",
            {
                "fold": fold,
                "training_accuracy": 1.0,
                "validation_accuracy": metrics["accuracy"],
                "features": 200,
                "samples": 400,
            },
        )
    profile(results, chosen, gpu)
