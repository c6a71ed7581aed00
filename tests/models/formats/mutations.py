"""Damaged and forged files of other libraries, drawn at random: loading them raises rhohat's own error or works.

What is loaded computes what the original did, or, since most formats have no checksums, what an independent reader
makes of the changed file. As a program, `make mutations`, it tries ten thousand files of each format and watches the
memory.
"""

import argparse
import copy
import io
import json
import os
import pickle
import resource
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

import rhohat
from rhohat.common.exceptions import ModelFileError
from tests.models.formats import references
from tests.models.formats.fixtures_of import FIXTURES, made_by
from tests.models.model_file.mutations import _edit, _extend, _flip, _header_of, _insert, _truncate, _with_header, _zero

_LARGEST_EXTRA = 100 * 2**20  # bytes
ROWS = np.random.default_rng(5).standard_normal((6, 6)).astype(np.float32)

#: Fixtures of each format, and which of their files is changed.
FORMATS = {
    "saelens": [
        ("saelens/topk", "sae_weights.safetensors"),
        ("saelens/topk_by_norms", "cfg.json"),
        ("saelens/jumprelu_layer_norm", "sae_weights.safetensors"),
        ("saelens/gated", "cfg.json"),
        ("saelens/skip_transcoder", "sae_weights.safetensors"),
        ("saelens/trained_matryoshka_batchtopk/training", "cfg.json"),
        ("saelens/trained_batchtopk/training", "sae_weights.safetensors"),
        ("saelens/trained_scaled/training", "activation_scaler.json"),
        ("saelens/standard_bfloat16", "sae_weights.safetensors"),
        ("saelens-3.22.2/standard_finetuned", "sae_weights.safetensors"),
        ("saelens-3.22.2/topk", "cfg.json"),
    ],
    "sparsify": [
        ("sparsify/autoencoder", "sae.safetensors"),
        ("sparsify/skip_transcoder", "cfg.json"),
        ("sparsify/skip_autoencoder", "sae.safetensors"),
    ],
    "dictionary_learning": [
        ("dictionary_learning/AutoEncoderTopK", "ae.pt"),
        ("dictionary_learning/MatryoshkaBatchTopKSAE", "ae.pt"),
        ("dictionary_learning/AutoEncoder_legacy", "ae.pt"),
        ("dictionary_learning/GatedAutoEncoder_backup", "ae.pt"),
        ("dictionary_learning/BatchTopKSAE", "config.json"),
    ],
    "openai": [
        ("openai/topk", "layer_3.pt"),
        ("openai/relu", "layer_3.pt"),
        ("openai/topk_legacy", "layer_3.pt"),
    ],
    "gemma_scope": [
        ("scopes/gemma_scope/layer_3/width_16k/average_l0_8", "params.npz"),
        ("scopes/gemma_scope_2/layer_3_affine", "params.safetensors"),
        ("scopes/gemma_scope_2/layer_3", "config.json"),
    ],
    "rhohat": [
        ("rhohat/gated", "weights.safetensors"),
        ("rhohat/matryoshka", "weights.safetensors"),
        ("rhohat/topk_layer_norm", "weights.safetensors"),
        ("rhohat/skip_transcoder", "weights.safetensors"),
    ],
    "llama_scope": [
        ("scopes/llama_scope", "checkpoints/final.safetensors"),
        ("scopes/llama_scope", "hyperparams.json"),
    ],
}


