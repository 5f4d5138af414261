"""What this machine can run: one line a check, PASS, FAIL or SKIP, with the remedy.

FAIL is kept for what the default study needs (embedded speech, ``cpu`` engine, Snakemake); everything else that is
missing is a SKIP with the reason. Nothing is changed, and no network is used.
"""

import contextlib
import functools
import importlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from eventspeech import engines, machine
from eventspeech.meters.choose import for_device
from eventspeech.params import Download

OLDEST_PYTHON = (3, 11)

COMPILED = ("numpy", "scipy", "numba", "h5py", "soundfile", "pydantic", "yaml", "psutil")
"""Modules that are imported and not only looked up: theirs are the binaries that break."""

DISK_GIB = 1.0
"""Free disk the default study needs: outputs and caches take some 0.3 GiB."""

MEMORY_GIB = 2.0

ESPEAK = """
import ctypes, espeakng_loader
library = ctypes.CDLL(espeakng_loader.get_library_path())
# 1: samples are handed over, not played; 0x8000: report a failure instead of ending the process
rate = library.espeak_Initialize(1, 0, espeakng_loader.get_data_path().encode(), 0x8000)
library.espeak_Info.restype = ctypes.c_char_p
print(library.espeak_Info(None).decode() if rate > 0 else "")
"""


@dataclass(frozen=True)
class Check:
    """Outcome of a check.

    Attributes:
        status: PASS, FAIL or SKIP.
        detail: what was found.
        remedy: what to do, for FAIL and SKIP; empty if there is nothing to do.
    """

    status: str
    detail: str
    remedy: str = ""


def run(stream: TextIO) -> int:
    """Write the table of all checks to ``stream``; return 1 if any is a FAIL, else 0."""
    failed = 0
    width = max(len(name) for name in CHECKS)
    for name, function in CHECKS.items():
        try:
            check = function()
        except Exception as error:  # a check must never hide those after it
            status = "FAIL" if name in REQUIRED else "SKIP"
            check = Check(status, f"{type(error).__name__}: {error}", "report this as a fault of eventspeech")
        failed += check.status == "FAIL"
        stream.write(f"{check.status}  {name:<{width}}  {check.detail}\n")
        if check.remedy:
            stream.write(f"      {'':<{width}}  -> {check.remedy}\n")
    if failed:
        stream.write(f"\n{failed} of {len(CHECKS)} checks failed: the default study cannot run here yet.\n")
    else:
        stream.write("\nThe default study can run here.\n")
    return int(failed > 0)


def _python() -> Check:
    found = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        return Check("FAIL", found, f"make the environment with Python {needed} or newer")
    return Check("PASS", found)


def _packages() -> Check:
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in requires("eventspeech") or []]
    except PackageNotFoundError:
        return Check("FAIL", "eventspeech runs from a folder and is not installed", "run `pip install -e .` in it")
    needed = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = []
    for one in needed:
        version = machine.version(one.name)
        if version is None or not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{one} ({version or 'missing'})")
    if wrong:
        return Check("FAIL", "wrong: " + ", ".join(wrong), "install eventspeech again in this environment")
    return Check("PASS", f"{len(needed)} at the versions needed")


def _imports() -> Check:
    broken = []
    for name in COMPILED:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken binary raises anything
            broken.append(f"{name} ({type(error).__name__}: {error})")
    if broken:
        return Check("FAIL", "cannot import " + ", ".join(broken), "reinstall these packages in this environment")
    return Check("PASS", ", ".join(COMPILED))


def _numba() -> Check:
    import numba

    @numba.njit(parallel=True)
    def total(count: int) -> int:
        result = 0
        for index in numba.prange(count):
            result += index
        return result

    if total(10) != 45:
        return Check("FAIL", "compiled code gives a wrong sum", "reinstall numba and llvmlite")
    return Check("PASS", f"{numba.__version__}, threading layer {numba.threading_layer()}, {machine.threads()} threads")


def _kernels() -> Check:
    from eventspeech.data.cochlea import native as cochlea
    from eventspeech.engines.event_driven.c import launches as engine
    from eventspeech.learning import adam

    libraries = {"the cpu engine": engine.library(), "the cochlea encoder": cochlea.library()}
    libraries["Adam"] = adam.library()
    missing = [name for name, library in libraries.items() if library is None]
    if missing:
        remedy = "to make it faster install a C compiler, then install eventspeech again"
        return Check("SKIP", f"not built for {' and '.join(missing)}; numba's and numpy's are used", remedy)
    return Check("PASS", f"built at installation for {' and '.join(libraries)}")


def _espeak() -> Check:
    done = subprocess.run([sys.executable, "-c", ESPEAK], capture_output=True, text=True, timeout=30)
    version = done.stdout.strip()
    if done.returncode == 0 and version:
        return Check("PASS", version)
    lines = done.stderr.strip().splitlines() or ["its voices are not found"]
    return Check("FAIL", lines[-1], "reinstall espeakng-loader, or use another download.source")


def _disk() -> Check:
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    if free_gib < DISK_GIB:
        return Check("FAIL", f"{free_gib:.1f} GiB free in this folder", f"free at least {DISK_GIB:g} GiB")
    return Check("PASS", f"{free_gib:.1f} GiB free in this folder")


def _memory() -> Check:
    import psutil

    limits = [psutil.virtual_memory().available / 2**30, machine.memory_gib()]
    free_gib = min(limit for limit in limits if limit is not None)
    detail = f"{free_gib:.1f} GiB available, {machine.cores()} cores"
    if free_gib < MEMORY_GIB:
        return Check("FAIL", detail, f"close other programs until {MEMORY_GIB:g} GiB are available")
    return Check("PASS", detail)


