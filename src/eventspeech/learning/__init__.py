"""How weights are learned: trainers, checkpoints, schedules, the optimiser, and who is held out."""
