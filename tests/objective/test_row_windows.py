"""Windows hold every row of an epoch once, whatever their sizes, and wherever the epoch is entered."""

from threading import Event, Timer, current_thread
from time import sleep

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhohat.data import RowSource, open_rows
from rhohat.objective.row_windows import RowWindows, _Task, bytes_of_a_row, even_edges, read_all

N_COLUMNS = 2


class NumberedRows(RowSource):
    """Rows whose first column counts them, which are stored some together."""

    def __init__(self, n_rows, together=1, offset=0):
        super().__init__("numbered rows", (n_rows, N_COLUMNS), np.float64)
        self.X = np.column_stack([np.arange(n_rows) + offset, np.ones(n_rows)])
        self._together = together

    @property
    def rows_stored_together(self):
        return self._together

    def _read_into(self, start, stop, out):
        out[:] = self.X[start:stop]


class Epochs:
    """Windows of any shape, and how an epoch of them is cut into mini-batches."""

    def __init__(self, draw):
        n_rows = draw(st.integers(1, 150))
        held_out = draw(st.sets(st.integers(0, n_rows - 1), max_size=n_rows - 1))
        self.sources = [NumberedRows(n_rows, draw(st.integers(1, 2 * n_rows))), NumberedRows(n_rows, offset=1000)]
        self.held_out, self.all = held_out, range(n_rows)
        window_rows = draw(st.integers(0, 3 * n_rows))
        self.windows = RowWindows(
            self.sources,
            np.array(sorted(held_out), dtype=np.intp),
            seed=draw(st.integers(0, 3)),
            window_bytes=window_rows * bytes_of_a_row(self.sources),
        )
        self.window_rows = window_rows // 2
        self.borders = even_edges(self.windows.n_rows, draw(st.integers(1, self.windows.n_rows)))
        self.epoch = draw(st.integers(0, 3))

    def read(self, first_batch=0):
        """Return the windows with the rows in the order in which they are used, copied."""
        return [
            (window.batches, window.rows.tolist(), [array[window.order].copy() for array in window.memory])
            for window in self.windows.read(self.epoch, self.borders, first_batch)
        ]


epochs = st.composite(lambda draw: Epochs(draw))()


@given(epochs)
def test_every_row_is_in_an_epoch_once_and_none_that_is_held_out(epochs):
    rows = [row for _, rows, _ in epochs.read() for row in rows]
    assert sorted(rows) == sorted(set(epochs.all) - epochs.held_out)


@given(epochs)
def test_a_window_holds_the_rows_of_its_batches_and_no_more_than_fit(epochs):
    windows = epochs.read()
    assert [batch for batches, _, _ in windows for batch in batches] == list(range(len(epochs.borders) - 1))
    for batches, rows, arrays in windows:
        assert len(rows) == epochs.borders[batches.stop] - epochs.borders[batches.start]
        assert len(rows) <= max(epochs.window_rows, np.diff(epochs.borders).max())
        for source, array in zip(epochs.sources, arrays, strict=True):
            np.testing.assert_array_equal(array, source.X[rows])


@given(epochs, st.data())
def test_an_epoch_that_is_entered_at_any_batch_goes_on_as_the_whole_one(epochs, data):
    first = data.draw(st.integers(0, len(epochs.borders) - 2))
    whole = [window for window in epochs.read() if window[0].stop > first]
    tail = epochs.read(first)
    assert [window[:2] for window in tail] == [window[:2] for window in whole]
    assert first in tail[0][0]
    for (_, _, found), (_, _, expected) in zip(tail, whole, strict=True):
        np.testing.assert_array_equal(found, expected)


@given(epochs)
def test_all_rows_are_read_in_their_order(epochs):
    window = epochs.windows.read_all()
    assert window.rows.tolist() == sorted(set(epochs.all) - epochs.held_out)
    for source, array in zip(epochs.sources, window.memory, strict=True):
        np.testing.assert_array_equal(array[window.order], source.X[window.rows])


@given(epochs, st.data())
def test_rows_are_taken_by_their_numbers(epochs, data):
    rows = np.array(data.draw(st.lists(st.sampled_from(epochs.all), min_size=1)), dtype=np.intp)
    window = epochs.windows.take(rows)
    np.testing.assert_array_equal(window.rows, rows)
    for source, array in zip(epochs.sources, window.memory, strict=True):
        np.testing.assert_array_equal(array[window.order], source.X[rows])


@given(st.integers(0, 10**6), st.integers(1, 1000))
def test_parts_are_nearly_equal_and_the_first_are_the_larger_ones(n, n_parts):
    edges = even_edges(n, n_parts)
    sizes = np.diff(edges)
    assert (edges[0], edges[-1], len(sizes)) == (0, n, n_parts)
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(sizes) <= 0).all()


