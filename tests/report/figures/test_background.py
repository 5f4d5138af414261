"""Figures of the background, and how they look on a phone."""

import copy
import dataclasses

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from eventspeech.report import figures
from eventspeech.report.figures import background, style


@pytest.mark.parametrize("tau_syn_ms", [5.0, 20.0])
def test_the_computed_output_solves_its_equations(tau_syn_ms):
    times = np.linspace(0, 100, 11)
    found = solve_ivp(
        lambda _, y: [(y[1] - y[0]) / 20.0, -y[1] / tau_syn_ms],
        (0, 100),
        [0.0, 1.0],
        t_eval=times,
        rtol=1e-9,
        atol=1e-12,
    )
    np.testing.assert_allclose(background.response(times, 20.0, tau_syn_ms), found.y[0], atol=1e-8)
    assert np.all(background.response(np.array([-5.0]), 20.0, tau_syn_ms) == 0), "nothing before the spike"


def with_voltage(study, end):
    """The results whose first example of the exponential loss ends at this share of its peak."""
    shown = copy.deepcopy(study.examples)
    voltage = shown["exponential"]["output_voltage"]
    for data in shown.values():
        data["output_voltage"][:] = 0
        data["output_voltage"][:, 500] = 10
    voltage[0, -1, 3] = 10 * end
    return dataclasses.replace(study, examples=shown)


@pytest.mark.parametrize(("end", "told"), [(0.4, "40 % of its peak"), (0.03, "cuts off next to nothing")])
def test_the_most_cut_example_says_whether_anything_is_cut(study, end, told):
    changed = with_voltage(study, end)
    assert background.most_cut(changed)[:3] == ("exponential", 0, 3)
    computed, shown = figures.cut_off(changed).axes
    assert told in shown.get_title("left") and "computed: " in computed.get_title("left")


def test_weights_of_the_study_look_as_they_do_elsewhere(study):
    lines = {line.get_label().split(" ")[0]: line for line in figures.shapes(study).axes[0].lines}
    assert set(lines) == {"sum", "exponential", "linear", "gaussian", "bell", "sigmoid"}
    for loss in study.losses:
        assert (
            lines[loss].get_color() == style.look(study, loss)["color"] and "in this study" in lines[loss].get_label()
        )
    assert "in this study" not in lines["bell"].get_label()


def test_a_silent_hidden_layer_says_so(study):
    shown = copy.deepcopy(study.examples)
    shown["gaussian"] |= {"hidden_offsets": np.array([0, 0, 0])}
    axes = figures.early_spikes(dataclasses.replace(study, examples=shown)).axes
    assert [text.get_text() for panel in axes for text in panel.texts] == ["no hidden spike"]


def test_on_a_phone_panels_stand_in_one_column_and_each_has_its_labels(study):
    with figures.for_phones():
        figure = figures.example(study)
        for name in ("differences", "profile", "speakers", "confusion"):
            arguments = [study, "gaussian"] if name == "confusion" else [study]
            assert getattr(figures, name)(*arguments).get_size_inches()[0] == style.NARROW
    boxes = [axes.get_position() for axes in figure.axes]
    assert len({round(box.x0, 2) for box in boxes}) == 1 and figure.get_size_inches()[0] == style.NARROW
    assert len({round(box.y0, 3) for box in boxes}) == len(boxes) == 6
    assert all(axes.get_ylabel() and axes.get_xlabel() for axes in figure.axes)
    tops = sorted(figure.axes, key=lambda axes: -axes.get_position().y0)
    assert [axes.get_ylabel() for axes in tops] == ["input channel", "hidden neuron", "output voltage"] * 2
