"""What tests share; no test imports a test."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
