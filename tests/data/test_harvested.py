"""The folder of a harvest: its rows are read block by block, and its index says which token each row belongs to."""

import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

import rhohat
from rhohat.data.harvest_folder import FORMAT, folder_of_layer, index_name, rows_name
from rhohat.data.harvested import HarvestIndex, IndexedText, index_line

TEXTS = [  # of two shards; the tokens of a text, and the places of those that have rows
    [("a.txt", ["[CLS]", "The", " cat", " sat", "[SEP]"], [1, 2, 3]), ("b.txt", ["[CLS]", "Ω", "\n\n</script>"], [2])],
    [("b.txt", ["x"], [0]), ("a.txt", [" A", " long", " one", ".", " B"], [0, 1, 3, 4])],
]
FLAT = [text for shard in TEXTS for text in shard]
LAYERS = {"encoder.layer.3": 4, "a/b": 3}


def write(folder, dtype="float16", layers=LAYERS, shards=TEXTS):
    """Write a harvest by hand, and return the rows of each layer."""
    folder.mkdir(exist_ok=True)
    draw, made = np.random.default_rng(0), {name: [] for name in layers}
    text = row = 0
    for number, shard in enumerate(shards):
        lines = []
        for name, tokens, positions in shard:
            lines.append(index_line(IndexedText(text, name, 0, row, positions, tokens)))
            text, row = text + 1, row + len(positions)
        (folder / index_name(number)).write_text("".join(lines), encoding="utf-8")
        for name, n_features in layers.items():
            rows = draw.normal(size=(sum(len(places) for _, _, places in shard), n_features)).astype(dtype)
            (folder / folder_of_layer(name)).mkdir(exist_ok=True)
            save_file({"rows": rows}, folder / folder_of_layer(name) / rows_name(number))
            made[name].append(rows)
    record = {
        "format": FORMAT,
        "model": "tiny",
        "dtype": dtype,
        "layers": [{"name": name, "folder": folder_of_layer(name), "n_features": n} for name, n in layers.items()],
        "shards": [{"n_rows": sum(len(p) for *_, p in shard), "n_texts": len(shard)} for shard in shards],
    }
    (folder / "harvest.json").write_text(json.dumps(record), encoding="utf-8")
    return {name: np.concatenate(rows) for name, rows in made.items() if rows}


@pytest.mark.parametrize("name", ["{}:/a/b", "{}:a/b", "{}:/a%2Fb", "{}/a%2Fb"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_rows_of_a_layer_are_read_as_float32_whatever_they_are_stored_as(tmp_path, name, dtype):
    rows = write(tmp_path / "h", dtype)["a/b"]
    with rhohat.open_rows(name.format(tmp_path / "h")) as source:
        assert source.shape == (9, 3)
        assert source.dtype == np.float32
        np.testing.assert_array_equal(source.read(0, 9), rows.astype(np.float32))
        np.testing.assert_array_equal(source.read(3, 6), rows[3:6])
        np.testing.assert_array_equal(source.take(np.array([8, 0, 4])), rows[[8, 0, 4]])
        with pickle.loads(pickle.dumps(source.origin))() as again:  # noqa: S301 - our own bytes
            assert again.shape == (9, 3)


def test_a_harvest_of_one_layer_is_a_source_itself_and_columns_can_be_chosen(tmp_path):
    rows = write(tmp_path / "h", layers={"only": 4})["only"]
    with rhohat.open_rows(tmp_path / "h", columns=[2, 0]) as source:
        np.testing.assert_array_equal(source.read(0, 9), rows[:, [2, 0]])


def test_a_dictionary_learns_from_the_rows_of_a_harvest(tmp_path):
    write(tmp_path / "h", layers={"only": 6})
    dictionary = rhohat.TopKAutoencoder(n_components=4, k=2, max_iter=1, random_state=0)
    with rhohat.open_rows(tmp_path / "h") as rows:
        dictionary.fit(rows)
    assert dictionary.n_features_in_ == 6


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{}", r"holds the activations of 2 layers: encoder.layer.3, a/b. Name one, as in .*h:/encoder.layer.3\."),
        ("{}:/c", r"no activations of a layer '/c'; its layers are encoder.layer.3, a/b. Name one as in .*h:/encoder"),
    ],
)
def test_one_of_several_layers_must_be_named(tmp_path, name, said):
    write(tmp_path / "h")
    with pytest.raises(ValueError, match=said):
        rhohat.open_rows(name.format(tmp_path / "h"))


