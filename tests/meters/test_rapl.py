"""RAPL on a made-up tree."""

import itertools
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.clock import Clock

from eventspeech.meters.rapl import RaplMeter
from eventspeech.meters.window import Unavailable


@pytest.fixture
def clock():
    return Clock()


def domain(folder: Path, name: str, energy_uj: int = 0, range_uj: int = 1000_000_000) -> Path:
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return folder / "energy_uj"


class TestRapl:
    @pytest.fixture
    def tree(self, tmp_path):
        """Two packages, and everything that must not be added to them."""
        root = tmp_path / "powercap"
        first = domain(root / "intel-rapl:0", "package-0", 10_000_000)
        second = domain(root / "intel-rapl:1", "package-1", 999_000_000)
        domain(root / "intel-rapl:0" / "intel-rapl:0:0", "core")
        domain(root / "intel-rapl:0:0", "core")
        domain(root / "intel-rapl:0:1", "dram")
        domain(root / "intel-rapl:2", "psys")
        domain(root / "intel-rapl-mmio:0", "package-0")
        return SimpleNamespace(root=root, first=first, second=second)

    def test_packages_only(self, tree, clock):
        meter = RaplMeter(tree.root, clock)
        assert meter.facts() == {"meter": "rapl", "domains": ["package-0", "package-1"]}

    def test_sum_and_wrap_around(self, tree, clock):
        meter = RaplMeter(tree.root, clock)
        with meter.window("w") as reading:
            clock.now_s += 2
            tree.first.write_text("15000000")
            tree.second.write_text("3000000")  # from 999 J over 1000 J to 3 J
        assert reading.result.energy_j == pytest.approx(5 + 4)
        assert reading.result.mean_power_w == pytest.approx(4.5)
        assert reading.result.method == "counter"
        assert reading.result.note is None

    def test_follows_several_turns_in_the_background(self, tree):
        meter = RaplMeter(tree.root, period_s=0.005)
        expected_j = 0.0
        with meter.window("w") as reading:
            for value_uj in itertools.islice(itertools.cycle([600_000_000, 200_000_000]), 4):
                before_uj = int(tree.first.read_text())
                expected_j += ((value_uj - before_uj) % 1_000_000_000) / 1e6
                tree.first.parent.joinpath("new").write_text(str(value_uj))
                tree.first.parent.joinpath("new").replace(tree.first)  # never half-written
                reads = meter._reads
                deadline = time.monotonic() + 5
                while meter._reads < reads + 2 and time.monotonic() < deadline:
                    time.sleep(0.002)
        assert expected_j > 1500
        assert reading.result.energy_j == pytest.approx(expected_j)
        assert reading.result.samples >= 8

    def test_idle_before_the_window_does_not_count(self, tree, clock):
        meter = RaplMeter(tree.root, clock)
        tree.first.write_text("500000000")
        with meter.window("w") as reading:
            clock.now_s += 1
            tree.first.write_text("501000000")
        assert reading.result.energy_j == pytest.approx(1.0)

    def test_counter_that_stands_still_is_unknown(self, tree, clock):
        with RaplMeter(tree.root, clock).window("w") as reading:
            clock.now_s += 1
        assert reading.result.energy_j is None
        assert "stood still" in reading.result.reason

    def test_counter_lost_inside_a_window(self, tree, clock):
        with RaplMeter(tree.root, clock).window("w") as reading:
            clock.now_s += 1
            tree.first.unlink()
        assert reading.result.energy_j is None
        assert "cannot be read" in reading.result.reason

    def test_no_tree(self, tmp_path):
        with pytest.raises(Unavailable, match="no powercap tree"):
            RaplMeter(tmp_path / "none")

    def test_no_package(self, tmp_path):
        domain(tmp_path / "intel-rapl:0", "psys")
        with pytest.raises(Unavailable, match="no RAPL package"):
            RaplMeter(tmp_path)

    def test_missing_privilege_is_named(self, tree, monkeypatch):
        # file modes do not stop root, who may run the tests
        read_text = Path.read_text

        def refuse(self, *args, **kwargs):
            if self.name == "energy_uj":
                raise PermissionError(13, "Permission denied")
            return read_text(self, *args, **kwargs)

        monkeypatch.setattr(Path, "read_text", refuse)
        with pytest.raises(Unavailable, match="takes root"):
            RaplMeter(tree.root)

    def test_no_thread_is_left(self, tree, clock):
        meter = RaplMeter(tree.root, clock)
        with meter.window("w"):
            assert any(thread.name == "meter" for thread in threading.enumerate())
        assert not any(thread.name == "meter" for thread in threading.enumerate())
