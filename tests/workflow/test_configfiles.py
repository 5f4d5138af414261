"""What `--configfile` names is looked at before Snakemake opens it."""

import pytest
from support.project import Project

from eventspeech.workflow import require_configfiles

BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]\n" for n in range(10))
CODE = "__use_yte__: true\n__definitions__:\n  - open('ran', 'w')\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("configfiles"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "other.yaml does not exist"), (BOMB, "with aliases written out"), (CODE, "__use_yte__")],
)
def test_snakemake_ends_with_one_sentence(project, content, sentence):
    other = project.folder / "other.yaml"
    other.unlink(missing_ok=True)
    if content is not None:
        other.write_text(content)
    said = project.snakemake("-n", "--configfile", "other.yaml", status=1).strip().splitlines()
    assert said[-1].startswith("snakemake: ") and sentence in said[-1]
    assert not any("Traceback" in line for line in said) and len(said) <= 2
    assert not (project.folder / "ran").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--configfile", "a.yaml", "none.yaml", "-n"], ["--configfiles=none.yaml"], ["-n", "--configfile", "none.yaml"]],
)
def test_every_file_of_every_form_is_looked_at(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("train: {epochs: 3}\n")
    with pytest.raises(SystemExit, match=r"^snakemake: none\.yaml does not exist"):
        require_configfiles(arguments)
    (tmp_path / "none.yaml").write_text("train: {epochs: 4}\n")
    require_configfiles(arguments)
