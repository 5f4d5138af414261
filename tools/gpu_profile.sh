#!/usr/bin/env bash
# Measures what training costs, every device and batch size of a parameter file in an order drawn anew, one after the
# other; what `snakemake` does for the report, for a machine that has Python and a GPU only. From the project's folder:
#     tools/gpu_profile.sh OUT PARAMS SPIKES
# PARAMS is a parameter file (optimiser.engine: cuda), SPIKES a split that `eventspeech preprocess` made. OUT gets
# DEVICE/BATCH.json, to be laid under results/profile, and order.txt.
set -eu
out=$1 params=$2 spikes=$3
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$out"
python3 - "$params" >"$out/order.txt" <<'PYTHON'
import random
import sys
from pathlib import Path

from eventspeech import params

profile = params.load(Path(sys.argv[1])).profile
sizes = {"cpu": profile.cpu_batch_sizes, "cuda": profile.cuda_batch_sizes}
runs = [(device, size) for device, found in sizes.items() for size in found]
random.shuffle(runs)
print(*(f"{device} {size}" for device, size in runs), sep="\n")
PYTHON
while read -r device size; do
    python3 -m eventspeech.cli profile --params "$params" --device "$device" --batch-size "$size" --spikes "$spikes" \
        --out "$out/$device/$size.json"
done <"$out/order.txt"
