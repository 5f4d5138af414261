"""Starts and stops a SLURM of two nodes on this one machine, without accounting and without GPUs, to try the study on.

    apt install slurm-wlm munge
    python tools/slurm_here.py start /tmp/slurm
    snakemake --workflow-profile profiles/slurm
    python tools/slurm_here.py stop /tmp/slurm

`munged`, `slurmctld` and a `slurmd` for each node run as the user who starts them and keep all their files in the
folder named, but for a link, /etc/slurm/slurm.conf: a job of Snakemake drops all variables that begin with SLURM_, so
that SLURM_CONF does not reach its `srun`. It takes who may write that link: root, be it of a container. Jobs of the
partition `urgent` preempt those of the default partition `work`, which are then queued again.
"""

import argparse
import contextlib
import functools
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "scontrol", "sinfo")
WHERE_SLURM_LOOKS = Path("/etc/slurm/slurm.conf")
LONGEST_START_S = 60.0
LONGEST_STOP_S = 20.0
CONFIGURATION = """ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=5,bf_interval=5
ReturnToService=2
KillWait=5
MinJobAge=3600
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports} CPUs={cores} RealMemory={memory_mb} State=UNKNOWN
PartitionName=work Nodes={nodes} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={nodes} MaxTime=INFINITE State=UP PriorityTier=2
"""


def start(folder: Path, nodes: int, cores: int, memory_mb: int, port: int) -> None:
    """Start the daemons and wait until all nodes are idle.

    Raises:
        SystemExit: a program is missing, a daemon stopped, or the nodes did not come up in time.
    """
    for name in COMMANDS:
        if shutil.which(name, path=_path()) is None:
            raise SystemExit(f"{name} is not installed; `apt install slurm-wlm munge`.")
    if WHERE_SLURM_LOOKS.exists():
        raise SystemExit(f"{WHERE_SLURM_LOOKS} is there: this machine has a SLURM, or one to `stop` first.")
    folder = folder.resolve()
    (folder / "state").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # munged refuses a socket that others could not reach
    names = [f"here{number}" for number in range(1, nodes + 1)]
    text = CONFIGURATION.format(
        folder=folder,
        host=socket.gethostname(),
        user=getpass.getuser(),
        port=port,
        nodes=f"here[1-{nodes}]",
        ports=f"[{port + 1}-{port + nodes}]",
        cores=cores,
        memory_mb=memory_mb,
    )
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    WHERE_SLURM_LOOKS.parent.mkdir(exist_ok=True)
    WHERE_SLURM_LOOKS.unlink(missing_ok=True)
    WHERE_SLURM_LOOKS.symlink_to(folder / "slurm.conf")
    # said, since slurmd looks for one where the kernel has none of its kind
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n", encoding="utf-8")
    key = folder / "munge.key"
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    munged = ["munged", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munged += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    _run(munged)
    _run(["slurmctld", "-c", "-f", str(folder / "slurm.conf")])
    for name in names:
        (folder / name).mkdir(exist_ok=True)
        _run(["slurmd", "-N", name, "-f", str(folder / "slurm.conf")])
    if not _waited(lambda: _idle() == nodes, LONGEST_START_S):
        raise SystemExit(f"the nodes did not come up; see {folder}/slurmctld.log and {folder}/here1.log.")


def stop(folder: Path) -> None:
    """End the daemons whose process numbers stand in the folder, the nodes' first."""
    for file in [*sorted(folder.glob("here*.pid")), folder / "slurmctld.pid", folder / "munge.pid"]:
        with contextlib.suppress(OSError, ValueError):
            process = int(file.read_text())
            os.kill(process, signal.SIGTERM)
            _waited(functools.partial(_is_gone, process), LONGEST_STOP_S)
    with contextlib.suppress(OSError):
        if WHERE_SLURM_LOOKS.readlink() == folder.resolve() / "slurm.conf":
            WHERE_SLURM_LOOKS.unlink()


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, env=os.environ | {"PATH": _path()}, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with status {done.returncode}.")


def _idle() -> int:
    done = subprocess.run(
        ["sinfo", "--Node", "--noheader", "--partition=work", "--format=%T"], capture_output=True, text=True
    )
    return done.stdout.split().count("idle")


def _is_gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def _waited(done: Callable[[], bool], longest_s: float) -> bool:
    end = time.monotonic() + longest_s
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def main() -> None:
    """Start or stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", type=Path, help="a folder for all files of the daemons")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cores", type=int, default=2, help="that each node says it has")
    parser.add_argument("--memory-mb", type=int, default=16000, help="that each node says it has")
    parser.add_argument("--port", type=int, default=17110, help="of slurmctld; the nodes take the ones after it")
    given = parser.parse_args()
    if given.action == "stop":
        stop(given.folder)
        return
    try:
        start(given.folder, given.nodes, given.cores, given.memory_mb, given.port)
    except BaseException:
        stop(given.folder)
        raise


if __name__ == "__main__":
    main()
