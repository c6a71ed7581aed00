"""Damaged and forged model files, drawn at random: whatever they hold, loading them raises rhohat's own error or works.

As a program, `make mutations`, it tries ten thousand, and watches the memory that they take.
"""

import argparse
import copy
import json
import resource
import struct
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

import rhohat
from rhohat.common.exceptions import ModelFileError
from rhohat.common.tensor_files import _digest
from tests.models.model_file.models import KINDS, X, fitted, outputs

#: What values in the description are replaced by; names that would do harm if they were imported are among them.
_VALUES = [
    *(None, True, False, 0, 1, -1, 2, 2**31, 2**63, 2**200, -(10**30), 0.5, -1.5, 1e308, float("nan"), float("inf")),
    *("", "tanh", "SparseAutoencoder", "Pipeline", "StandardScaler", "Maxout", "os.system", "__import__", "x" * 5000),
    *([], {}, [[]], [1] * 1000, {"a": {"b": []}}, {"tensor": "coefs_.0"}, {"tuple": []}, {"tuple": 5}),
    *({"number": "inf"}, {"number": 3}, {"kind": "SparseAutoencoder", "settings": {}}),
    {"kind": "Maxout", "settings": {"n_pieces": 10**12}},
    {"kind": "os.system", "settings": {"command": "touch pwned"}},
    {"kind": "GaussianLoss", "settings": {"covariance": [[1.0]]}},
]
_LARGEST_EXTRA = 100 * 2**20  # bytes


def mutate(content, rng):
    """Return a name for what was done to a file's bytes, and the bytes that came of it."""
    kinds = [_flip, _flip_header, _truncate, _extend, _insert, _zero, _length, _header, _forge, _forge, _forge, _arrays]
    kind = kinds[rng.integers(len(kinds))]
    with np.errstate(over="ignore"):  # of numbers that float16 does not hold
        return kind.__name__.strip("_"), kind(bytearray(content), rng)


def _header_of(content):
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), bytes(content[8 + length :])


