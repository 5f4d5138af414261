"""The card that CUDA numbers 0: machine facts and meter name the same one, whatever chooses it."""

import pytest
from support.fake_nvml import FakeCard, FakeNvml

from eventspeech.machine import gpu
from eventspeech.machine.nvml import NoGpu, Nvml
from eventspeech.meters.nvml import NvmlMeter
from eventspeech.meters.window import Unavailable

T4 = FakeCard("GPU-4444aaaa-0000-0000-0000-000000000000", "Tesla T4", 15.0, bus=3)
A100 = FakeCard("GPU-1000bbbb-0000-0000-0000-000000000000", "A100", 80.0, bus=7)
TWIN = FakeCard("GPU-1000cccc-0000-0000-0000-000000000000", "A100", 80.0, bus=9)
PART = FakeCard("MIG-7777dddd-0000-0000-0000-000000000000", "A100 MIG 1g.10gb", 9.5)
SPLIT = FakeCard("GPU-8888eeee-0000-0000-0000-000000000000", "A100", 80.0, bus=11, parts=[PART])


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(gpu, "order_of_cuda", list)


def both(*cards, **options):
    """Return what facts and meter say of the card, which must be the same."""
    facts, doubts = gpu.facts(FakeNvml(*cards, **options))
    meter = NvmlMeter(FakeNvml(*cards, **options))
    told = meter.facts()
    meter.close()
    assert (told["gpu"], told["gpu_uuid"]) == (facts["gpu"], facts["gpu_uuid"])
    if told["gpu"] is not None:
        assert told["ambiguous"] == doubts.get("gpu")
    return facts, doubts


@pytest.mark.parametrize(
    ("visible", "name", "gib", "count"),
    [
        (None, "Tesla T4", 15.0, 2),
        ("0", "Tesla T4", 15.0, 1),
        ("1", "A100", 80.0, 1),
        (" 1 , 0", "A100", 80.0, 2),
        ("1,-1,0", "A100", 80.0, 1),
        ("1,7,0", "A100", 80.0, 1),
        (A100.uuid, "A100", 80.0, 1),
        ("GPU-1000", "A100", 80.0, 1),
        ("gpu-1000BBBB,0", "A100", 80.0, 2),
    ],
)
def test_the_card_is_the_one_that_cuda_shows_first(monkeypatch, visible, name, gib, count):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    facts, unknown = both(T4, A100)
    assert (facts["gpu"], facts["gpu_memory_gib"], facts["gpus"]) == (name, gib, count)
    assert unknown == {}


@pytest.mark.parametrize(
    ("visible", "reason"),
    [
        ("", "hides every GPU"),
        ("-1", "hides every GPU"),
        (",0", "hides every GPU"),
        ("NoDevFiles", "hides every GPU"),
        ("7", "no GPU '7' among its 3"),
        ("GPU-9", "no GPU 'GPU-9' among its 3"),
        ("GPU-1000", "no GPU 'GPU-1000' among its 3"),  # fits two
        ("MIG-1", "no GPU 'MIG-1' among its 3"),
    ],
)
def test_no_card_has_a_reason(monkeypatch, visible, reason):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    facts, unknown = gpu.facts(FakeNvml(T4, A100, TWIN))
    assert [facts[name] for name in ("gpu", "gpu_uuid", "gpus", "gpu_memory_gib")] == [None] * 4
    assert reason in unknown["gpu"]
    assert facts["gpu_driver"] == "1.2"
    with pytest.raises(Unavailable, match=reason):
        NvmlMeter(FakeNvml(T4, A100, TWIN))


