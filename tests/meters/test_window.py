"""The arithmetic of meters by itself, and windows."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clock import Clock

from eventspeech.meters import window as meters
from eventspeech.meters.window import NoMeter, Sample, Window


@pytest.fixture
def clock():
    return Clock()


class TestArithmetic:
    def test_integral_of_constant_power(self):
        samples = [Sample(t, 50.0) for t in (1.0, 1.3, 1.9)]
        assert meters.integrate(samples, 1.0, 2.0, largest_gap_s=1) == pytest.approx(50.0)

    @settings(deadline=None)
    @given(st.lists(st.floats(0, 10), min_size=2, unique=True), st.floats(-5, 5), st.floats(0, 20))
    def test_integral_of_a_ramp_is_exact(self, times, slope, start):
        times = sorted(times)
        samples = [Sample(t, start + slope * t) for t in times]
        begin, end = times[0], times[-1]
        exact = start * (end - begin) + slope * (end**2 - begin**2) / 2
        assert meters.integrate(samples, begin, end, largest_gap_s=math.inf) == pytest.approx(exact, abs=1e-6)

    def test_samples_outside_the_window_do_not_count(self):
        samples = [Sample(0.0, 1e6), Sample(1.0, 10.0), Sample(2.0, 10.0), Sample(3.0, 1e6)]
        assert meters.integrate(samples, 0.5, 2.5, largest_gap_s=2) == pytest.approx(20.0)

    @pytest.mark.parametrize(
        "samples",
        [
            [],
            [Sample(0.5, 10.0)],
            [Sample(0.0, None), Sample(0.5, 10.0), Sample(1.0, None)],
            [Sample(0.0, 10.0), Sample(10.0, 10.0)],
        ],
        ids=["none", "one", "unknown power", "a gap"],
    )
    def test_missing_samples_are_unknown(self, samples):
        assert meters.integrate(samples, 0.0, 10.0, largest_gap_s=1) is None

    @pytest.mark.parametrize(
        ("begin", "end", "range_", "advance"),
        [
            (5, 9, None, 4),
            (5, 5, 100, 0),
            (95, 3, 100, 8),
            (9, 5, None, None),
            (95, 3, 50, None),
            (None, 5, 100, None),
            (5, None, 1, None),
        ],
    )
    def test_counter(self, begin, end, range_, advance):
        assert meters.counted(begin, end, range_) == advance

    def test_good_counter(self):
        assert meters.judge(100.0, 105.0, 10.0, 0.1) == (100.0, "counter", None, None)

    def test_zero_is_unknown_never_zero(self):
        energy, method, reason, _ = meters.judge(0.0, 3.0, 0.05, 0.1)
        assert (energy, method) == (None, None)
        assert "shorter than the counter's period" in reason
        energy, _, reason, _ = meters.judge(0.0, None, 5.0, 0.1)
        assert energy is None
        assert "stood still" in reason

    def test_short_window_is_doubtful(self):
        energy, _, reason, note = meters.judge(30.0, None, 0.3, 0.1)
        assert (energy, reason) == (30.0, None)
        assert "fewer than 10 periods" in note

    def test_disagreement_is_noted(self):
        *_, note = meters.judge(187.0, 327.0, 5.0, 0.1)
        assert "187 J" in note
        assert "327 J" in note

    def test_samples_replace_a_missing_counter(self):
        assert meters.judge(None, 42.0, 5.0, 0.1) == (42.0, "samples", None, None)
        assert meters.judge(None, None, 5.0, 0.1)[0] is None

    def test_samples_in_place_of_a_counter_that_failed_are_doubtful(self):
        assert meters.judge(None, 42.0, 5.0, 0.1, "the counter broke") == (42.0, "samples", None, "the counter broke")
        assert meters.judge(None, None, 5.0, 0.1, "the counter broke")[2].startswith(
            "the counter broke and gave too few"
        )

    @pytest.mark.parametrize(("energy", "reason"), [(None, None), (1.0, "why")])
    def test_window_has_energy_or_reason(self, energy, reason):
        with pytest.raises(ValueError, match="either an energy or a reason"):
            Window("w", 1.0, energy, reason=reason)


class TestWindows:
    def test_nested_and_named(self, clock):
        meter = NoMeter("no counters", clock)
        with meter.window("outer") as outer:
            clock.now_s += 1
            with meter.window("inner") as inner:
                clock.now_s += 2
        assert (outer.result.duration_s, inner.result.duration_s) == (3, 2)
        assert outer.result.energy_j is None
        assert outer.result.reason == "no counters"

    def test_name_is_open_once(self, clock):
        meter = NoMeter("no counters", clock)
        meter.begin("a")
        with pytest.raises(RuntimeError, match="open already"):
            meter.begin("a")
        meter.end("a")
        with pytest.raises(RuntimeError, match="not open"):
            meter.end("a")

    def test_window_closes_when_work_fails(self, clock):
        meter = NoMeter("no counters", clock)
        with pytest.raises(ZeroDivisionError), meter.window("a"):
            raise ZeroDivisionError
        meter.begin("a")
