"""The stages of the study: module = verb of the command line = Snakemake rule = DVC stage = log file."""
