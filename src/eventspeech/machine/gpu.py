"""Which GPU a job sees: the card that CUDA numbers 0, asked of NVML, one guarded question at a time.

CUDA and NVML number the cards of a machine each in its own way. ``CUDA_VISIBLE_DEVICES`` chooses and orders cards by
number, by UUID or by the beginning of a UUID, up to the first name that fits none; CUDA's numbers go by speed unless
``CUDA_DEVICE_ORDER`` is ``PCI_BUS_ID``, NVML's by the bus. (NVIDIA, "CUDA C++ Programming Guide", environment
variables.) Where numbers may differ, CUDA itself is asked for the UUIDs of its cards.
"""

import contextlib
import ctypes
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from eventspeech.machine.nvml import NoGpu, Nvml

NO_DRIVER = "no NVIDIA driver with a GPU answers on this machine"
NOT_GIVEN = "SLURM gave this job no GPU"
HIDDEN = "CUDA_VISIBLE_DEVICES hides every GPU"
AMBIGUOUS = "several GPUs: set CUDA_DEVICE_ORDER=PCI_BUS_ID so that CUDA and NVML number them alike"
SPLIT = "the GPU is split by MIG, and the driver does not tell which part of it CUDA shows"

FACTS = ("gpu", "gpu_uuid", "gpus", "gpu_memory_gib", "gpu_driver")
"""Facts of the GPU, each ``None`` if unknown."""

SECONDS_FOR_CUDA = 20
"""A driver that has not started by then is broken; on a sound machine it takes a second."""

# In a process of its own: started here, CUDA would fail in every later fork, and a lost card would hang this program.
ASK_CUDA = """
import ctypes, json
cuda = ctypes.CDLL("libcuda.so.1")
count, device, uuid = ctypes.c_int(), ctypes.c_int(), (ctypes.c_ubyte * 16)()
assert cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
uuid_of = getattr(cuda, "cuDeviceGetUuid_v2", cuda.cuDeviceGetUuid)
found = []
for index in range(count.value):
    assert cuda.cuDeviceGet(ctypes.byref(device), index) == 0 and uuid_of(uuid, device) == 0
    found.append(bytes(uuid).hex())
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Card:
    """A GPU that CUDA shows.

    Attributes:
        handle: NVML's, of the board or of a MIG instance.
        uuid: ``None`` if the driver does not tell it.
        split: whether it is a part of a board, or a board that is split (MIG).
        doubt: why CUDA may mean another card.
    """

    handle: Any
    uuid: str | None = None
    split: bool = False
    doubt: str | None = None


def visible(nvml: Nvml) -> list[Card]:
    """Return the GPUs that CUDA shows this process, in CUDA's order.

    Raises:
        NoGpu: there is none.
    """
    named = names()
    if named is not None and not named:
        raise NoGpu(HIDDEN)
    cards, by_speed = _cards(nvml), os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
    numbers = named is None or any(name.isdecimal() for name in named)
    if len(cards) > 1 and numbers and by_speed:
        if told := [card for uuid in order_of_cuda() if (card := _by_hex(nvml, uuid))]:
            return told
        doubt = AMBIGUOUS
    else:
        doubt = None
    found: list[Card] = []
    for name in [str(index) for index in range(len(cards))] if named is None else named:
        card = _named(nvml, name, cards, doubt)
        if card is None:
            break  # CUDA shows what stands before the first name that fits no card
        found.append(card)
    if not found:
        raise NoGpu(_why_none(nvml, named, len(cards)))
    return found


def _why_none(nvml: Nvml, named: list[str] | None, count: int) -> str:
    if count == 0:
        return NO_DRIVER
    first = named[0] if named else "0"
    refusal = nvml.answer("nvmlDeviceGetHandleByIndex", int(first))[1] if first.isdecimal() else "no UUID begins so"
    return f"NVML has no GPU '{first}' among its {count} ({refusal})"


def names() -> list[str] | None:
    """Return the names in ``CUDA_VISIBLE_DEVICES`` up to one that hides the rest, ``None`` if it is not set."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return None
    found = []
    for name in (part.strip() for part in value.split(",")):
        if not ((name.isascii() and name.isdecimal()) or name[:4].upper() in ("GPU-", "MIG-")):
            break  # empty, -1, or a word such as SLURM's NoDevFiles
        found.append(name)
    return found


def _cards(nvml: Nvml) -> list[Any]:
    """Return NVML's handles in the order of the bus; a card that fails keeps its place with ``None``."""
    handles = []
    for index in range(nvml.ask("nvmlDeviceGetCount") or 0):
        handle, reason = nvml.answer("nvmlDeviceGetHandleByIndex", index)
        # a card that others were given (cgroups) has no number for CUDA, one that fails has
        if handle is not None or "permission" not in str(reason).lower():
            handles.append(handle)
    places = [None if handle is None else nvml.ask("nvmlDeviceGetPciInfo", handle) for handle in handles]
    keys = [(place.domain, place.bus, place.device) for place in places if place is not None]
    if len(handles) < 2 or len(keys) < len(places):
        return handles
    return [handles[index] for index in sorted(range(len(handles)), key=keys.__getitem__)]


def _named(nvml: Nvml, name: str, cards: list[Any], doubt: str | None) -> Card | None:
    """Return the card that a name in ``CUDA_VISIBLE_DEVICES`` means, ``None`` if it fits none or several."""
    if name.isdecimal():
        number = int(name)
        if number >= len(cards) or cards[number] is None:
            return None
        return _card(nvml, cards[number], doubt)
    if name[:8].upper() == "MIG-GPU-":  # the older way: board, instance of the GPU, instance of its processors
        board = _by_uuid(nvml, name[4:].split("/")[0], cards)
        return None if board is None else Card(board, nvml.ask("nvmlDeviceGetUUID", board), split=True, doubt=SPLIT)
    if name[:4].upper() == "MIG-":
        parts = [part for card in cards if card is not None for part in _instances(nvml, card)]
        part = _by_uuid(nvml, name, parts)
        return None if part is None else Card(part, nvml.ask("nvmlDeviceGetUUID", part) or name, split=True)
    board = _by_uuid(nvml, name, cards)
    if board is None:
        return None
    found = _card(nvml, board, None)
    return found if found.uuid else replace(found, uuid=name)


