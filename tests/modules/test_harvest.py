"""A harvest has the activations of a direct computation, each once, and an index of their tokens."""

import json

import numpy as np
import pytest

import rhohat
from tests.modules.language_models import CONTEXT, texts, torch, write_texts
from tests.tolerances import FLOAT32

LAYERS = {"decoder": ["transformer.h.0", "transformer.h.1"], "encoder": ["encoder.layer.0", "encoder.layer.1"]}


@pytest.fixture(name="model", params=["decoder", "encoder"])
def model_in_a_folder(request):
    return request.getfixturevalue(request.param)


def harvest(small, folder, /, **settings):
    """Harvest with the settings that these tests share."""
    module, tokenizer = small.parts
    given = {"model": module, "texts": texts(), "layer": LAYERS[small.name][0], "tokenizer": tokenizer}
    given |= {"context": CONTEXT, "dtype": "float32", "batch_size": 4} | settings
    return rhohat.harvest(folder=folder, **given)


def rows_of(folder):
    with rhohat.open_rows(folder) as source:
        return source.read(0, len(source))


def expected(model, layer=0, made=None, keep=np.logical_not, choose=lambda rows: rows):
    """Return the rows of all texts by a direct computation, and where each comes from."""
    rows, places = [], []
    for name, text in made or texts():
        for number, (special, states) in enumerate(model.states(text, layer)):
            kept = np.flatnonzero(keep(special))
            rows.append(choose(states[kept]))
            places += [(name, number, int(place)) for place in kept]
    return np.concatenate(rows), places


def assert_rows(folder, rows):
    np.testing.assert_allclose(rows_of(folder), rows, rtol=FLOAT32, atol=1e-6)


def test_the_rows_are_those_of_a_direct_computation_in_the_order_of_the_texts(model, tmp_path):
    record = harvest(model, tmp_path / "h")
    rows, places = expected(model)
    assert_rows(tmp_path / "h", rows)
    index = rhohat.HarvestIndex(tmp_path / "h")
    assert index.n_rows == len(rows) == record.n_rows
    found = [index.text(text) for text in index.texts(np.arange(len(rows))).tolist()]
    assert [(one.name, one.window) for one in found] == [place[:2] for place in places]
    assert index.positions(np.arange(len(rows))).tolist() == [place[2] for place in places]
    assert record.content["ended"] == "texts"


def test_a_later_layer_is_harvested_as_well(encoder, tmp_path):
    harvest(encoder, tmp_path / "h", layer="encoder.layer.1")
    assert_rows(tmp_path / "h", expected(encoder, 1)[0])


def test_the_index_has_the_texts_as_they_stood(model, tmp_path):
    made = [("a", "The quick  brown\n\nfox,\tand dogs! "), ("b", "É …<script> 日本 \U0001f98a the cat")]
    harvest(model, tmp_path / "h", texts=made, context=12)
    index = rhohat.HarvestIndex(tmp_path / "h")
    _, tokenizer = model.parts
    special = set(tokenizer.all_special_tokens)
    for name, text in made:
        windows = [index.text(number) for number in range(index.n_texts) if index.text(number).name == name]
        shown = "".join(token for window in windows for token in window.tokens if token not in special)
        assert shown == text.rstrip() if model.name == "encoder" else shown == text
    ids = tokenizer(made[0][1])["input_ids"]
    assert len(index.text(0).tokens) == min(12, len(ids))


def test_hostile_texts_are_texts(model, tmp_path):
    made = [
        ("\udcff.txt", "half a pair \ud800 and the fox"),
        ("</script><img src=x onerror=alert(1)>", "</script>\u2028<img src=x onerror=alert(1)>\x00\n"),
        ("right to left", "\u202ethe fox\u202c \u05d0\u05d1 \ufeff\U0001f98a"),
        ("long", "x" * 3000),
    ]
    record = harvest(model, tmp_path / "h", texts=made)
    index = rhohat.HarvestIndex(tmp_path / "h")
    rows = np.arange(record.n_rows)
    assert set(index.names(rows)) == {"?.txt", *(name for name, _ in made[1:])}
    shown = "".join(index.text(0).tokens)
    assert "half a pair ? and the fox" in shown
    assert index.texts(rows).max() == record.n_texts - 1
    assert len(rows_of(tmp_path / "h")) == record.n_rows


