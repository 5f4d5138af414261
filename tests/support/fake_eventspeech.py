"""Stands in for the command `eventspeech` in test_workflow.py: writes each output at once, and a line for each call.

The line holds the verb, the threads it was given and its log's path. The content of an output depends on the
parameters and on the arguments, as that of a true one does. A training whose `loss/seed/fold` is in $FAKE_FAIL writes
its checkpoint and fails.
"""

import os
import sys
import zlib
from pathlib import Path

verb, *rest = sys.argv[1:]
if "--job" in rest:  # as eventspeech.workflow.filled does
    at = rest.index("--job")
    stage, _, of = rest[at + 1].partition("@")
    names = {"train": ["loss", "seed", "fold"], "evaluate": ["loss", "seed", "fold"]}.get(stage)
    names = names or (["loss"] if stage == "tune" else None) or (["batch"] if stage.startswith("profile") else ["fold"])
    del rest[at : at + 2]
    for name, value in zip(names, of.split("-", len(names) - 1), strict=True):
        rest = [text.replace(f"{{{name}}}", value) for text in rest]
options = dict(zip(rest[::2], rest[1::2], strict=True))
number = zlib.crc32((Path(options["--params"]).read_text() + " ".join(rest)).encode()) % 1000 / 1000

OUTPUTS = {
    "download": [options.get("--raw", "") + "/speech"],
    "preprocess": ["--spikes", "--statistics"],
    "baseline": ["--model", "--summary"],
    "train": ["--checkpoint", "--weights", "--history", "--summary"],
    "tune": ["--storage", "--trials", "--curves", "--best", "--summary"],
    "evaluate": ["--metrics", "--predictions", "--confusion", "--examples"],
    "compare": [f"{options.get('--out')}/{name}" for name in ("metrics.json", "training.csv")],
    "profile": ["--out"],
    "report": [
        f"{options.get('--out')}/{name}"
        for name in ("study.ipynb", "study.html", "figures/png/a.png", "tables/findings.txt")
    ],
}
CONTENTS = {
    ".json": f'{{"accuracy": {number}}}\n',
    ".csv": f"epoch,validation_accuracy,loss,seed,fold\n1,{number},gaussian,0,s1\n",
}

with open("calls.txt", "a") as calls:
    print(verb, os.environ.get("OMP_NUM_THREADS"), options["--log"], file=calls)
for output in OUTPUTS[verb]:
    path = Path(options.get(output, output))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONTENTS.get(path.suffix, f"{number}\n"))
    job = "/".join(options.get(name, "") for name in ("--loss", "--seed", "--fold"))
    if output == "--checkpoint" and job == os.environ.get("FAKE_FAIL"):
        sys.exit("interrupted")
