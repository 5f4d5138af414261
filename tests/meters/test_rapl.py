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
            tree.second.write_text("999500000")
            expected_j += 0.5
        assert expected_j > 1500
        assert reading.result.energy_j == pytest.approx(expected_j)
        assert reading.result.samples >= 8

    def test_idle_before_the_window_does_not_count(self, tree, clock):
        meter = RaplMeter(tree.root, clock)
        tree.first.write_text("500000000")
        with meter.window("w") as reading:
            clock.now_s += 1
            tree.first.write_text("501000000")
            tree.second.write_text("999500000")
        assert reading.result.energy_j == pytest.approx(1.5)

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

    def test_a_package_that_stands_still_beside_another_makes_the_sum_unknown(self, tree, clock):
        with RaplMeter(tree.root, clock).window("w") as reading:
            clock.now_s += 1
            tree.first.write_text("11000000")
        assert reading.result.energy_j is None
        assert reading.result.reason == "the energy counter of package-1 stood still for 1 s"

    def test_counter_beyond_its_range_that_goes_backwards_is_unknown(self, tree, clock):
        (tree.second.parent / "max_energy_range_uj").write_text("0")
        with RaplMeter(tree.root, clock).window("w") as reading:
            clock.now_s += 1
            tree.first.write_text("11000000")
            tree.second.write_text("998000000")
        assert reading.result.energy_j is None
        assert "package-1 went backwards" in reading.result.reason

    @pytest.mark.parametrize("text", ["", "-5", "much", "\udcff"])
    def test_counter_that_is_no_number(self, tree, text):
        tree.first.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(Unavailable, match="energy_uj cannot be read"):
            RaplMeter(tree.root)

    @pytest.mark.parametrize("broken", ["missing", "binary"])
    def test_a_domain_without_a_name_is_not_left_out_of_the_sum(self, tree, broken):
        name = tree.second.with_name("name")
        name.unlink() if broken == "missing" else name.write_bytes(b"\xff\xfe")
        with pytest.raises(Unavailable, match="intel-rapl:1 does not tell its name"):
            RaplMeter(tree.root)

    def test_two_domains_of_one_name_are_not_added(self, tree):
        domain(tree.root / "intel-rapl:3", "package-0")
        with pytest.raises(Unavailable, match="two domains of RAPL are called package-0"):
            RaplMeter(tree.root)

    def test_a_link_to_a_domain_counts_once(self, tree, clock):
        (tree.root / "intel-rapl:4").symlink_to(tree.first.parent)
        assert RaplMeter(tree.root, clock).facts()["domains"] == ["package-0", "package-1"]

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
