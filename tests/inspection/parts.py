"""Statistics that are added up of parts of the rows: block by block, or merged in any order."""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as whole_arrays

__all__ = ["in_blocks", "merged_anyhow", "numbers", "scales"]

shapes = st.tuples(st.integers(1, 30), st.integers(1, 4))
#: Small whole numbers, times powers of two by which squares, or sums, overflow or vanish.
numbers = shapes.flatmap(lambda shape: whole_arrays.arrays(np.int64, shape, elements=st.integers(-1000, 1000)))
scales = st.sampled_from([0, -1000, 600, 1012])


def merged_anyhow(data, new, *arrays):
    """Return statistics of arrays that are cut into any parts, which are merged two by two in any order."""
    n_rows = arrays[0].shape[0]
    edges = sorted(data.draw(st.sets(st.integers(0, n_rows), max_size=5)) | {0, n_rows})
    parts = [new()]
    for start, stop in pairwise(edges):
        parts.append(new())
        parts[-1].update(*(array[start:stop] for array in arrays))
    while len(parts) > 1:
        parts = data.draw(st.permutations(parts))
        parts[0].merge(parts.pop())
    return parts[0]


def in_blocks(statistics, n_rows, *arrays):
    for start in range(0, arrays[0].shape[0], n_rows):
        statistics.update(*(array[start : start + n_rows] for array in arrays))
    return statistics
