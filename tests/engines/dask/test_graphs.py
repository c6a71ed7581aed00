from operator import add

import dask
import dask.array as da
import numpy as np
import pytest

from rhohat.engines.dask.graphs import Call, depends_on_dask, sum_graph, tree


@pytest.mark.parametrize("n", [1, 2, 4, 5, 17])
def test_the_tree_adds_every_part_once(n):
    keys = [f"part-{i}" for i in range(n)]
    tasks, root = tree(keys, 4)
    added = []

    def visit(key):
        for child in tasks[key][1:]:
            visit(child) if child in tasks else added.append(child)

    visit(root)
    assert added == keys


@pytest.mark.parametrize("n_parts", [1, 3, 9])
@pytest.mark.parametrize("n_sums", [2, 2**17])
def test_a_graph_sums_what_the_function_returns_for_each_part(n_parts, n_sums):
    """Computed by Dask in this process; whether the sum is one task or a tree of them."""
    parts = [np.full(n_sums, float(i)) for i in range(n_parts)]
    graph, total, sending = sum_graph(Call(add, ()), parts, [None] * n_parts, 0.5, n_sums)
    found, shared = dask.get(graph, [total, sending])
    assert np.array_equal(found, np.full(n_sums, sum(range(n_parts)) + 0.5 * n_parts))
    assert shared == 0.5


def test_what_the_workers_have_is_not_sent_again():
    graph, total, sending = sum_graph(Call(add, ()), [np.ones(3)], ["a worker"], 7.0, 3, sent=2.0)
    assert sending is None
    assert np.array_equal(dask.get(graph, total), np.full(3, 3.0))


def test_calls_prefer_the_workers_where_their_parts_are():
    graph, _, _ = sum_graph(Call(add, ()), [1, 2, 3], ["a", "b", "a"], 0, 1)
    preferred = {
        tuple(layer.annotations["workers"]): len(layer) for layer in graph.layers.values() if layer.annotations
    }
    assert preferred == {("a",): 2, ("b",): 1}
    assert all(layer.annotations["allow_other_workers"] for layer in graph.layers.values() if layer.annotations)


def test_arguments_that_dask_computes_are_told_from_others():
    array = da.zeros((4, 2))
    assert depends_on_dask([1, [np.zeros(3), array]])
    assert not depends_on_dask([1, [np.zeros(3), "array"]])