def test_added_tokens_become_rows_if_they_are_wanted(encoder, tmp_path):
    harvest(encoder, tmp_path / "h", special_tokens=True)
    rows, _ = expected(encoder, keep=np.ones_like)
    assert_rows(tmp_path / "h", rows)
    assert rhohat.HarvestIndex(tmp_path / "h").tokens([0]) == ["[CLS]"]


@pytest.mark.parametrize(
    ("positions", "choose"),
    [("last", lambda rows: rows[-1:]), ("mean", lambda rows: rows.mean(axis=0, keepdims=True))],
)
def test_a_window_may_give_its_last_token_or_the_mean(model, tmp_path, positions, choose):
    record = harvest(model, tmp_path / "h", positions=positions)
    rows, places = expected(model, choose=choose)
    assert_rows(tmp_path / "h", rows)
    index = rhohat.HarvestIndex(tmp_path / "h")
    last = {place[:2]: place[2] for place in places}
    wanted = list(last.values()) if positions == "last" else [-1] * len(rows)
    assert index.positions(np.arange(record.n_rows)).tolist() == wanted


def test_several_layers_share_an_index(model, tmp_path):
    names = LAYERS[model.name]
    record = harvest(model, tmp_path / "both", layer=names)
    assert [layer.name for layer in record.layers] == names
    for name in names:
        harvest(model, tmp_path / name, layer=name)
        np.testing.assert_array_equal(rows_of(f"{tmp_path / 'both'}:/{name}"), rows_of(tmp_path / name))
    one, other = (rhohat.HarvestIndex(tmp_path / folder) for folder in ("both", names[0]))
    assert [one.text(number) for number in range(one.n_texts)] == [other.text(n) for n in range(other.n_texts)]


def test_the_input_of_a_layer_is_the_output_of_the_one_before(model, tmp_path):
    harvest(model, tmp_path / "in", layer=LAYERS[model.name][1], of="input")
    harvest(model, tmp_path / "out")
    np.testing.assert_array_equal(rows_of(tmp_path / "in"), rows_of(tmp_path / "out"))


def test_rows_are_stored_in_16_bits_by_default(decoder, tmp_path):
    harvest(decoder, tmp_path / "whole")
    module, tokenizer = decoder.parts
    given = {"context": CONTEXT, "batch_size": 4, "tokenizer": tokenizer}
    rhohat.harvest(module, texts(), tmp_path / "half", LAYERS["decoder"][0], **given)
    whole, half = rows_of(tmp_path / "whole"), rows_of(tmp_path / "half")
    assert half.dtype == np.float32
    np.testing.assert_array_equal(half, whole.astype(np.float16).astype(np.float32))
    sizes = [sum(path.stat().st_size for path in (tmp_path / name).rglob("rows-*")) for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batches_of_any_size_give_the_same_rows(model, tmp_path, batch_size):
    harvest(model, tmp_path / "h", batch_size=batch_size)
    assert_rows(tmp_path / "h", expected(model)[0])


def test_a_harvest_ends_with_the_text_that_reaches_the_wanted_number_and_goes_on_if_more_are_wanted(model, tmp_path):
    all_rows, _ = expected(model)
    record = harvest(model, tmp_path / "h", n_rows=40)
    assert 40 <= record.n_rows < 40 + CONTEXT
    assert record.content["ended"] == "rows"
    assert_rows(tmp_path / "h", all_rows[: record.n_rows])
    again = harvest(model, tmp_path / "h", n_rows=record.n_rows)
    assert again.content == record.content
    more = harvest(model, tmp_path / "h", n_rows=100)
    assert more.n_rows >= 100
    assert len(more.shards) == 2
    assert_rows(tmp_path / "h", all_rows[: more.n_rows])
    assert rhohat.HarvestIndex(tmp_path / "h").texts(np.arange(more.n_rows)).max() == more.n_texts - 1


def test_a_complete_harvest_goes_on_with_further_texts_after_the_others(decoder, tmp_path):
    harvest(decoder, tmp_path / "h", texts=texts()[:5])
    harvest(decoder, tmp_path / "h")
    assert_rows(tmp_path / "h", expected(decoder)[0])
    with pytest.raises(ValueError, match=r"the texts are not those that .* was begun with"):
        harvest(decoder, tmp_path / "h", texts=texts()[1:])
    with pytest.raises(ValueError, match=r"the texts are not those that .* was begun with"):
        harvest(decoder, tmp_path / "h", texts=texts()[:3])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"context": 8}, "with another context, which is 16 there, and 8 now; name another folder"),
        ({"positions": "last"}, "with another positions"),
        ({"layer": "transformer.h.1"}, "with another layer"),
        ({"dtype": "float16"}, "with another dtype, which is 'float32' there, and 'float16' now"),
        ({"outliers": 3}, "with another outliers, which is None there, and 3 now"),
        ({"of": "input"}, "with another of"),
    ],
)
def test_a_folder_with_another_harvest_is_refused(decoder, tmp_path, changed, said):
    harvest(decoder, tmp_path / "h", n_rows=10)
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "h").rglob("*"))
    with pytest.raises(ValueError, match=said):
        harvest(decoder, tmp_path / "h", **changed)
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "h").rglob("*")) == before