def test_a_harvest_without_rows_yet_says_so(tmp_path):
    write(tmp_path / "h", shards=[], layers={"only": 3})
    with pytest.raises(ValueError, match="has no rows yet"):
        rhohat.open_rows(tmp_path / "h")
    assert HarvestIndex(tmp_path / "h").n_rows == 0


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.unlink(), r"rows-00001.safetensors is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "truncated"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: save_file({"rows": np.zeros((5, 3), np.float32)}, path), r"shape \(5, 3\) and the dtype float16"),
        (lambda path: save_file({"other": np.zeros((5, 3), np.float16)}, path), "should hold an array 'rows'"),
    ],
)
def test_a_damaged_file_of_rows_is_refused_by_name(tmp_path, harm, said):
    write(tmp_path / "h", layers={"only": 3})
    harm(tmp_path / "h" / "only" / rows_name(1))
    with pytest.raises(ValueError, match=said):
        rhohat.open_rows(tmp_path / "h")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": "rhohat harvest 9"}, "has the format 'rhohat harvest 9', but this version .* 'rhohat harvest 1'"),
        ({"layers": []}, "must name at least one layer"),
        ({"layers": [{"name": "x", "folder": "../x", "n_features": 3}]}, r"simple name; it is '\.\./x'"),
        ({"layers": [{"name": "x", "n_features": 3}]}, "the entry 'folder' is missing"),
        ({"layers": [{"name": 3, "folder": "x", "n_features": 3}]}, "a name must be a string; it is 3"),
        ({"layers": [{"name": "x", "folder": "x", "n_features": 0}]}, "at least 1; it is 0"),
        ({"shards": [{"n_rows": 2.5, "n_texts": 1}]}, "a count must be a whole number of at least 1; it is 2.5"),
        ({"shards": 4}, "is damaged"),
        ({"dtype": "object"}, "the dtype must be float16 or float32; it is 'object'"),
        ({"model": None}, "a name must be a string; it is None"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path, changed, said):
    write(tmp_path / "h")
    path = tmp_path / "h" / "harvest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    for use in (HarvestIndex, rhohat.open_rows):
        with pytest.raises(ValueError, match=rf"harvest\.json .*{said}"):
            use(tmp_path / "h")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"format": '])