def test_two_cards_of_one_name_are_told_apart_by_uuid(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert both(A100, TWIN)[0]["gpu_uuid"] == TWIN.uuid


def test_numbers_follow_the_bus_and_not_the_order_of_nvml(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert both(A100, T4)[0]["gpu"] == "Tesla T4"


class TestOrder:
    """Without CUDA_DEVICE_ORDER, CUDA numbers the fastest card 0."""

    @pytest.fixture(autouse=True)
    def by_speed(self, monkeypatch):
        monkeypatch.delenv("CUDA_DEVICE_ORDER")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")

    def test_cuda_is_asked(self, monkeypatch):
        digits = [card.uuid[4:].replace("-", "") for card in (A100, T4)]
        monkeypatch.setattr(gpu, "order_of_cuda", lambda: digits)
        facts, doubts = both(T4, A100)
        assert (facts["gpu"], facts["gpus"], doubts) == ("A100", 2, {})

    def test_where_cuda_does_not_answer_the_card_is_in_doubt(self):
        facts, doubts = both(T4, A100)
        assert facts["gpu"] == "Tesla T4"
        assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID" in doubts["gpu"]

    def test_a_single_card_and_a_uuid_are_never_in_doubt(self, monkeypatch):
        assert both(T4)[1] == {}
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", A100.uuid)
        assert both(T4, A100)[1] == {}


class TestMig:
    @pytest.mark.parametrize("visible", [None, "0", "MIG-7777dddd-0000-0000-0000-000000000000", "MIG-7777"])
    def test_facts_are_the_instances(self, monkeypatch, visible):
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        facts, unknown = gpu.facts(FakeNvml(SPLIT))
        assert (facts["gpu"], facts["gpu_memory_gib"], facts["gpu_uuid"]) == (PART.name, 9.5, PART.uuid)
        assert unknown == {}

    @pytest.mark.parametrize("visible", [None, SPLIT.uuid, "MIG-7777", f"MIG-{SPLIT.uuid}/1/0"])
    def test_energy_is_not_known_for_a_part(self, monkeypatch, visible):
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        nvml = FakeNvml(SPLIT)
        with pytest.raises(Unavailable, match="known for the whole board only"):
            NvmlMeter(nvml)
        assert nvml.open == 0

    def test_the_memory_of_a_board_is_not_that_of_an_unknown_part(self, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"MIG-{SPLIT.uuid}/1/0")
        facts, unknown = gpu.facts(FakeNvml(SPLIT))
        assert (facts["gpu"], facts["gpu_memory_gib"]) == ("A100", None)
        assert "does not tell which part" in unknown["gpu_memory_gib"]


ANSWERS = {
    "gpu": "nvmlDeviceGetName",
    "gpu_uuid": "nvmlDeviceGetUUID",
    "gpu_memory_gib": "nvmlDeviceGetMemoryInfo",
    "gpu_driver": "nvmlSystemGetDriverVersion",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_one_question_unanswered_does_not_lose_the_others(name):
    facts, unknown = both(T4, absent=[ANSWERS[name], "nvmlDeviceGetMigMode", "nvmlDeviceGetPciInfo"])
    expected = {"gpu": "Tesla T4", "gpu_uuid": T4.uuid, "gpus": 1, "gpu_memory_gib": 15.0, "gpu_driver": "1.2"}
    assert facts == expected | {name: None}
    assert unknown == {name: "Not Supported"}


@pytest.mark.parametrize("error", [OSError("broken"), TypeError("odd"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")])
def test_not_only_nvmls_own_errors_are_guarded(monkeypatch, error):
    def fail(*arguments):
        raise error

    library = FakeNvml(T4)
    library.nvmlDeviceGetMemoryInfo = fail
    facts, unknown = gpu.facts(library)
    assert (facts["gpu"], facts["gpu_memory_gib"]) == ("Tesla T4", None)
    assert unknown == {"gpu_memory_gib": str(error)}


def test_names_in_bytes_are_text():
    facts, _ = both(FakeCard(name="Tesla é".encode()))
    assert facts["gpu"] == "Tesla é"


def test_a_card_given_to_others_has_no_number_for_cuda():
    facts, _ = both(FakeCard(broken="Insufficient Permissions"), A100)
    assert facts["gpu"] == "A100"


def test_a_lost_card_keeps_its_number(monkeypatch):
    lost = FakeCard(broken="GPU is lost")
    facts, unknown = gpu.facts(FakeNvml(lost, A100))
    assert (facts["gpu"], unknown["gpu"]) == (None, "NVML has no GPU '0' among its 2 (GPU is lost)")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert both(lost, A100)[0]["gpu"] == "A100"


def test_no_driver():
    library = FakeNvml(absent=["nvmlInit"], refusal="Driver/library version mismatch")
    facts, unknown = gpu.facts(library)
    assert set(facts.values()) == {None}
    assert unknown == {"gpu": "no NVIDIA driver answers (Driver/library version mismatch)"}
    with pytest.raises(NoGpu, match="version mismatch"):
        Nvml(library)


class TestProblem:
    @pytest.fixture
    def library(self, monkeypatch):
        library = FakeNvml(T4)
        monkeypatch.setattr("eventspeech.machine.nvml._pynvml", lambda: library)
        return library

    @pytest.mark.parametrize("visible", [None, "0", T4.uuid, "GPU-4"])
    def test_none(self, monkeypatch, library, visible):
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpu.cuda_problem() is None
        assert library.open == 0

    @pytest.mark.parametrize(
        ("visible", "problem"),
        [("", gpu.HIDDEN), ("-1", gpu.HIDDEN), ("3", "NVML has no GPU '3' among its 1 (Invalid Argument)")],
    )
    def test_hidden_or_missing(self, monkeypatch, library, visible, problem):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpu.cuda_problem() == problem

    def test_cuda_without_nvml(self, monkeypatch, library):
        library.absent.add("nvmlInit")
        assert gpu.cuda_problem() == gpu.NO_DRIVER
        monkeypatch.setattr(gpu, "order_of_cuda", lambda: ["00"])
        assert gpu.cuda_problem() is None

    def test_a_job_that_slurm_gave_no_gpu_says_so(self, monkeypatch, library):
        library.absent.add("nvmlInit")
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        assert gpu.cuda_problem() == "SLURM gave this job no GPU"
        monkeypatch.setenv("SLURM_JOB_GPUS", "0")
        assert gpu.cuda_problem() == gpu.NO_DRIVER