@pytest.mark.parametrize("n_rows", [1, 8191, 8192, 8193, 20_000])
def test_a_source_is_read_whole(n_rows):
    X = np.arange(2.0 * n_rows).reshape(n_rows, 2)
    np.testing.assert_array_equal(read_all(open_rows(X)), X)


def test_a_row_takes_the_memory_that_it_takes_in_all_sources():
    assert bytes_of_a_row([NumberedRows(3), open_rows(np.ones((3, 5), np.float32))]) == 2 * 8 + 5 * 4


def three_windows():
    """Windows of 80 rows, and where the six mini-batches of an epoch begin, two of which are in a window."""
    sources = [NumberedRows(240)]
    windows = RowWindows(sources, np.arange(0), seed=1, window_bytes=160 * bytes_of_a_row(sources))
    return windows, even_edges(240, 6)


def test_chunks_and_the_order_within_a_window_are_drawn_anew_in_every_epoch():
    windows, borders = three_windows()
    first, second = (list(windows.read(epoch, borders)) for epoch in (0, 1))
    for one, other in zip(first, second, strict=True):
        assert set(one.rows.tolist()) != set(other.rows.tolist())
    assert len({window.order.tobytes() for window in first + second}) == 6


def test_an_epoch_takes_the_memory_of_two_windows(monkeypatch):
    windows, borders = three_windows()
    allocate, sizes = windows._allocate, []
    monkeypatch.setattr(windows, "_allocate", lambda n_rows: sizes.append(n_rows) or allocate(n_rows))
    assert [len(window.rows) for window in windows.read(0, borders)] == [80, 80, 80]
    assert sizes == [80, 80]


def test_rows_that_are_read_or_taken_together_are_a_single_batch():
    windows, _ = three_windows()
    assert windows.read_all().batches == windows.take(np.array([7, 2])).batches == range(1)


def test_windows_are_of_the_dtype_of_their_source():
    windows = RowWindows([open_rows(np.ones((7, 2), np.float32))], np.arange(0), seed=0, window_bytes=0)
    for window in (windows.read_all(), next(windows.read(0, even_edges(7, 2)))):
        assert window.memory[0].dtype == np.float32
    assert read_all(windows.sources[0]).dtype == np.float32


def test_chunks_take_no_more_memory_than_they_may(monkeypatch):
    monkeypatch.setattr("rhohat.objective.row_windows._CHUNK_BYTES", 3 * 8 * N_COLUMNS + 5)
    windows, borders = three_windows()
    chunks = windows._cut(240)
    assert set(np.diff(chunks)[:, 0].tolist()) == {3}
    assert sorted(row for window in windows.read(0, borders) for row in window.rows.tolist()) == list(range(240))


def test_a_task_that_is_told_to_stop_is_waited_for():
    """Its thread does not keep a program from ending, and is known by its name."""
    begun, ended = Event(), []

    def work(is_stopped):
        begun.set()
        while not is_stopped():
            sleep(0.001)
        sleep(0.05)
        ended.append(current_thread())

    task = _Task(work)
    task.start()
    begun.wait()
    task.stop()
    assert [(thread.name, thread.daemon) for thread in ended] == [("rhohat reader", True)]


def test_a_task_that_does_not_stop_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr("rhohat.objective.row_windows._LONGEST_WAIT", 0.01)
    begun, may_end, ended = Event(), Event(), Event()

    def work(is_stopped):
        begun.set()
        may_end.wait(10)
        ended.set()

    task = _Task(work)
    task.start()
    begun.wait()
    task.stop()
    assert not ended.is_set()
    may_end.set()


def counted():
    """A list, and a function for tasks that appends to it and returns its length."""
    calls = []
    return calls, lambda is_stopped: calls.append(is_stopped) or len(calls)


def test_a_task_runs_once_and_has_nothing_to_wait_for_when_it_is_done():
    calls, function = counted()
    task = _Task(function)
    task.start()
    assert task.result() == 1
    del task._outcome  # waiting for a second outcome would fail
    task.stop()
    assert len(calls) == 1


def test_a_task_whose_thread_a_fork_has_left_behind_is_done_by_who_wants_its_result():
    calls, function = counted()
    for number, starts in enumerate((False, True), 1):
        task = _Task(function)
        if starts:
            task._run()
        task._process = -1
        assert task.result() == len(calls) == number


def test_a_task_is_not_done_by_who_waits_for_its_thread():
    may_go_on, threads = Event(), []

    def work(is_stopped):
        may_go_on.wait(60)
        threads.append(current_thread().name)

    task = _Task(work)
    task.start()
    Timer(0.05, may_go_on.set).start()
    task.result()
    assert threads == ["rhohat reader"]
