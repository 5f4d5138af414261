"""The report: a notebook that only shows; figures, tables and claims are computed by plain functions beside it."""