def _card(nvml: Nvml, board: Any, doubt: str | None) -> Card:
    """Return what CUDA shows of a board: the board, or its first instance where it is split."""
    if not (nvml.ask("nvmlDeviceGetMigMode", board) or (0,))[0]:
        return Card(board, nvml.ask("nvmlDeviceGetUUID", board), doubt=doubt)
    part = next(_instances(nvml, board), None)
    if part is None:
        return Card(board, nvml.ask("nvmlDeviceGetUUID", board), split=True, doubt=SPLIT)
    return Card(part, nvml.ask("nvmlDeviceGetUUID", part), split=True, doubt=doubt)


def _instances(nvml: Nvml, board: Any) -> Iterator[Any]:
    for index in range(nvml.ask("nvmlDeviceGetMaxMigDeviceCount", board) or 0):
        handle = nvml.ask("nvmlDeviceGetMigDeviceHandleByIndex", board, index)
        if handle is not None:
            yield handle


def _by_uuid(nvml: Nvml, name: str, handles: list[Any]) -> Any:
    """Return the handle of a UUID, or of the only one that begins so."""
    exact = nvml.ask("nvmlDeviceGetHandleByUUID", name)
    if exact is not None:
        return exact
    uuids = [(handle, nvml.ask("nvmlDeviceGetUUID", handle) or "") for handle in handles if handle is not None]
    fitting = [handle for handle, uuid in uuids if uuid.lower().startswith(name.lower())]
    return fitting[0] if len(fitting) == 1 else None


def _by_hex(nvml: Nvml, digits: str) -> Card | None:
    """Return the card, or the instance of one, that has the UUID of these 32 digits."""
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    for kind in ("GPU-", "MIG-"):
        if (handle := nvml.ask("nvmlDeviceGetHandleByUUID", kind + uuid)) is not None:
            return Card(handle, kind + uuid, split=kind == "MIG-") if kind == "MIG-" else _card(nvml, handle, None)
    return None


def order_of_cuda() -> list[str]:
    """Return the UUIDs of the cards that CUDA shows, as digits, in its order; empty where CUDA does not answer."""
    return _order_of_cuda(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"))


@functools.lru_cache
def _order_of_cuda(*environment: str | None) -> list[str]:
    """Ask once for each state of the variables that CUDA heeds; it reads them itself."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    command = [sys.executable, "-I", "-S", "-c", ASK_CUDA]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS_FOR_CUDA, check=True)
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def facts(library: Any = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the facts of the first GPU this process sees, and the reason for each that is unknown or doubtful.

    They are ``gpu`` (its name), ``gpu_uuid``, ``gpus`` (how many this process sees), ``gpu_memory_gib``,
    and ``gpu_driver``; of a board split by MIG they are the instance's.

    Args:
        library: see :class:`Nvml`.
    """
    found: dict[str, Any] = dict.fromkeys(FACTS)
    try:
        nvml = Nvml(library)
    except NoGpu as error:
        return found, {"gpu": str(error)}
    with contextlib.closing(nvml):
        answers = {"gpu_driver": nvml.answer("nvmlSystemGetDriverVersion")}
        try:
            cards = visible(nvml)
        except NoGpu as error:
            answers["gpu"] = None, str(error)
        else:
            answers |= {"gpus": (len(cards), None)} | _facts_of(nvml, cards[0])
    found |= {name: value for name, (value, _) in answers.items()}
    return found, {name: reason for name, (_, reason) in answers.items() if reason is not None}


def _facts_of(nvml: Nvml, card: Card) -> dict[str, tuple[Any, str | None]]:
    """Return name, UUID and memory of a card, each with the reason why it is unknown or may be another's."""
    memory, reason = nvml.answer("nvmlDeviceGetMemoryInfo", card.handle)
    total = getattr(memory, "total", None)
    if card.doubt == SPLIT:  # the memory of a board is not what a part of it has
        total, reason = None, SPLIT
    name, unnamed = nvml.answer("nvmlDeviceGetName", card.handle)
    return {
        "gpu": (name, unnamed or card.doubt),
        "gpu_uuid": (card.uuid, None) if card.uuid else nvml.answer("nvmlDeviceGetUUID", card.handle),
        "gpu_memory_gib": (round(total / 2**30, 2), None) if total else (None, reason or "the driver tells no memory"),
    }


def cuda_problem() -> str | None:
    """Return why CUDA cannot run here, as a clause, or ``None`` if a driver and a visible GPU answer."""
    if names() == []:
        return HIDDEN
    try:
        # NVML first: it answers in milliseconds; some containers have CUDA without it
        nvml = Nvml()
    except NoGpu:
        reason = NOT_GIVEN if _without_gpu_by_slurm() else NO_DRIVER
    else:
        with contextlib.closing(nvml):
            try:
                visible(nvml)
                return None
            except NoGpu as error:
                reason = str(error)
    return None if order_of_cuda() else reason


def _without_gpu_by_slurm() -> bool:
    """Return whether this is a job of SLURM that was given no GPU."""
    given = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS", "SLURM_GPUS_ON_NODE")
    return "SLURM_JOB_ID" in os.environ and not any(os.environ.get(name) for name in given)
