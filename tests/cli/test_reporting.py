"""`report` on the texts that rows come from: lines, tokens, and the folder of a harvest."""

import json

import numpy as np
import pytest

import rhohat
from tests.data.test_harvested import write
from tests.inspection.reporting.pages import column_of, record_of

SHARDS = [
    [
        (f"{part}-{number}.txt", [f" word{(7 * number + at) % 50}" for at in range(9)], [1, 2, 3, 5, 8])
        for number in range(40)
    ]
    for part in "ab"
]
N_ROWS = 400


@pytest.fixture
def harvest(tmp_path):
    """The folder of a harvest of 400 rows, and a dictionary in a file that has learned from them."""
    write(tmp_path / "h", "float32", {"a": 6, "b/c": 6}, SHARDS)
    solver = rhohat.Adam(batch_size=50, learning_rate=1e-2)
    with rhohat.open_rows(tmp_path / "h:/a") as rows:
        dictionary = rhohat.TopKAutoencoder(10, k=2, max_iter=2, random_state=0, solver=solver).fit(rows)
        np.save(tmp_path / "rows.npy", rows.read(0, N_ROWS))
    rhohat.save(dictionary, tmp_path / "m")
    return tmp_path / "h"


def page_of(tmp_path):
    return (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("data", ["h:/a", "h/a", "h:/b/c"])
def test_rows_of_a_harvest_are_shown_in_their_texts(data, run, harvest, tmp_path):
    run("report", "m", data)
    page = page_of(tmp_path)
    known = record_of(page)["contexts"]
    assert set(known["vocabulary"]) <= {token for shard in SHARDS for _, tokens, _ in shard for token in tokens}
    assert {"a-0.txt", "b-1.txt"} <= set(known["names"])
    assert column_of(page, "withRow").mean() < 0.8  # five of nine tokens, near those that are shown
    assert repr(rhohat.report(rhohat.load("m"), str(tmp_path / data), image_shape=None)).startswith("<page of")
    assert record_of(rhohat.report(rhohat.load("m"), str(tmp_path / data)))["contexts"] == known
    run("report", "m", data, "--rows", "200:400")
    names = record_of(page_of(tmp_path))["contexts"]["names"]
    assert all(name.startswith("b-") for name in names)


@pytest.mark.parametrize(
    ("name", "lines", "token_of"),
    [
        ("texts.txt", [f"line {number}" for number in range(N_ROWS)], lambda row: f"line {row}"),
        ("texts.jsonl", [json.dumps(f"a\n{number}") for number in range(N_ROWS)], lambda row: f"a\n{row}"),
        (
            "texts.jsonl",
            [json.dumps([f"a{number}", f" b{number}"]) for number in range(N_ROWS // 2)],
            lambda row: f"{('a', ' b')[row % 2]}{row // 2}",
        ),
        ("texts.jsonl", [json.dumps({"tokens": ["x"], "text": 1})] * N_ROWS, lambda row: "x"),
        ("texts.jsonl", [json.dumps({"text": "y"})] * N_ROWS, lambda row: "y"),
    ],
)
def test_texts_are_read_from_files(name, lines, token_of, run, harvest, tmp_path):
    (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    run("report", "m", "rows.npy", "--texts", name, "--tabular")
    page = page_of(tmp_path)
    numbers = column_of(page, "tokens")[column_of(page, "contextPlaces")]
    shown = [record_of(page)["contexts"]["vocabulary"][number] for number in numbers]
    assert shown == [token_of(row) for row in column_of(page, "contextRows").tolist()]
    assert len(shown) >= 5


def test_the_texts_may_be_those_of_a_harvest_elsewhere(run, harvest, tmp_path):
    run("report", "m", "rows.npy", "--texts", "h")
    assert "a-0.txt" in record_of(page_of(tmp_path))["contexts"]["names"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1, 2]\n", "line 1 must be a string, a list of tokens"),
        ('"a"\n{"other": 1}\n', "line 2 must be a string"),
        ('"a"\n{\n', "line 2: this is not JSON"),
        ("[" * 100_000, "line 1: this is not JSON"),
        ('"a"\n', "texts must be about the 400 rows"),
    ],
)
def test_texts_that_cannot_be_used_are_refused(content, said, invoke, harvest, tmp_path):
    (tmp_path / "texts.jsonl").write_text(content)
    result = invoke("report", "m", "rows.npy", "--texts", "texts.jsonl")
    assert result.exit_code != 0
    assert said in result.output
    assert not (tmp_path / "report.html").exists()


@pytest.fixture
def second(harvest, tmp_path):
    """A second dictionary of the same rows, in the file m2."""
    solver = rhohat.Adam(batch_size=50, learning_rate=1e-2)
    how = {"k": 2, "max_iter": 2, "random_state": 1, "solver": solver}
    rhohat.save(rhohat.TopKAutoencoder(8, **how).fit(np.load(tmp_path / "rows.npy")), tmp_path / "m2")


@pytest.mark.parametrize(
    "command", [("report", "m", "h:/a", "--compare", "m2"), ("match", "m", "m2", "--data", "h:/a")]
)
def test_a_page_shows_two_dictionaries(command, run, second, tmp_path):
    said = run(*command, *(("--report", "report.html") if command[0] == "match" else ()))
    assert "wrote report.html: open it in a browser" in said
    page = page_of(tmp_path)
    expected = rhohat.report(rhohat.load("m"), str(tmp_path / "h:/a"), compare=rhohat.load("m2"))
    assert record_of(page)["other"] == record_of(expected)["other"]
    assert column_of(page, "partners").tolist() == column_of(expected, "partners").tolist()
    assert record_of(page)["contexts"] == record_of(expected)["contexts"]


def test_a_page_of_a_match_needs_rows_and_two_dictionaries(invoke, run, second, images, tmp_path):
    result = invoke("match", "m", "m2", "--report", "report.html")
    assert result.exit_code == 2
    assert "--data" in result.output
    result = invoke("match", "m", "m2", "--report", "m2.html", "--data", "no.npy")
    assert result.exit_code == 1
    np.save("six.npy", np.random.default_rng(0).random((30, 6)))
    run("train", "six.npy", "-o", "network.safetensors", "--hidden", "3", "--max-iter", "5", "--quiet")
    result = invoke("match", "m", "network.safetensors", "--report", "report.html", "--data", "rows.npy")
    assert "compare must be a dictionary" in result.output
    assert not (tmp_path / "report.html").exists()


def test_a_folder_has_further_pages_where_one_page_would_be_too_large(run, invoke, harvest, tmp_path, monkeypatch):
    from rhohat.inspection.reporting.dictionaries import DictionaryContent

    whole = run("report", "m", "h:/a")
    assert whole == "wrote report.html: open it in a browser\n"
    monkeypatch.setattr(DictionaryContent, "most_bytes", (tmp_path / "report.html").stat().st_size - 6000)
    said = run("report", "m", "h:/a", "-o", "pages")
    assert said == "wrote pages: open pages/index.html in a browser; 1 further page is in the folder\n"
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["index.html", "latents-00000.html"]
    said = run("report", "m", "h:/a", "-o", "page.html")
    assert said.startswith("wrote page.html: open it in a browser. Up to")
    assert said.endswith("pass a folder as --output to have them.\n")
    (tmp_path / "pages" / "mine.txt").write_text("mine")
    result = invoke("report", "m", "h:/a", "-o", "pages")
    assert result.exit_code == 1
    assert "such as mine.txt" in result.output
    assert "or name a folder" in invoke("report", "m", "h:/a", "-o", "page.pdf").output


def test_rows_are_shown_as_the_images_that_they_come_from(run, harvest, tmp_path):
    from skimage.io import imsave

    (tmp_path / "images").mkdir()
    imsave(tmp_path / "images" / "a.png", np.zeros((9, 9), np.uint8), check_contrast=False)
    (tmp_path / "list.txt").write_text("images/a.png\n" * N_ROWS)
    run("report", "m", "rows.npy", "--images", "list.txt", "--tabular")
    assert record_of(page_of(tmp_path))["image"] == {"height": 64, "width": 64}
    np.save(tmp_path / "one.npy", np.load(tmp_path / "rows.npy")[:1])
    run("report", "m", "one.npy", "--images", "images", "--tabular")
    assert column_of(page_of(tmp_path), "pictured").tolist() == [0]
