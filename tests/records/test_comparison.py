"""The tables of `compare` as others read them: names are text, numbers are possible ones of this very study."""

import csv

import numpy as np
import pandas as pd
import pytest
from support import fake_results

from eventspeech import params
from eventspeech.errors import DataError
from eventspeech.files import write_csv, write_json
from eventspeech.records import comparison
from eventspeech.stages.compare import compare

HARD = ["None", "nan", "NA", "true", "e1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The comparison of losses whose names a reader may take for something else."""
    root = tmp_path_factory.mktemp("comparison")
    chosen = study()
    for loss in chosen.study.losses:
        for seed in chosen.study.seeds:
            accuracy = fake_results.curve(loss, seed, 4)
            fake_results.training(root / "train" / loss / str(seed) / "held_out", loss, seed, accuracy)
            fake_results.evaluation(root / "evaluate" / loss / str(seed) / "held_out", {"loss": loss}, 0.8, seed)
    compare(chosen, root / "train", root / "evaluate", root / "compare")
    return root / "compare"


def study(losses: list[str] = HARD) -> params.Params:
    content = fake_results.params().model_dump()
    content["shape"] = {name: {"kind": "exponential"} for name in losses}
    content["study"] = {"losses": losses, "seeds": [0, 1]}
    content["compare"]["reference"] = content["profile"]["loss"] = HARD[0]
    return params.validate(content)


def test_names_are_text_and_numbers_are_numbers(folder):
    found = comparison.read(folder, study())
    assert set(found) == set(comparison.TABLES)
    for name in ("runs", "curves", "losses", "folds", "time_to_accuracy", "steps"):
        assert list(found[name]["loss"].unique()) == HARD
    assert set(found["differences"]["loss"]) == set(HARD[1:]) and set(found["differences"]["reference"]) == {"None"}
    assert found["losses"].set_index("loss").loc["nan", "runs"] == 2
    assert found["runs"]["seed"].dtype == np.int64 and found["runs"]["test"].dtype == np.float64
    assert found["losses"]["collapsed"].eq(0).all() and found["runs"]["collapse_epoch"].isna().all()
    assert found["losses"]["reason"].isna().any(), "an empty cell is missing, a loss called NA is not"
    texts = set(comparison.TEXTS)
    for table in found.values():
        assert all(pd.api.types.is_numeric_dtype(table[name]) for name in set(table) - texts)


@pytest.fixture
def copied(tmp_path, folder):
    """A copy of the tables; returns the folder and what changes a cell of one."""

    def change(table, column, text):
        path = tmp_path / f"{table}.csv"
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        rows[0][header.index(column)] = text
        write_csv(path, header, rows)

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path, change


@pytest.mark.parametrize(
    ("table", "column", "text"),
    [
        ("losses", "test_mean", "1.7"),
        ("losses", "best_validation_high", "1.01966"),
        ("losses", "test_sd", "-0.1"),
        ("runs", "test", "-0.1"),
        ("runs", "best_validation", "nan"),
        ("runs", "epochs", "-1"),
        ("curves", "mean", "1e400"),
        ("curves", "low", "-0.00398"),
        ("curves", "training_mean", "many"),
        ("folds", "minus_reference_mean", "-1.5"),
        ("time_to_accuracy", "reached", "-2"),
        ("differences", "p", "1.2"),
        ("steps", "step_ms", "0"),
        ("steps", "accuracy_mean", "1.2"),
        ("steps", "agreement_low", "-0.1"),
        ("steps", "hidden_spikes_mean", "-1"),
        ("differences", "mean", "inf"),
    ],
)
def test_a_number_that_cannot_be_is_refused(copied, table, column, text):
    folder, change = copied
    change(table, column, text)
    with pytest.raises(DataError, match=rf"{table}\.csv is damaged: {column}.*; run the stage `compare` again\.$"):
        comparison.read(folder, study())


def test_tables_of_another_study_are_refused(copied):
    folder, change = copied
    with pytest.raises(
        DataError, match=r"runs\.csv holds the loss e1, which the study has not; run the stage `compare`"
    ):
        comparison.read(folder, study(HARD[:-1]))
    with pytest.raises(DataError, match=r"runs\.csv is not of this study: it has no row of other, 0, held_out;"):
        comparison.read(folder, study([*HARD, "other"]))
    change("curves", "loss", "foreign")
    with pytest.raises(DataError, match=r"curves\.csv holds the loss foreign"):
        comparison.read(folder, study())


def test_a_missing_or_truncated_table_is_refused(copied):
    folder, _ = copied
    text = (folder / "runs.csv").read_text()
    (folder / "runs.csv").write_text(text[:-5])
    with pytest.raises(DataError, match=r"runs\.csv is damaged: row 10 has \d+ cells, its header"):
        comparison.read(folder, study())
    (folder / "runs.csv").unlink()
    with pytest.raises(DataError, match=r"runs\.csv does not exist; run the stage `compare` that makes it"):
        comparison.read(folder, study())


def test_a_summary_holds_numbers(copied):
    folder, _ = copied
    found = comparison.read_summary(folder / "summary.json")
    assert found["chance"] == 0.05
    write_json(folder / "summary.json", found | {"chance": "0.05"})
    with pytest.raises(DataError, match=r"summary\.json is damaged: chance is '0\.05', not a finite number"):
        comparison.read_summary(folder / "summary.json")
    for name, value in (("early_epochs", 0), ("early_epochs", 2.5), ("collapsed_runs", -1), ("chance", 1.7)):
        write_json(folder / "summary.json", found | {name: value})
        with pytest.raises(DataError, match=rf"summary\.json is damaged: {name} is {value}, not"):
            comparison.read_summary(folder / "summary.json")


def test_a_table_that_lacks_a_column_or_rows_is_refused(copied):
    folder, _ = copied
    for table in comparison.TABLES:
        path = folder / f"{table}.csv"
        text = path.read_bytes()
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        write_csv(path, [*header[:-1], "other"] if table == "curves" else ["other", *header[1:]], rows)
        with pytest.raises(DataError, match=rf"{table}\.csv lacks the column \w+; run the stage `compare` again"):
            comparison.read(folder, study())
        write_csv(path, [*header, header[-1]], [[*row, row[-1]] for row in rows])
        with pytest.raises(DataError, match=rf"{table}\.csv has a column twice"):
            comparison.read(folder, study())
        if table != "curves":  # whose rows are epochs
            write_csv(path, header, rows[:-1])
            with pytest.raises(DataError, match=rf"{table}\.csv (is not of this study|does not hold the losses)"):
                comparison.read(folder, study())
        path.write_bytes(text)
    write_csv(path, header, [*rows, rows[0]])
    with pytest.raises(DataError, match=rf"{table}\.csv is not of this study: it has rows of something else"):
        comparison.read(folder, study())


def test_a_verdict_is_that_of_its_interval(copied):
    folder, change = copied
    before = (folder / "differences.csv").read_bytes()
    for said in ("higher", "lower", "certain"):
        change("differences", "verdict", said)
        with pytest.raises(DataError, match=rf"the verdict of row 1 is '{said}', where its interval says 'undecided'"):
            comparison.read(folder, study())
    (folder / "differences.csv").write_bytes(before)
    for column, text in {"low": "", "high": "-0.9", "low_over_folds": "0.1"}.items():
        change("differences", column, text)
        with pytest.raises(DataError, match=r"differences\.csv is damaged: row 1 has the interval \[.*\] \(low"):
            comparison.read(folder, study())
        (folder / "differences.csv").write_bytes(before)
