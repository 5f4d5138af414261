"""A copy of the workflow in an empty folder, where `fake_eventspeech.py` is the command: a run takes seconds."""

import contextlib
import copy
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import networkx
import pytest
import yaml
from dvc.repo import Repo, lock_repo
from dvc.utils import strictyaml
from dvc.utils.serialize import _yaml

from eventspeech import init, presets
from support.forked import run

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
FOLDS = ["s1", "s2"]


def tiny_parameters() -> dict:
    """Return the default parameters with few jobs, but more than one of each kind that fans out over the study."""
    content = yaml.safe_load(presets.text("default"))
    content["study"] = {"losses": ["exponential", "gaussian"], "seeds": [0, 1], "folds": FOLDS}
    content["validation"] = {"protocol": "leave_one_out"}
    content["profile"] |= {"cpu_batch_sizes": [1], "cuda_batch_sizes": [1]}
    rate = {"kind": "log", "low": 0.001, "high": 0.03}
    content["tune"] |= {"losses": ["gaussian"], "space": {"optimiser.learning_rate": rate}}
    return content


_parsed = functools.cache(_yaml.parse_yaml)


def _parse_once(text: str, path: str, typ: str = "safe"):
    """Parse a text as DVC does, but once: it reads its lock anew for each edit, and params.yaml for each stage."""
    return copy.deepcopy(_parsed(text, path, typ))


class Project:
    """A copy of the workflow in an empty folder."""

    def __init__(self, folder: Path, content: dict | None = None):
        self.folder = folder
        for path, source in init.sources().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / path)
        self.write(content or tiny_parameters())
        fake = folder / "bin" / "eventspeech"
        fake.parent.mkdir()
        # -I -S: no site-packages, which would make most of a fake stage's time
        stand_in = (ROOT / "tests" / "support" / "fake_eventspeech.py").read_text(encoding="utf-8")
        fake.write_text(f"#!{PYTHON} -IS\n" + stand_in)
        fake.chmod(0o755)
        self.environment = os.environ | {
            "PATH": os.pathsep.join([str(fake.parent), os.environ["PATH"]]),
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "home" / ".cache"),
            "DVC_SITE_CACHE_DIR": str(folder / "home" / "dvc"),
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        for variable in ("OMP_NUM_THREADS", "SNAKEMAKE_PROFILE", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            self.environment.pop(variable, None)
        self.git("init", "--quiet")
        (folder / ".git" / "info" / "exclude").write_text("/bin/\n/home/\n/calls.txt\n")
        self.git_commit("start")

    def git(self, *arguments: str) -> None:
        command = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True)

    def git_commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def snakemake(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run Snakemake; return what it says."""
        done = run("snakemake", list(arguments), self.folder, self.environment | environment)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def dvc(self, *arguments: str, status: int = 0) -> str:
        """Run DVC; return its standard output."""
        done = run("dvc", list(arguments), self.folder, self.environment)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def write(self, content: dict | str) -> None:
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (self.folder / "params.yaml").write_text(text, encoding="utf-8")

    def calls(self) -> list[str]:
        """Return the verb, threads and log of each call since the last one to this method."""
        file = self.folder / "calls.txt"
        found = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return found

    @contextlib.contextmanager
    def repo(self):
        """Yield DVC's view of the project. It names stages relative to the working folder."""
        with contextlib.chdir(self.folder), pytest.MonkeyPatch.context() as patch:
            for module in (_yaml, strictyaml):
                patch.setattr(module, "parse_yaml", _parse_once)
            patch.setenv("DVC_SITE_CACHE_DIR", self.environment["DVC_SITE_CACHE_DIR"])
            with Repo() as repo:
                yield repo

    def relative(self, path: str) -> str:
        return Path(path).relative_to(self.folder.resolve()).as_posix()

    def makers(self, repo: Repo) -> dict[str, str]:
        """Return the stage that makes each output."""
        return {self.relative(out.fs_path): stage.addressing for stage in repo.index.stages for out in stage.outs}

    def reruns(self) -> tuple[set[str], set[str], set[str]]:
        """Return all stages, and those that Snakemake and that DVC would run again."""
        with self.repo() as repo, lock_repo(repo):  # under one lock DVC reads its files once
            makers = self.makers(repo)
            graph = networkx.relabel_nodes(repo.index.graph, lambda stage: stage.addressing)
            changed = set(repo.status())
        # DVC tells what changed; what depends on that runs, too
        by_dvc = changed.union(*(networkx.ancestors(graph, stage) for stage in changed))
        table = [line.split("\t") for line in self.snakemake("--summary").splitlines() if "\t" in line]
        plan = table[0].index("plan")
        assert {row[0] for row in table[1:]} == set(makers)
        by_snakemake = {makers[row[0]] for row in table[1:] if row[plan] != "no update"}
        return set(makers.values()), by_snakemake, by_dvc

    def rerun_by_snakemake(self) -> set[str]:
        return self.reruns()[1]
