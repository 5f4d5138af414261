"""What stages leave for other stages: each record is written and read in one place, which owns what it accepts."""
