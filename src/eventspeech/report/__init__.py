"""The report: a notebook that only shows; figures, tables and claims are computed by plain functions beside it."""

from pathlib import Path

NOTEBOOK = Path(__file__).with_name("study.ipynb")