def test_a_record_that_is_no_json_object_is_refused(tmp_path, content):
    (tmp_path / "harvest.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"harvest.json is damaged"):
        HarvestIndex(tmp_path)


def test_a_folder_that_is_no_harvest_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not the folder of a harvest: it has no file harvest.json"):
        HarvestIndex(tmp_path)


@pytest.fixture(name="index")
def index_by_hand(tmp_path):
    write(tmp_path / "h")
    return HarvestIndex(tmp_path / "h")


def test_every_row_has_its_text_position_token_and_name(index):
    known = [(text, place, tokens[place], name) for text, (name, tokens, places) in enumerate(FLAT) for place in places]
    rows = np.arange(9)
    found = zip(
        index.texts(rows).tolist(), index.positions(rows).tolist(), index.tokens(rows), index.names(rows), strict=True
    )
    assert list(found) == known
    assert (len(index), index.n_texts) == (9, 4)


def test_rows_are_looked_up_in_any_order_and_shape(index):
    np.testing.assert_array_equal(index.texts([[8, 0], [3, 3]]), [[3, 0], [1, 1]])
    np.testing.assert_array_equal(index.positions(np.array([5, 4, 3], np.uint8)), [0, 0, 2])
    assert index.texts(4) == 2
    assert index.texts([]).shape == (0,)


@pytest.mark.parametrize("row", [-1, 9])
def test_a_row_that_is_not_there_is_refused(index, row):
    for look_up in (index.texts, index.positions, index.tokens, index.names):
        with pytest.raises(IndexError, match=rf"has 9 rows; there is no row {row}\."):
            look_up([0, row])
    with pytest.raises(IndexError, match="there is no row"):
        index.context(row)
    with pytest.raises(IndexError, match=r"has 4 texts; there is no text 4\."):
        index.text(4)
    with pytest.raises(TypeError, match="rows must be whole numbers; got an array of float64"):
        index.texts([0.5])


@pytest.mark.parametrize(
    ("row", "before", "after", "tokens", "marked", "rows"),
    [
        (7, 20, 20, (" A", " long", " one", ".", " B"), 3, [5, 6, -1, 7, 8]),
        (7, 1, 0, (" one", "."), 1, [-1, 7]),
        (7, 0, 5, (".", " B"), 0, [7, 8]),
        (0, 1, 1, ("[CLS]", "The", " cat"), 1, [-1, 0, 1]),
        (4, 5, 5, ("x",), 0, [4]),
    ],
)
def test_the_tokens_around_a_row_are_shown_with_the_rows_that_they_have(
    index, row, before, after, tokens, marked, rows
):
    found = index.context(row, before, after)
    assert (found.row, found.tokens, found.marked, found.rows.tolist()) == (row, tokens, marked, rows)
    assert found.name == index.names(row)[0]
    assert found.tokens[found.marked] == index.tokens(row)[0]


def test_a_row_of_a_whole_text_has_no_token(tmp_path):
    write(tmp_path / "h", shards=[[("a", ["one", " two"], [-1]), ("b", [], [-1])]])
    index = HarvestIndex(tmp_path / "h")
    found = index.context(0, 0, 0)
    assert (found.position, found.marked, found.tokens, found.rows.tolist()) == (-1, -1, ("one",), [-1])
    assert index.tokens([0, 1]) == ["", ""]
    assert index.context(1).tokens == ()


GOOD = {"text": 0, "name": "a", "window": 0, "first_row": 0, "positions": [0, 1], "tokens": ["x", "y"]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "in line 1: it is not the JSON of a text"),
        ("[" * 100_000, "in line 1: it is not the JSON of a text"),
        ("3", "in line 1: it is not the JSON of a text"),
        ({**GOOD, "positions": [1, 1]}, "ascending places of its tokens"),
        ({**GOOD, "positions": [0, 2]}, "ascending places of its tokens"),
        ({**GOOD, "positions": [-1, 0]}, "ascending places of its tokens"),
        ({**GOOD, "positions": []}, "positions are not whole numbers"),
        ({**GOOD, "positions": [0, True]}, "positions are not whole numbers"),
        ({**GOOD, "tokens": ["x", 3]}, "its tokens are not strings"),
        ({**GOOD, "name": None}, "an entry has the wrong type"),
        ({**GOOD, "first_row": 1}, "does not follow those before"),
        ({**GOOD, "text": 1}, "does not follow those before"),
        ({**GOOD, "positions": [0]}, "it has 1 rows of 1 texts, but the harvest has 2 rows of 1 texts there"),
        ({name: GOOD[name] for name in GOOD if name != "tokens"}, "tokens"),
    ],
)
def test_a_damaged_index_is_refused_with_its_line(tmp_path, line, said):
    write(tmp_path / "h", shards=[[("a", ["x", "y"], [0, 1])]])
    text = line if isinstance(line, str) else json.dumps(line)
    (tmp_path / "h" / index_name(0)).write_text(text + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"index-00000.jsonl is damaged.*{said}"):
        HarvestIndex(tmp_path / "h").texts(0)


def test_a_missing_or_short_index_is_refused(tmp_path):
    write(tmp_path / "h")
    (tmp_path / "h" / index_name(1)).write_text("", encoding="utf-8")
    index = HarvestIndex(tmp_path / "h")
    assert index.names(0) == ["a.txt"]
    with pytest.raises(ValueError, match="it has 0 rows of 0 texts, but the harvest has 5 rows of 2 texts"):
        index.names(4)
    (tmp_path / "h" / index_name(1)).unlink()
    with pytest.raises(ValueError, match=r"index-00001.jsonl is missing"):
        index.names(4)


def test_names_of_layers_become_names_of_folders_of_their_own():
    names = ["", "module", "module itself", "a", "a/b", "a%2Fb", "..", ".hidden", "encoder.layer.3", "ä b", "A\\B"]
    folders = [folder_of_layer(name) for name in names]
    assert len(set(folders)) == len(names)
    assert not any("/" in folder or "\\" in folder or folder.startswith(".") for folder in folders)
