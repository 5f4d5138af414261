"""The replay of a recording."""

import pytest

from eventspeech.errors import DataError
from eventspeech.meters.window import Window
from support import replay
from support.replay import ReplayMeter


class TestReplay:
    def test_round_trip(self, tmp_path):
        windows = [
            Window("idle", 1.0, 30.0, 30.0, "counter", samples=20, temperature_c=35.0),
            Window("trial", 2.0, reason="no counters"),
            Window("trial", 2.5, 500.0, 200.0, "counter", note="doubtful, a little", throttled="heat"),
        ]
        replay.record(windows, tmp_path / "windows.csv")
        meter = ReplayMeter(tmp_path / "windows.csv")
        replayed = []
        for name in ("trial", "idle", "trial"):
            with meter.window(name) as reading:
                pass
            replayed.append(reading.result)
        assert replayed == [windows[1], windows[0], windows[2]]

    def test_runs_out(self, tmp_path):
        replay.record([Window("a", 1.0, reason="why")], tmp_path / "w.csv")
        meter = ReplayMeter(tmp_path / "w.csv")
        with meter.window("a"):
            pass
        with pytest.raises(DataError, match="no further window 'a'"), meter.window("a"):
            pass

    @pytest.mark.parametrize(
        "text", ["name,duration_s\na,x\n", "duration_s\n1\n", "name,duration_s,energy_j\na,1,nan\n"]
    )
    def test_damaged(self, tmp_path, text):
        (tmp_path / "w.csv").write_text(text)
        with pytest.raises(DataError, match="not a recording"):
            ReplayMeter(tmp_path / "w.csv")

    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="not a recording"):
            ReplayMeter(tmp_path / "none.csv")
