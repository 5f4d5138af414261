"""Figures of what goes in."""

from support import fake_results
from support.studies import compare, load

from eventspeech.report import figures


def test_losses_without_a_weight_are_named_and_not_drawn(tmp_path):
    chosen = fake_results.params(losses=["exponential", "max", "first_spike"], seeds=[0, 1])
    fake_results.study(tmp_path, chosen)
    compare(tmp_path, chosen)
    study = load(tmp_path, chosen)
    figure = figures.weightings(study)
    names = [entry.get_text() for entry in figure.legends[0].get_texts()]
    assert names == [
        "exponential (mean 0.632)",
        "max (no weight: maximum of the voltage)",
        "first spike (no weight: time of the first spike)",
    ]
    assert [len(line.get_xdata()) > 0 for line in figure.axes[0].lines] == [True, False, False]
    assert not study.same_mean_weight("max")
    for name in ("example", "mean_curves", "activity", "differences"):
        getattr(figures, name)(study)