def _writable() -> Check:
    caches = [Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")]
    if os.environ.get("NUMBA_CACHE_DIR"):
        caches.append(Path(os.environ["NUMBA_CACHE_DIR"]))
    for folder, remedy in [
        (Path.cwd(), "run eventspeech in a folder of your own"),
        *((cache, "let XDG_CACHE_HOME (and NUMBA_CACHE_DIR) name folders you may write to") for cache in caches),
    ]:
        if not _can_write(folder):
            return Check("FAIL", f"{folder} cannot be written to", remedy)
    return Check("PASS", "this folder and the cache folders")


def _can_write(folder: Path) -> bool:
    """Try, in the nearest ancestor that exists: permissions alone do not tell about read-only file systems."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _git() -> Check:
    if shutil.which("git") is None:
        return Check("SKIP", "not installed", "install git: DVC needs it, and results then name the commit they are of")
    commit = machine.facts()["git_commit"]
    return Check("PASS", f"eventspeech at commit {commit[:12]}" if commit else "installed")


def _compiler() -> Check:
    for name in filter(None, (os.environ.get("CXX"), "c++", "g++", "clang++")):
        if shutil.which(name.split()[0]):
            return Check("PASS", name)
    return Check("SKIP", "no C++ compiler", "install one for the genn engine, which compiles what GeNN generates")


def _rapl() -> Check:
    meter = for_device("cpu")
    with contextlib.closing(meter):
        facts = meter.facts()
    if facts["meter"] == "none":
        return Check("SKIP", facts["reason"], "none needed: energy of the CPU is then reported as not measured")
    return Check("PASS", ", ".join(facts["domains"]))


def _nvidia() -> Check:
    meter = for_device("cuda")
    with contextlib.closing(meter):
        facts = meter.facts()
    if facts["meter"] == "none":
        return Check("SKIP", facts["reason"], "install NVIDIA's driver if this machine has such a GPU")
    limit = "unknown" if facts["power_limit_w"] is None else f"{facts['power_limit_w']:.0f} W"
    return Check("PASS", f"{facts['gpu']}, driver {facts['driver']}, power limit {limit}")


def _engine(name: str) -> Check:
    problem, detail, remedy = engines.named(name).examine()
    return Check("PASS", detail, remedy) if problem is None else Check("SKIP", problem, remedy)


def _libffi() -> Check:
    for compiler in filter(shutil.which, ("cc", "gcc", "clang")):
        done = subprocess.run(
            [compiler, "-E", "-"], input="#include <ffi.h>\n", capture_output=True, text=True, timeout=30
        )
        if done.returncode == 0:
            return Check("PASS", "ffi.h found")
    return Check("SKIP", "ffi.h not found", "install libffi's development files before building PyGeNN")


def _cuda_path() -> Check:
    path = os.environ.get("CUDA_PATH")
    if not path:
        return Check("SKIP", "not set", "set it to the CUDA toolkit's folder before building PyGeNN with CUDA")
    if not (Path(path) / "bin" / "nvcc").exists():
        return Check("SKIP", f"{path} has no bin/nvcc", "let it name the folder of a CUDA toolkit")
    return Check("PASS", path)


def _internet() -> Check:
    return Check("SKIP", "not needed: the default speech is synthesised here; not tried")


def _archives() -> Check:
    from eventspeech.data.sources import shd

    folder = Path(Download().archives)
    listed = shd.catalogue("shd")
    found = {archive: next(iter(sorted(folder.rglob(archive.name))), None) for archive in listed}
    missing = [archive.name for archive, path in found.items() if path is None]
    if missing:
        detail = f"{' and '.join(missing)} not in {folder}"
        return Check("SKIP", detail, "`eventspeech download` with download.source: shd fetches them")
    for archive, path in found.items():
        if path is not None and shd.md5(path) != archive.md5:
            return Check("SKIP", f"{path} has a wrong checksum", "delete it and download it again")
    return Check("PASS", "both, with the published checksums")


def _report() -> Check:
    """Try what the report needs: a kernel that draws a figure, and the page around it."""
    from eventspeech.errors import UserError
    from eventspeech.report.kernel import trial
    from eventspeech.report.page import page

    try:
        made = page(trial(Path()), "trial")
    except (UserError, ImportError, OSError) as error:
        remedy = "reinstall papermill, ipykernel, nbconvert and matplotlib in this environment, and try again"
        return Check("FAIL", " ".join(str(error).split()), remedy)
    if "<p>True</p>" not in made:
        return Check("FAIL", "a page without its content", "reinstall nbconvert and mistune in this environment")
    return Check("PASS", "a kernel started and drew, a page was made")


CHECKS: dict[str, Callable[[], Check]] = {
    "Python": _python,
    "packages": _packages,
    "imports": _imports,
    "numba": _numba,
    "C kernels": _kernels,
    "espeak-ng": _espeak,
    "disk": _disk,
    "memory": _memory,
    "writable folders": _writable,
    "report": _report,
    "git": _git,
    "C++ compiler": _compiler,
    "CPU energy (RAPL)": _rapl,
    "NVIDIA driver (NVML)": _nvidia,
    **{f"engine {name}": functools.partial(_engine, name) for name in engines.ENGINES},
    "libffi header": _libffi,
    "CUDA_PATH": _cuda_path,
    "internet": _internet,
    "SHD archives": _archives,
}

REQUIRED = ("Python", "packages", "imports", "numba", "espeak-ng", "disk", "memory", "writable folders", "report")
"""Checks of what the default study needs; only these can fail."""