class _Harmful:
    """What would make the file `pwned` if it were unpickled."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


def _harm():
    return [
        _Harmful(os.system, "touch pwned"),
        _Harmful(eval, "__import__('pathlib').Path('pwned').touch()"),
        _Harmful(exec, "open('pwned', 'w')"),
        _Harmful(io.open, "pwned", "w"),
        _Harmful(getattr, dict, "system"),
        _Harmful(bytearray, 10**10),
        _Harmful(pickle.loads, b"cos\nsystem\n(S'touch pwned'\ntR."),
    ]


#: Instructions that are put into pickles, those that allocate, import and call among them.
_INSTRUCTIONS = [
    *(b"(", b".", b"0", b"1", b"2", b"N", b"]", b"}", b")", b"l", b"d", b"t", b"s", b"u", b"a", b"e", b"b", b"R", b"Q"),
    *(b"\x81", b"\x85", b"\x86", b"\x87", b"\x88", b"\x90", b"\x91", b"\x93", b"\x94"),
    *(b"cos\nsystem\n", b"ctorch\nload\n", b"ctorch._utils\n_rebuild_tensor\n", b"ios\nsystem\n", b"cbuiltins\neval\n"),
    *(b"\x96" + (2**40).to_bytes(8, "little"), b"\x8e" + (2**62).to_bytes(8, "little"), b"r\xff\xff\xff\x7f"),
    *(b"\x8b\xff\xff\xff\x7f", b"X\xff\xff\xff\xff", b"\x95" + (2**60).to_bytes(8, "little"), b"J\xff\xff\xff\x7f"),
    *(b"I99999999999\n", b"L" + b"9" * 9000 + b"L\n", b"S'text'\n", b"Vtext\n", b"h\x00", b"q\x00", b"K\x05"),
]


def mutate(content, name, rng):
    """Return a name for what was done to the bytes of a file with a name, and the bytes that came of it."""
    kinds = [_flip, _truncate, _extend, _insert, _zero]
    if name.endswith(".json"):
        kinds += [_settings, _settings, _settings, _settings, _texts]
    if name.endswith(".safetensors"):
        kinds += [_length, _header, _header, _header, _flip_header]
        if b"__metadata__" in content:
            kinds += [_settings_of_header] * 4
    if name.endswith((".pt", ".npz")) and content[:2] == b"PK":
        kinds += [_archive, _archive, _archive, _directory]
    if name.endswith(".pt"):
        kinds += [_other_pickle]
    if name.endswith(".pt") and content[:2] != b"PK":
        kinds += [_pickle_of_legacy, _pickle_of_legacy]
    kind = kinds[rng.integers(len(kinds))]
    return kind.__name__.strip("_"), kind(bytearray(content), rng)


def _settings(content, rng):
    record = json.loads(bytes(content))
    for _ in range(1 if rng.random() < 0.8 else 4):
        _edit(record, rng)
    return json.dumps(record).encode()


def _settings_of_header(content, rng):
    header, data = _header_of(content)
    metadata = header["__metadata__"]
    if "settings" not in metadata:
        return _flip(content, rng)
    metadata["settings"] = _settings(metadata["settings"].encode(), rng).decode()
    return _with_header(header, data)


def _texts(content, rng):
    texts = [
        "",
        "null",
        "[]",
        "{",
        '{"architecture": 3}',
        "[" * 100_000,
        '{"a":' * 50_000,
        "1" * 10_000,
        "NaN",
        '"\\ud800"',
    ]
    return texts[rng.integers(len(texts))].encode()


def _length(content, rng):
    length = int.from_bytes(content[:8], "little")
    lengths = [0, 1, 2, length - 1, length + 1, len(content), 2**24, 10**8, 2**31, 2**40, 2**63, 2**64 - 1]
    content[:8] = int(lengths[rng.integers(len(lengths))]).to_bytes(8, "little")
    return bytes(content)


def _flip_header(content, rng):
    end = 8 + int.from_bytes(content[:8], "little")
    for _ in range(rng.integers(1, 5)):
        content[rng.integers(end)] ^= 1 << rng.integers(8)
    return bytes(content)


def _header(content, rng):
    """Declare other shapes, types, places and names of tensors."""
    header, data = _header_of(content)
    names = [name for name in header if name != "__metadata__"]
    name = names[rng.integers(len(names))]
    tensor, change = header[name], rng.integers(7)
    shapes = [[2**60], [2**40, 2**40], [0, 2**62], [-1], [], [1.5], "all", [1] * 5000, [True], tensor["shape"][::-1]]
    kinds = ["F64", "F32", "F16", "BF16", "I64", "BOOL", "U8", "F8_E4M3", "C64", "object", 3]
    places = [[0, 2**62], [2**62, 0], [5, 3], [-8, 0], [0], "here", [0, 0]]
    if change == 0:
        tensor["shape"] = shapes[rng.integers(len(shapes))]
    elif change == 1:
        tensor["dtype"] = kinds[rng.integers(len(kinds))]
    elif change == 2:
        tensor["data_offsets"] = places[rng.integers(len(places))]
    elif change == 3:
        del header[name]
    elif change == 4:
        header[["another", "W_enc", "", "x" * 5000, "threshold"][rng.integers(5)]] = header.pop(name)
    elif change == 5:
        header[name] = copy.deepcopy(header[names[rng.integers(len(names))]])
    else:
        header["__metadata__"] = [None, [], {"format": 1}, {}, {"format": "rhohat model 1"}][rng.integers(5)]
    return _with_header(header, data)


def _parts(content):
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as archive:
        return {one.filename: archive.read(one) for one in archive.infolist()}


def _packed(parts, compressed=False):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()


def _archive(content, rng):
    """Change a part of an archive and pack it again, so that checksums are right."""
    parts = _parts(content)
    names = list(parts)
    name = next((one for one in names if one.endswith("data.pkl")), names[0])
    if rng.random() < 0.4 or "data.pkl" not in name:
        name = names[rng.integers(len(names))]
    part, change = bytearray(parts[name]), rng.integers(9)
    if change == 0 and part:
        parts[name] = _flip(part, rng)
    elif change == 1 and part:
        parts[name] = _truncate(part, rng)
    elif change == 2:
        parts[name] = _extend(part, rng)
    elif change == 3 and part:
        place = rng.integers(len(part))
        parts[name] = bytes(part[:place]) + _INSTRUCTIONS[rng.integers(len(_INSTRUCTIONS))] + bytes(part[place:])
    elif change == 4:
        del parts[name]
    elif change == 5:
        parts[f"archive/{rng.integers(99)}"] = parts.pop(name)
    elif change == 6 and name.endswith("data.pkl"):
        harm = _harm()
        parts[name] = pickle.dumps({"weight": harm[rng.integers(len(harm))]}, int(rng.integers(5)))
    elif change == 7 and part:
        part[rng.integers(len(part))] = rng.integers(256)
        parts[name] = bytes(part)
    else:
        return _packed(parts, compressed=True)
    return _packed(parts)


def _directory(content, rng):
    """Change what the archive says of its parts: sizes, places, ways of compression."""
    start = bytes(content).rfind(b"PK\x01\x02")
    place = int(rng.integers(start, len(content) - 4))
    content[place : place + 4] = [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", rng.bytes(4)][
        rng.integers(4)
    ]
    return bytes(content)


def _other_pickle(content, rng):
    """Return a pickle that would run code, in place of the whole file."""
    harm = _harm()
    return pickle.dumps(harm[rng.integers(len(harm))], int(rng.integers(5)))


def _pickle_of_legacy(content, rng):
    """Put an instruction somewhere into the pickles with which a file of the older layout begins."""
    place = int(rng.integers(min(len(content), 900)))
    if rng.random() < 0.5:
        content[place] = rng.integers(256)
        return bytes(content)
    return bytes(content[:place]) + _INSTRUCTIONS[rng.integers(len(_INSTRUCTIONS))] + bytes(content[place:])


def independent(kind, folder):
    """Return what an independent reader makes of rows; any exception says that it refuses the file."""
    if kind == "saelens":
        return references.saelens(folder, ROWS)
    if kind == "sparsify":
        return references.sparsify(folder, ROWS)
    if kind == "rhohat":
        return references.plain(folder / "weights.safetensors", ROWS)
    if kind == "llama_scope":
        return references.llama_scope(folder, ROWS)
    if kind == "gemma_scope":
        if (folder / "params.npz").exists():
            with np.load(folder / "params.npz") as arrays:
                return references.gemma_scope({name.lower(): arrays[name].astype(float) for name in arrays}, ROWS)
        return references.gemma_scope(references.tensors_of(folder / "params.safetensors"), ROWS)
    import torch

    content = torch.load(next(folder.glob("*.pt")), weights_only=True)
    if kind == "openai":
        return references.openai(ROWS, _arrays(content))
    config = json.loads((folder / "config.json").read_text())["trainer"]
    factor = content.get("norm_factor", 1.0)
    state = _arrays(content.get("ae", content))
    return references.dictionary_learning(folder, ROWS, state, config["dict_class"], factor)


def _arrays(state):
    return {name: one.detach().double().numpy() if hasattr(one, "numpy") else one for name, one in state.items()}


def is_like(made, expected):
    """Return whether codes and reconstructions are the same up to rounding, which large weights make large."""
    scale = max(1.0, *(float(np.abs(one).max(initial=0)) for one in expected))
    return all(
        mine.shape == theirs.shape and np.abs(mine - theirs).max(initial=0) <= 1e-3 * scale
        for mine, theirs in zip(made, expected, strict=True)
    )


def try_many(kind, n_files, seed, folder):
    """Load mutated files of a format, and use what was loaded.

    Returns
    -------
    Counter
        Of (mutation, "refused", "same" or "as changed").
    """
    rng, seen = np.random.default_rng(seed), Counter()
    originals = [(FIXTURES / name, file, _made(FIXTURES / name)) for name, file in FORMATS[kind]]
    before = Path.cwd()
    os.chdir(folder)
    try:
        for number in range(n_files):
            source, file, expected = originals[number % len(originals)]
            target = folder / "mutated"
            shutil.copytree(source, target)
            mutation, content = mutate((source / file).read_bytes(), file, rng)
            (target / file).write_bytes(content)
            seen[mutation, _outcome(kind, target, expected, mutation)] += 1
            assert not list(folder.rglob("pwned*")), f"{mutation}: code ran"
            shutil.rmtree(target)
    finally:
        os.chdir(before)
    return seen


def _made(folder):
    with np.errstate(all="ignore"):
        return made_by(rhohat.load(folder), ROWS)


def _outcome(kind, folder, expected, mutation):
    """Load a mutated folder; raise AssertionError unless it is refused properly, or computes what it has to."""
    try:
        made = _made(folder)
    except ModelFileError as error:
        if "cannot be loaded" not in str(error):
            raise AssertionError(f"{mutation}: an error that says too little: {error}") from error
        return "refused"
    if all(np.array_equal(mine, theirs) for mine, theirs in zip(made, expected, strict=True)):
        return "same"
    reason: object = "makes other numbers of it"
    try:
        with np.errstate(all="ignore"):
            others = independent(kind, folder)
        if not np.isfinite(others[1]).all() or not np.isfinite(made[1]).all() or is_like(made, others):
            return "as changed"
    except Exception as error:  # whatever the independent reader says of a file that it refuses
        reason = f"refuses it: {error!r}"
    kept = Path(tempfile.mkdtemp()) / "mutated"
    shutil.copytree(folder, kept)
    raise AssertionError(f"{mutation}: {kept} is loaded, but an independent reader {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n_files", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="*", default=list(FORMATS))
    arguments = parser.parse_args()
    worst = 0
    for kind in arguments.formats:
        with tempfile.TemporaryDirectory() as folder:
            try_many(kind, 200, arguments.seed + 1, Path(folder))  # what is set up once is no memory of a file
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            seen = try_many(kind, arguments.n_files, arguments.seed, Path(folder))
            extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        for (mutation, what), count in sorted(seen.items()):
            print(f"{kind:20} {mutation:17} {what:10} {count:6}")
        print(
            f"{kind:20} {arguments.n_files} files; at most {extra / 1e6:.1f} MB more memory than before them",
            flush=True,
        )
        worst = max(worst, extra)
    sys.exit(worst > _LARGEST_EXTRA)


if __name__ == "__main__":
    main()
