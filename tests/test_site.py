"""Reports side by side: everything they link to within their study comes along, and nothing from outside."""

import re

import pytest

from eventspeech import cli


def study(folder, title="A &lt;b&gt; study", found="Found on <i>speech</i>\nReport: somewhere\n"):
    reports = folder / "reports"
    links = [
        "tables/a.csv",
        "../results/compare",
        "../results/big.npz",
        "../../secret.txt",
        "#section",
        "https://x.y/z",
    ]
    page = f"<title>{title}</title>" + "".join(f'<a href="{link}">x</a>' for link in links)
    contents = {
        "reports/study.html": page, "reports/tables/findings.txt": found, "reports/tables/a.csv": "a",
        "reports/figures/png/mean_curves.png": "png", "results/compare/runs.csv": "runs",
        "results/big.npz": "weights", "../secret.txt": "secret",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return reports


def test_studies_stand_side_by_side_with_what_they_link_to(tmp_path):
    for name in ("one study", "two"):
        study(tmp_path / name)
    (tmp_path / "two" / "reports" / "tables" / "findings.txt").unlink()
    out = tmp_path / "site"
    for _ in range(2):  # made anew, too
        assert cli.main(["site", "--out", str(out), str(tmp_path / "one study"), str(tmp_path / "two")]) == 0
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"index.html", "one study/reports/study.html", "two/results/compare/runs.csv"} <= files
    assert "one study/reports/tables/a.csv" in files
    assert not any("secret" in name or "big" in name for name in files)
    index = (out / "index.html").read_text()
    assert 'href="one%20study/reports/study.html"' in index and "A &lt;b&gt; study" in index
    assert "Found on &lt;i&gt;speech&lt;/i&gt;" in index and "Report: " not in index
    assert "What it found is not told" in index
    assert not re.findall(r'(?:src|href)="(?:https?:|/)', index)


@pytest.mark.parametrize(("names", "told"), [(["one", "none"], "run `snakemake` in"), (["one", "a/one"], "Two of the")])
def test_a_study_without_a_report_and_two_of_one_name_are_refused(tmp_path, capsys, names, told):
    for name in ("one", "a/one"):
        study(tmp_path / name)
    assert cli.main(["site", "--out", str(tmp_path / "site"), *(str(tmp_path / name) for name in names)]) != 0
    assert told in capsys.readouterr().err and not (tmp_path / "site").exists()


def test_a_folder_of_something_else_is_not_replaced(tmp_path, capsys):
    study(tmp_path / "one")
    assert cli.main(["site", "--out", str(tmp_path), str(tmp_path / "one")]) != 0
    assert "did not make" in capsys.readouterr().err and (tmp_path / "one").is_dir()
