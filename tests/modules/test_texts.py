"""Texts of files and folders are read in a fixed order, and what cannot be read is left out and named."""

import csv
import json

import pytest

from rhohat.modules.texts import Texts

HOSTILE = '</script><img src=x onerror=alert(1)> "\u202eright to left\u202c" \U0001f98a \x00 \u2028 \ufeff'


def pairs(paths, column=None):
    return [(name, text) for name, text in Texts(paths, column)]


def test_files_of_a_folder_are_read_in_the_order_of_their_names_without_hidden_ones(tmp_path):
    for name in ("b.md", "a/z.txt", "a/b.rst", "c.PY", "d.png", ".hidden.txt", ".git/x.txt", "e.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    found = pairs([tmp_path])
    assert found == [(str(tmp_path / name), name) for name in ("a/b.rst", "a/z.txt", "b.md", "c.PY")]
    assert pairs([tmp_path]) == found


def test_texts_are_kept_as_they_are(tmp_path):
    (tmp_path / "a.txt").write_bytes(HOSTILE.encode() + b"\r\n")
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfwith a mark")
    assert [text for _, text in pairs([tmp_path])] == [HOSTILE + "\n", "with a mark"]


def test_of_html_the_shown_text_is_read(tmp_path):
    page = (
        "<html><head><title>t</title><style>p {}</style></head><body><h1>One &amp; two</h1><p>Three <b>four</b>.</p>"
        "<script>run()</script><ul><li>five<li>six</ul></body></html>"
    )
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    assert pairs([tmp_path / "a.html"]) == [(str(tmp_path / "a.html"), "One & two\nThree four.\nfive\nsix")]


def write_json(path, values):
    path.write_text("\n".join(map(json.dumps, values)) + "\n\n", encoding="utf-8")


def write_csv(path, values):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerow(["id", "text"])
        writer.writerows([number, value["text"]] for number, value in enumerate(values))


def write_parquet(path, values):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(values), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.jsonl", write_json), ("a.csv", write_csv), ("a.tsv", write_csv), ("a.parquet", write_parquet)],
)
def test_a_column_of_a_table_is_read_row_by_row(tmp_path, name, write):
    values = [{"text": "one\ntwo, three"}, {"text": HOSTILE.replace("\x00", "")}, {"text": ""}]
    write(tmp_path / name, values)
    assert pairs([tmp_path / name]) == [
        (f"{tmp_path / name}:{number}", value["text"]) for number, value in enumerate(values, 1)
    ]
    assert pairs([tmp_path], "text") == pairs([tmp_path / name])
    missing = Texts([tmp_path / name], "other")
    assert list(missing) == []
    assert all("'other'" in reason for reason in missing.unreadable.values())


def test_tables_of_a_folder_are_read_only_if_a_column_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    write_json(tmp_path / "b.jsonl", [{"body": "y"}])
    assert [text for _, text in pairs([tmp_path])] == ["x"]
    assert [text for _, text in pairs([tmp_path], "body")] == ["x", "y"]


def test_what_cannot_be_read_is_left_out_with_the_reason(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b.txt").write_text("good")
    (tmp_path / "c.jsonl").write_text('{"text": "good"}\n{"text": 3}\n{broken\n{"other": 1}\n"bare"\n' + "[" * 99_999)
    (tmp_path / "d.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "e.csv").write_text('id,text\n1\n2,"x"\n')
    texts = Texts([tmp_path], "text")
    assert [text for _, text in texts] == ["good", "good", "bare", "x"]
    reasons = {name.removeprefix(f"{tmp_path}/"): why for name, why in texts.unreadable.items()}
    assert sorted(reasons) == ["a.txt", "c.jsonl:2", "c.jsonl:3", "c.jsonl:4", "c.jsonl:6", "d.parquet", "e.csv:1"]
    assert reasons["a.txt"].startswith("it is not UTF-8")
    assert reasons["c.jsonl:2"] == "its entry 'text' is not a text"
    assert reasons["c.jsonl:3"].startswith("it is not JSON")
    assert reasons["c.jsonl:4"] == "it has no entry 'text'; its entries are: other"
    assert reasons["d.parquet"].startswith("it is not a Parquet file")
    assert reasons["e.csv:1"] == "it has fewer cells than columns"


def test_missing_texts_of_parquet_are_passed_over(tmp_path):
    write_parquet(tmp_path / "a.parquet", [{"text": "x"}, {"text": None}, {"text": "y"}])
    texts = Texts([tmp_path / "a.parquet"])
    assert list(texts) == [(f"{tmp_path}/a.parquet:1", "x"), (f"{tmp_path}/a.parquet:3", "y")]
    assert texts.unreadable == {}


def test_other_files_and_empty_folders_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"a.png is not a file of texts by its name; texts are read from \.txt, \.md"):
        Texts([tmp_path / "a.png"])
    with pytest.raises(ValueError, match=r"has no file that ends in \.txt, .*; name the column of tables"):
        Texts([tmp_path])
    with pytest.raises(ValueError, match=r"has no file that ends in \.txt, .* \.parquet\.$"):
        Texts([tmp_path], "text")
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder .*missing"):
        Texts([tmp_path / "missing"])
