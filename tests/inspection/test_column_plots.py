"""What units of models of tables look for, as bars over named columns."""

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rhohat import (
    LSTM,
    AutoencoderDetector,
    RecurrentAutoencoder,
    SparseAutoencoder,
    TopKAutoencoder,
    plot_columns,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def _figures_are_closed(monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *args, **kwargs: pytest.fail("show was called"))
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def wine():
    """The table of wines, with names of its 13 columns."""
    return load_wine(as_frame=True).data


@pytest.fixture(scope="module")
def model(wine):
    """A pipeline with four units that was fitted to the table of wines."""
    autoencoder = SparseAutoencoder(n_components=4, max_iter=5, random_state=0)
    return make_pipeline(StandardScaler(), autoencoder).fit(wine)


def bars(ax):
    """The names and lengths of the bars of a unit, from the top."""
    names = [label.get_text() for label in ax.get_yticklabels()]
    return list(zip(names, [bar.get_width() for bar in ax.patches], strict=True))


def test_each_unit_has_a_bar_for_each_of_its_largest_weights_with_its_sign(model, wine):
    figure = plot_columns(model, n_columns=5)
    assert [ax.get_title() for ax in figure.axes] == ["unit 0", "unit 1", "unit 2", "unit 3"]
    for ax, direction in zip(figure.axes, model[-1].maximal_inputs(), strict=True):
        order = np.argsort(-np.abs(direction))[:5]
        assert [width for _, width in bars(ax)] == pytest.approx(direction[order])
        shown = [name.partition("…") for name, _ in bars(ax)]
        for (begin, _, end), name in zip(shown, wine.columns[order], strict=True):
            assert name.startswith(begin)
            assert name.endswith(end)
        colours = [bar.get_facecolor() for bar in ax.patches]
        assert [colour == pytest.approx(colours[0]) for colour in colours] == [
            (one > 0) == (direction[order[0]] > 0) for one in direction[order]
        ]
    assert len({ax.get_xlim() for ax in figure.axes}) == 1


def test_a_dictionary_has_latents_whose_directions_are_those_of_the_decoder(wine):
    dictionary = TopKAutoencoder(n_components=40, k=3, max_iter=1, random_state=0).fit(wine.to_numpy(np.float32))
    figure = plot_columns(dictionary, units=[7, 3], n_columns=13)
    assert [ax.get_title() for ax in figure.axes] == ["latent 7", "latent 3"]
    names, widths = zip(*bars(figure.axes[0]), strict=True)
    columns = [int(name.removeprefix("column ")) for name in names]
    assert widths == pytest.approx(dictionary.components_[7, columns])
    figure = plot_columns(dictionary)
    assert [ax.get_title() for ax in figure.axes][:3] == ["latent 0", "latent 1", "latent 3"]
    assert len(figure.axes) == 25


def test_a_detector_shows_the_units_of_its_autoencoder(wine):
    detector = AutoencoderDetector(SparseAutoencoder(n_components=3, max_iter=3, random_state=0)).fit(wine)
    names = {name for ax in plot_columns(detector).axes for name, _ in bars(ax)}
    assert "alcohol" in names


def test_weights_that_are_0_have_no_bar_and_long_names_keep_both_ends():
    names = ["a_very_long_name_of_the_country_France", "a_very_long_name_of_the_country_Spain", "c"]
    figure = Figure()
    assert plot_columns([[0.0, -0.5, 0.2], [0.0, 0.0, 0.0]], names, figure=figure) is figure
    assert bars(figure.axes[0]) == [("a_very_long_n…ountry_Spain", -0.5), ("c", 0.2)]
    assert bars(figure.axes[1]) == []
    assert [text.get_text() for text in figure.axes[1].texts] == ["all weights are 0"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": [4]}, "units must be numbers from 0 to 3; got"),
        ({"units": []}, "units must be numbers from 0 to 3; got"),
        ({"names": ["a", "b"]}, "names must be as many as the 13 columns, and n_columns must be >= 1; got 2 names"),
        ({"n_columns": 0}, "n_columns must be >= 1; got 13 names and n_columns=0"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message, model):
    with pytest.raises(ValueError, match=message):
        plot_columns(model, **settings)


def test_other_models_and_arrays_are_refused(wine):
    with pytest.raises(ValueError, match=r"without NaN or infinity; got an array of shape \(1, 2\)"):
        plot_columns([[1.0, np.nan]])
    with pytest.raises(NotFittedError):
        plot_columns(SparseAutoencoder())
    walks = [np.sin(np.arange(length) / 2)[:, None] for length in (6, 9)]
    walker = RecurrentAutoencoder(layers=[LSTM(3)], max_iter=1, tol=10, random_state=0).fit(walks)
    with pytest.raises(ValueError, match="are sequences, which have no columns; use plot_activations"):
        plot_columns(walker)