def test_another_model_is_told_by_its_weights(decoder, tmp_path):
    harvest(decoder, tmp_path / "h", n_rows=10)
    harvest(decoder, tmp_path / "h", n_rows=20, model=decoder.folder, tokenizer=None)
    module, _tokenizer = decoder.load()
    next(module.parameters()).data += 1e-3
    with pytest.raises(ValueError, match="a harvest with another model; name another folder"):
        harvest(decoder, tmp_path / "h", model=module)


def test_a_folder_with_something_else_is_refused(decoder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something else than a harvest"):
        harvest(decoder, tmp_path)
    with pytest.raises(ValueError, match=r"notes.txt is a file; name a folder"):
        harvest(decoder, tmp_path / "notes.txt")


def test_outliers_are_left_out_of_all_layers_and_counted(decoder, tmp_path):
    module, tokenizer = decoder.load()
    large = tokenizer(" fox", add_special_tokens=False)["input_ids"][-1]
    module.transformer.wte.weight.data[large] *= 1e4

    def large_elsewhere(_, __, output):
        small = torch.nn.functional.normalize(output, dim=-1)
        small[:, 2] *= 1e4
        return small

    module.transformer.h[1].register_forward_hook(large_elsewhere)
    settings = {"context": CONTEXT, "dtype": "float32", "tokenizer": tokenizer, "batch_size": 4}
    names = LAYERS["decoder"]
    all_of = rhohat.harvest(module, texts(), tmp_path / "all", names, **settings)
    record = rhohat.harvest(module, texts(), tmp_path / "h", names, outliers=10, **settings)
    rows = {name: rows_of(f"{tmp_path / 'all'}:/{name}") for name in names}
    norms = [np.linalg.norm(some.astype(np.float64), axis=1) for some in rows.values()]
    kept_of = [some <= 10 * np.median(some) for some in norms]
    kept = kept_of[0] & kept_of[1]
    assert all(0 < np.count_nonzero(kept) < np.count_nonzero(one) < len(kept) for one in kept_of)
    assert 0 < record.content["n_outliers"] == all_of.n_rows - record.n_rows == np.count_nonzero(~kept)
    for name, some in rows.items():
        np.testing.assert_array_equal(rows_of(f"{tmp_path / 'h'}:/{name}"), some[kept])
        assert record.content["medians"][name] == pytest.approx(np.median(np.linalg.norm(some, axis=1)), rel=FLOAT32)
    index, of_all = rhohat.HarvestIndex(tmp_path / "h"), rhohat.HarvestIndex(tmp_path / "all")
    assert index.tokens(np.arange(record.n_rows)) == of_all.tokens(np.flatnonzero(kept))


def test_a_large_activation_does_not_become_infinite_in_silence(decoder, tmp_path):
    module, tokenizer = decoder.load()
    module.transformer.wte.weight.data[:] = 1e6
    settings = {"context": CONTEXT, "tokenizer": tokenizer}
    with pytest.raises(
        ValueError, match=r"an activation of 1e\+06, which float16 cannot hold; pass dtype='float32', or"
    ):
        rhohat.harvest(module, texts(), tmp_path / "h", "transformer.wte", **settings)
    rhohat.harvest(module, texts(), tmp_path / "w", "transformer.wte", dtype="float32", **settings)
    module.transformer.wte.weight.data[:] = np.nan
    with pytest.raises(ValueError, match=r"'transformer.wte' has activations that are not finite, in a text of text 0"):
        rhohat.harvest(module, texts(), tmp_path / "n", "transformer.wte", **settings)


def test_a_layer_with_a_row_for_each_text_is_harvested_as_a_mean(encoder, tmp_path):
    with pytest.raises(ValueError, match="has one row for each text and not for each token; pass positions='mean'"):
        harvest(encoder, tmp_path / "h", layer="pooler")
    record = harvest(encoder, tmp_path / "h", layer="pooler", positions="mean")
    assert record.n_rows == record.n_texts


def test_the_disk_budget_is_checked_before_and_kept(decoder, tmp_path):
    each = 16 * 4 + 16
    with pytest.raises(
        ValueError, match=r"1,000 rows need about 80 kB, but the disk budget leaves 8 kB; pass at most n_rows=100\."
    ):
        harvest(decoder, tmp_path / "h", n_rows=1000, max_bytes=100 * each)
    assert not list((tmp_path / "h").rglob("*.safetensors"))
    record = harvest(decoder, tmp_path / "h", n_rows=200, max_bytes="16 kB")  # the index takes more than it seems
    assert record.content["ended"] == "bytes"
    assert 0 < record.n_rows < 200
    written = [path for path in (tmp_path / "h").rglob("*") if path.name.startswith(("rows", "index"))]
    assert sum(path.stat().st_size for path in written) <= 16_000
    rows = rows_of(tmp_path / "h")
    np.testing.assert_allclose(rows, expected(decoder)[0][: len(rows)], rtol=FLOAT32, atol=1e-6)
    more = harvest(decoder, tmp_path / "h", n_rows=200, max_bytes="1 MB")
    assert more.n_rows >= 200
    assert_rows(tmp_path / "h", expected(decoder)[0][: more.n_rows])


def test_a_full_disk_is_noticed_before_work_starts(decoder, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2**26 + 1000}))
    with pytest.raises(ValueError, match=r"but the disk leaves 1 kB; pass at most n_rows=12\."):
        harvest(decoder, tmp_path / "h", n_rows=1000)