def _with_header(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _flip(content, rng):
    for _ in range(rng.integers(1, 9)):
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return bytes(content)


def _flip_header(content, rng):
    end = 8 + int.from_bytes(content[:8], "little")
    for _ in range(rng.integers(1, 5)):
        content[rng.integers(end)] ^= 1 << rng.integers(8)
    return bytes(content)


def _truncate(content, rng):
    return bytes(content[: rng.integers(len(content))])


def _extend(content, rng):
    return bytes(content) + rng.bytes(int(rng.integers(1, 500)))


def _insert(content, rng):
    place = rng.integers(len(content))
    return bytes(content[:place]) + rng.bytes(int(rng.integers(1, 20))) + bytes(content[place:])


def _zero(content, rng):
    start = rng.integers(len(content))
    stop = min(len(content), start + rng.integers(1, 200))
    content[start:stop] = bytes(stop - start)
    return bytes(content)


def _length(content, rng):
    """Declare another length of the header: a huge one, or one that is a little off."""
    length = int.from_bytes(content[:8], "little")
    lengths = [0, 1, 2, length - 1, length + 1, len(content), 2**24, 10**8, 2**31, 2**40, 2**63, 2**64 - 1]
    content[:8] = struct.pack("<Q", lengths[rng.integers(len(lengths))])
    return bytes(content)


def _header(content, rng):
    """Declare other shapes, types and places of a tensor, huge ones too."""
    header, data = _header_of(content)
    names = [name for name in header if name != "__metadata__"]
    tensor = header[names[rng.integers(len(names))]]
    change = rng.integers(5)
    if change == 0:
        tensor["shape"] = [[2**60], [2**40, 2**40], [0, 2**62], [-1], [], [1.5], "all", [1] * 5000][rng.integers(8)]
    elif change == 1:
        tensor["dtype"] = ["F64", "F32", "F16", "BF16", "I64", "BOOL", "U8", "F8_E4M3", "C64", "object", 3][
            rng.integers(11)
        ]
    elif change == 2:
        tensor["data_offsets"] = [[0, 2**62], [2**62, 0], [5, 3], [-8, 0], [0], "here"][rng.integers(6)]
    elif change == 3:
        del header[names[rng.integers(len(names))]]
    else:
        metadata = [None, [], {"format": 1}, {}, {"format": "rhohat model 1"}, {"format": "rhohat model 999999"}]
        header["__metadata__"] = metadata[rng.integers(len(metadata))]
    return _with_header(header, data)


def _sealed(record, arrays, metadata):
    """Return a file whose digest is right, so that a reader has to look further."""
    text = record if isinstance(record, str) else json.dumps(record)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return save_tensors(arrays, metadata={**metadata, "record": text, "sha256": _digest(text, arrays)})


def _forge(content, rng):
    """Edit the description, several places of it at times, and seal it again."""
    header, _ = _header_of(content)
    metadata = header["__metadata__"]
    record = json.loads(metadata["record"])
    if rng.random() < 0.03:
        texts = [
            "",
            "null",
            "[]",
            "{",
            '{"model": 3}',
            "[" * 100_000,
            '{"a":' * 50_000,
            "1" * 10_000,
            "NaN",
            '"\\ud800"',
        ]
        return _sealed(texts[rng.integers(len(texts))], load_tensors(bytes(content)), metadata)
    for _ in range(1 if rng.random() < 0.8 else 4):
        _edit(record, rng)
    return _sealed(record, load_tensors(bytes(content)), metadata)


def _edit(record, rng):
    """Change, remove, add, repeat or move one value somewhere in nested lists and dicts."""
    places = list(_places(record))
    if not places:  # all of it was removed before
        return
    holder, key = places[rng.integers(len(places))]
    other, other_key = places[rng.integers(len(places))]
    change = rng.random()
    if change < 0.6:
        holder[key] = copy.deepcopy(_VALUES[rng.integers(len(_VALUES))])
    elif change < 0.75:
        del holder[key]
    elif change < 0.9:
        holder[key] = copy.deepcopy(other[other_key])
    elif isinstance(holder, dict):
        holder[f"another_{rng.integers(9)}"] = copy.deepcopy(_VALUES[rng.integers(len(_VALUES))])
    else:
        holder.insert(0, copy.deepcopy(holder[key]))


def _places(value):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _arrays(content, rng):
    """Change, remove, add or rename a tensor, and seal the file again."""
    header, _ = _header_of(content)
    arrays = dict(load_tensors(bytes(content)))
    name = list(arrays)[rng.integers(len(arrays))]
    array = arrays.pop(name)
    changes = [
        dict,
        lambda: {name: array, "another": array},
        lambda: {f"{name}.1": array},
        lambda: {name: array.astype(np.float16)},
        lambda: {name: array.astype(np.int64)},
        lambda: {name: array.astype(bool)},
        lambda: {name: array.astype(np.float32 if array.dtype == np.float64 else np.float64)},
        lambda: {name: np.full_like(array, np.nan if array.dtype.kind == "f" else 0)},
        lambda: {name: np.concatenate([array.ravel(), array.ravel()])},
        lambda: {name: array[..., None]},
        lambda: {name: array.ravel()[:-1]},
        lambda: {name: np.empty((0, 2**20))},
        lambda: {name: array.T},
    ]
    return _sealed(
        json.loads(header["__metadata__"]["record"]),
        arrays | changes[rng.integers(len(changes))](),
        header["__metadata__"],
    )


def try_many(n_files, seed, folder, kinds=KINDS):
    """Load mutated files, and use what was loaded.

    Returns
    -------
    Counter
        Of (mutation, "refused" or "loaded").
    """
    originals = {}
    for kind in kinds:
        rhohat.save(fitted(kind), folder / "model.safetensors")
        rhohat.load(folder / "model.safetensors")  # as it is, it can be
        originals[kind] = (folder / "model.safetensors").read_bytes()
    rng = np.random.default_rng(seed)
    seen = Counter()
    for number in range(n_files):
        kind = kinds[number % len(kinds)]
        mutation, content = mutate(originals[kind], rng)
        path = folder / "mutated.safetensors"
        path.write_bytes(content)
        try:
            model = rhohat.load(path)
        except ModelFileError as error:
            if "cannot be loaded" not in str(error):
                raise AssertionError(f"{mutation}: an error that says too little: {error}") from error
            seen[mutation, "refused"] += 1
        else:
            if model.n_features_in_ == X.shape[1]:  # a scaler of one number may be said to be for any number of columns
                outputs(model)  # what passes works
            seen[mutation, "loaded"] += 1
        assert sorted(one.name for one in folder.iterdir()) == ["model.safetensors", "mutated.safetensors"]
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n_files", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            outputs(fitted(kind))
        try_many(len(KINDS), arguments.seed, Path(folder))  # what is loaded and set up once is no memory of a file
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seen = try_many(arguments.n_files, arguments.seed, Path(folder))
        extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    for (mutation, what), count in sorted(seen.items()):
        print(f"{mutation:12} {what:8} {count:6}")
    print(f"{arguments.n_files} files; at most {extra / 1e6:.1f} MB more memory than before them")
    sys.exit(extra > _LARGEST_EXTRA)


if __name__ == "__main__":
    main()
