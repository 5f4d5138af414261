"""What Snakemake's catalogue of workflows and `snakemake --report` find in the repository."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "workflow"


def test_every_caption_is_there_and_used():
    texts = {path: path.read_text() for path in [WORKFLOW / "Snakefile", *(WORKFLOW / "rules").glob("*.smk")]}
    named = {
        (path.parent / name).resolve()
        for path, text in texts.items()
        for name in re.findall(r'(?:caption=|^report: )"(.+?)"', text, re.M)
    }
    assert named == set((WORKFLOW / "report").iterdir()) and len(named) > 5
    marks = "".join(texts.values()).count("        report(") + "".join(texts.values()).count("=report(")
    assert "".join(texts.values()).count("category=") == "".join(texts.values()).count("caption=") >= marks >= 5


def test_what_the_catalogue_asks_for():
    shown = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
    assert set(shown["usage"]) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert shown["usage"]["report"] is True
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
    assert (ROOT / "config" / "README.md").is_file()
    assert (WORKFLOW / "Snakefile").is_file()
    assert 'include: "workflow/Snakefile"' in (ROOT / "Snakefile").read_text()