def test_ctrl_c_keeps_what_was_reached_and_the_harvest_goes_on(model, tmp_path):
    states = []

    def interrupt(state):
        states.append(state)
        if len(states) == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harvest(model, tmp_path / "h", texts=texts(60), n_rows=100_000, batch_size=2, progress=interrupt)
    made, n_reached = texts(60), rhohat.HarvestIndex(tmp_path / "h").n_rows
    harvest(model, tmp_path / "h", texts=made)
    rows, _ = expected(model, made=made)
    assert_rows(tmp_path / "h", rows)
    assert 0 < n_reached < len(rows)
    assert [state.n_rows for state in states] == sorted(state.n_rows for state in states)
    assert states[0].n_wanted == 100_000


def test_a_complete_harvest_that_goes_on_and_is_interrupted_is_not_called_complete(decoder, tmp_path):
    def interrupt(_):
        raise KeyboardInterrupt

    harvest(decoder, tmp_path / "h", n_rows=20)
    assert json.loads((tmp_path / "h" / "harvest.json").read_text(encoding="utf-8"))["ended"] == "rows"
    with pytest.raises(KeyboardInterrupt):
        harvest(decoder, tmp_path / "h", texts=texts(60), n_rows=100_000, progress=interrupt)
    assert json.loads((tmp_path / "h" / "harvest.json").read_text(encoding="utf-8"))["ended"] is None


