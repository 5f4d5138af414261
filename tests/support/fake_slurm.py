"""SLURM in one file: called as `sbatch`, it runs the job at once; as `sinfo`, it shows the nodes of `FAKE_SLURM_NODES`.

Jobs that ask for a GPU are refused, whatever the nodes are said to have. Calls and states are kept in `FAKE_SLURM`.
"""

import os
import subprocess
import sys
from pathlib import Path

REFUSAL = "sbatch: error: Batch job submission failed: Requested node configuration is not available"


def option(arguments: list[str], name: str) -> str | None:
    """Return the value of an option, given after a blank or an equals sign."""
    for index, argument in enumerate(arguments):
        if argument == name:
            return arguments[index + 1]
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return None


def sbatch(folder: Path, arguments: list[str]) -> int:
    with (folder / "calls").open("a") as stream:
        print(*arguments[: arguments.index(next(a for a in arguments if a.startswith("--wrap")))], file=stream)
    if any(argument.startswith("--gpus") for argument in arguments):
        print(REFUSAL, file=sys.stderr)
        return 1
    number = str(101 + len(list(folder.glob("*.job"))))
    cores = option(arguments, "--cpus-per-task") or "1"
    environment = os.environ | {"SLURM_JOB_ID": number, "SLURM_CPUS_PER_TASK": cores}
    command = ["bash", "-c", option(arguments, "--wrap") or "false"]
    done = subprocess.run(command, cwd=option(arguments, "-D"), env=environment, capture_output=True)
    (folder / f"{number}.out").write_bytes(done.stdout + done.stderr)
    (folder / f"{number}.job").write_text(f"{number}|{'FAILED' if done.returncode else 'COMPLETED'}\n")
    print(number)
    return 0


def main() -> int:
    folder, name, arguments = Path(os.environ["FAKE_SLURM"]), Path(sys.argv[0]).name, sys.argv[1:]
    if name == "sbatch":
        return sbatch(folder, arguments)
    if name == "srun":
        command = next(index for index, argument in enumerate(arguments) if not argument.startswith("-"))
        return subprocess.run(arguments[command:]).returncode
    if name == "squeue":
        print("".join(file.read_text() for file in sorted(folder.glob("*.job"))), end="")
    elif name == "sinfo":
        print(os.environ["FAKE_SLURM_NODES"] if any("%G" in argument for argument in arguments) else "part")
    elif name == "scontrol":
        print("MinJobAge               = 300 sec")
    elif name == "sacct":
        print("Slurm accounting storage is disabled", file=sys.stderr)
        return 1
    elif name == "sacctmgr":
        print("acc")
    return 0


sys.exit(main())
