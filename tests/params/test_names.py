"""Names are text: one form of Unicode, letters of any script, and no two that are one folder somewhere."""

import json
import unicodedata

import pytest
import yaml

from eventspeech import params, presets
from eventspeech.errors import ParameterError, UserError
from eventspeech.params import yaml12
from eventspeech.workflow import filled

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))


def content(losses=("a",), folds=("x", "y")) -> dict:
    found = yaml12.parse(presets.text("default"), "default")
    found["study"] = {"losses": list(losses), "seeds": [0], "folds": list(folds)}
    found["shape"] = {loss: {"kind": "sum"} for loss in losses}
    found["validation"] = {"protocol": "leave_one_out"}
    found["compare"]["reference"] = found["profile"]["loss"] = losses[0]
    return found


def test_names_are_compared_in_one_form_of_unicode():
    given = content([DECOMPOSED], [DECOMPOSED, "y"])
    given["compare"]["reference"] = COMPOSED
    given["download"]["recordings"] = {"folder": "f", "test_speakers": [DECOMPOSED]}
    found = params.validate(given)
    assert found.study.losses == [found.profile.loss] == [COMPOSED] == list(found.shape)
    assert found.study.folds[0] == found.download.recordings.test_speakers[0] == COMPOSED
    held_out = content()
    held_out["study"] |= {"folds": ["held_out"]}
    held_out["validation"] = {"protocol": "held_out", "speakers": [DECOMPOSED]}
    assert params.validate(held_out).validation.speakers == [COMPOSED]


@pytest.mark.parametrize(
    "name", ["None", "nan", "true", "null", "1e5", "007", "no", "größe", "速度", "हिन्दी", "x" * 64]
)
def test_words_and_numbers_in_quotes_are_names(name):
    text = json.dumps(content([name], [name, "y"]))
    found = params.validate(yaml12.parse(text, "a.yaml"))
    assert found.study.losses == [name] and found.study.folds == [name, "y"]


@pytest.mark.parametrize("value", ["null", "true", "1e5", "3", "0x1F", "~", "2020-01-01", ".nan"])
def test_values_that_are_no_text_are_refused_as_names(value):
    text = yaml.safe_dump(content()).replace("folds:\n  - x\n", f"folds:\n  - {value}\n")
    with pytest.raises(ParameterError, match=r"study\.folds\.0 = .* put it in quotes"):
        params.validate(yaml12.parse(text, "a.yaml"))


REFUSED = {
    "case": ({"folds": ("Ann", "ann")}, "study.folds lists 'Ann' and 'ann', which are one folder where"),
    "case of a loss": ({"losses": ("sum", "SUM")}, "study.losses lists 'sum' and 'SUM', which are one folder"),
    "sharp s": ({"folds": ("Strauß", "STRAUSS")}, "study.folds lists 'Strauß' and 'STRAUSS'"),
    "forms": ({"folds": (COMPOSED, DECOMPOSED)}, "study.folds lists a value twice"),
    "forms of a loss": ({"losses": (COMPOSED, DECOMPOSED)}, f"shape has '{DECOMPOSED}' twice, written with"),
    "baseline": ({"losses": ("baseline",)}, "study.losses names 'baseline', the folder of the baseline's tests"),
    "folder above": ({"folds": ("x", "..")}, "study.folds.1 = '..' is not valid: string should match pattern"),
    "path": ({"folds": ("x", "a/b")}, "study.folds.1 = 'a/b' is not valid"),
    "option": ({"folds": ("x", "-rf")}, "study.folds.1 = '-rf' is not valid"),
    "line": ({"folds": ("x", "a\n")}, "study.folds.1 = 'a\\n' is not valid"),
    "blank": ({"losses": ("a b",)}, "is not valid: string should match pattern"),
    "too long": ({"folds": ("x", "y" * 65)}, "is not valid: string should have at most 64 characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_make_no_folder_are_refused(name):
    given, sentence = REFUSED[name]
    with pytest.raises(ParameterError) as caught:
        params.validate(content(**given))
    assert sentence in str(caught.value) and len(str(caught.value)) < 500


def job(name: str, file) -> list[str]:
    command = [
        "evaluate",
        "--params",
        str(file),
        "--job",
        name,
        "--model",
        "{loss}/{seed}/{fold}",
        "--x",
        "{other}{batch}",
    ]
    return filled(command)[3:]


def test_a_job_is_looked_up_by_dvcs_name(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps(content(["1e5", "größe"], ["a-0", "李"])))
    assert job("train@größe-0-李", file) == ["--model", "größe/0/李", "--x", "{other}{batch}"]
    assert job("evaluate@1e5-0-a-0", file)[1] == "1e5/0/a-0"
    assert job("../dvc.yaml:baseline@a-0", file)[1] == "{loss}/{seed}/a-0"
    assert job("profile_cuda@64", file)[3] == "{other}64"
    assert filled(["train", "--loss", "{loss}"]) == ["train", "--loss", "{loss}"]


@pytest.mark.parametrize(
    "name", ["train@x-0-a-0", "train@größe-1-李", "train", "", "report", "profile_cpu@7", "train@"]
)
def test_a_job_that_nobody_asks_for_is_refused(name, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps(content(["1e5", "größe"], ["a-0", "李"])))
    with pytest.raises(UserError, match=r"is no job that .* asks for"):
        job(name, file)


def test_dvc_is_not_given_folders_of_another_form(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps(content(folds=[DECOMPOSED, "y"])))
    with pytest.raises(UserError, match="is written in decomposed Unicode characters; type that name anew"):
        job(f"baseline@{DECOMPOSED}", file)
