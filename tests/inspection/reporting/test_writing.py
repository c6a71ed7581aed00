"""Pages appear whole or not at all, in a file or in a folder."""

import os

import pytest

from rhohat.inspection.reporting.writing import INDEX, Page, is_folder, writing


def pages(n):
    return ((f"latents-{number:05}.html", f"page {number}") for number in range(n))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "expected"), [("a.html", False), ("a.HTM", False), ("a", True), ("a.b", True), (None, False)]
)
def test_a_path_without_the_ending_of_a_page_is_a_folder(name, expected, tmp_path):
    assert is_folder(None if name is None else tmp_path / name) == expected
    (tmp_path / "folder.html").mkdir()
    assert is_folder(tmp_path / "folder.html")


def test_a_folder_has_an_index_and_further_pages(tmp_path):
    with writing(tmp_path / "r") as write:
        assert write("first", pages(2)) == (str(tmp_path / "r" / INDEX), 2)
        assert not (tmp_path / "r").exists()
    assert names(tmp_path) == ["r"]
    assert names(tmp_path / "r") == ["index.html", "latents-00000.html", "latents-00001.html"]
    assert (tmp_path / "r" / INDEX).read_text() == "first"
    mode = os.stat(tmp_path / "r").st_mode
    (tmp_path / "other").mkdir()
    assert mode == os.stat(tmp_path / "other").st_mode


def test_an_older_folder_of_pages_is_replaced_as_a_whole(tmp_path):
    for n in (3, 1):
        with writing(tmp_path / "r") as write:
            write(f"index of {n}", pages(n))
    assert names(tmp_path) == ["r"]
    assert names(tmp_path / "r") == ["index.html", "latents-00000.html"]
    assert (tmp_path / "r" / INDEX).read_text() == "index of 1"


@pytest.mark.parametrize("path", ["r", "r.html"])
def test_what_was_there_stays_if_the_work_fails(path, tmp_path):
    with writing(tmp_path / path) as write:
        write("old", pages(1))
    before = names(tmp_path)

    def failing():
        yield "latents-00000.html", "half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), writing(tmp_path / path) as write:
        list(failing()) if path == "r.html" else write("new", failing())
    assert names(tmp_path) == before
    old = tmp_path / path if path == "r.html" else tmp_path / path / INDEX
    assert old.read_text() == "old"


def test_folders_with_other_files_are_left_alone(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(FileExistsError, match=r"has files that are no pages of a report, such as thesis\.txt"),
        writing(tmp_path / "r"),
    ):
        pytest.fail("the work has begun")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError, match=r"must end in \.html or name a folder"), writing(tmp_path / "file"):
        pytest.fail("the work has begun")
    with pytest.raises(FileNotFoundError, match="there is no folder"), writing(tmp_path / "no" / "r"):
        pytest.fail("the work has begun")
    assert names(tmp_path) == ["file", "r"]


def test_the_representation_of_a_page_says_where_it_is_and_what_is_left_out():
    assert repr(Page("abc")) == "<page of 3 characters>"
    assert repr(Page("abc", "r/index.html", 2)) == (
        "<page of 3 characters, written to r/index.html, with 2 further pages in its folder>"
    )
    assert repr(Page("abc", "a.html", 0, "Something.")) == "<page of 3 characters, written to a.html> Something."
