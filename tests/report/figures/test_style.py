"""The look of figures."""

from support.studies import load, make

from eventspeech.report import figures


def test_every_figure_is_labelled(study):
    for name in ("weightings", "inputs", "example", "mean_curves", "activity", "speakers", "profile"):
        figure = getattr(figures, name)(study)
        assert any("SYNTHETIC SPEECH, not SHD; 400 training samples" == entry.get_text() for entry in figure.texts)


def test_losses_keep_their_colours(study):
    looks = [figures.look(study, loss) for loss in study.losses]
    assert len({look["color"] for look in looks}) == len(looks) == len({look["linestyle"] for look in looks})


def test_many_losses_look_each_their_own(tmp_path):
    changes = {f"other_{i}": {"train": {"epochs": 1 + i}} for i in range(20)}
    study = load(tmp_path, make(tmp_path, losses=["exponential", *changes], changes=changes, seeds=[0]))
    assert len({str(figures.look(study, loss)) for loss in study.losses}) == 21