def test_a_module_without_parameters_is_harvested(encoder, tmp_path):
    """Each token becomes a row of its number and its square."""

    class Numbers(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Identity()

        def forward(self, input_ids, attention_mask):
            numbers = input_ids.float()
            return self.layer(torch.stack([numbers, numbers**2], -1))

    _, tokenizer = encoder.load()
    made = [("one", "some words of a text")]
    settings = {"tokenizer": tokenizer, "dtype": "float32", "context": CONTEXT}
    rhohat.harvest(Numbers(), made, tmp_path / "h", "layer", **settings)
    rows = rows_of(tmp_path / "h")
    assert len(rows) > 1
    np.testing.assert_array_equal(rows[:, 1], rows[:, 0] ** 2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"layer": "h.9"}, "no layer named 'h.9'"),
        ({"layer": []}, "at least one layer"),
        ({"n_rows": 0}, "n_rows must be a whole number of at least 1; got 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number of at least 1; got 2.5"),
        ({"positions": "first"}, "positions must be one of all, last, mean; got 'first'"),
        ({"dtype": "int8"}, "dtype must be one of float16, float32; got 'int8'"),
        ({"outliers": 0.5}, "outliers must be a number above 1, or None; got 0.5"),
        ({"of": "both"}, "of must be 'output' or 'input'; got 'both'"),
        ({"context": 65}, "context must be at most 64, the longest text that the model can see; got 65"),
        ({"max_bytes": "much"}, "max_bytes must be a number of bytes, or a string .*; got 'much'"),
        ({"model": "/", "precision": "int4"}, "precision must be one of float32, float16, bfloat16; got 'int4'"),
        ({"texts": ["/no/such/file.txt"]}, "there is no file or folder /no/such/file.txt"),
        ({"texts": [("a", 3)]}, r"texts must be paths, or pairs of a name and a text, .* got \('a', 3\)"),
        ({"texts": []}, "texts must name at least one file or folder"),
        ({"texts": [("a", ""), ("b", "")]}, "the texts hold no words"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(decoder, tmp_path, changed, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        harvest(decoder, tmp_path / "h", **changed)
    assert not (tmp_path / "h").exists() or not list((tmp_path / "h").iterdir())


def test_a_context_without_room_for_text_is_refused(encoder, tmp_path):
    with pytest.raises(ValueError, match="context must be at least 3, with room for the tokens that are added; got 2"):
        harvest(encoder, tmp_path / "h", context=2)


def test_a_module_needs_its_tokenizer(decoder, tmp_path):
    module, _tokenizer = decoder.load()
    with pytest.raises(ValueError, match="tokenizer must be given if model is a module"):
        rhohat.harvest(module, texts(), tmp_path / "h", "transformer.h.0")
    with pytest.raises(TypeError, match=r"module must be a torch.nn.Module; got .* int"):
        rhohat.harvest(3, texts(), tmp_path / "h", "transformer.h.0")
    with pytest.raises(ValueError, match=r"device must be None if model is a module, .* model.to\('cuda'\)"):
        rhohat.harvest(module, texts(), tmp_path / "h", "transformer.h.0", tokenizer=_tokenizer, device="cuda")
    with pytest.raises(ValueError, match="the tokenizer str does not say where in a text its tokens are"):
        rhohat.harvest(module, texts(), tmp_path / "h", "transformer.h.0", tokenizer="words")


def test_a_folder_that_is_written_by_another_process_is_refused(decoder, tmp_path):
    from rhohat.modules.harvest_writer import HarvestWriter

    other = HarvestWriter(tmp_path / "h", {"dtype": "float32"}, "other")
    with other, pytest.raises(ValueError, match="another process is writing a harvest to"):
        harvest(decoder, tmp_path / "h")


def test_files_that_cannot_be_read_are_left_out_and_named(decoder, tmp_path):
    folder = write_texts(tmp_path / "texts", texts())
    (folder / "001.txt").write_bytes(b"\xff\xfe caf\xe9")
    with pytest.warns(UserWarning, match=r"1 text could not be read, and is left out: .*001.txt: it is not UTF-8"):
        harvest(decoder, tmp_path / "h", texts=folder)
    left = [text for number, text in enumerate(texts()) if number != 1]
    assert_rows(tmp_path / "h", expected(decoder, made=left)[0])
