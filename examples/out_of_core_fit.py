"""Learn from more rows than memory holds: a fit that reads a file, keeps to a limit, and survives being killed.

    python examples/out_of_core_fit.py [ROWS] [FOLDER]

ROWS is anything that `rhohat.open_rows` reads: .npy, HDF5, Parquet, Zarr, IDX, safetensors, CSV, or a folder of shards.
Without it, patches of photographs are cut into a file first. The checkpoints, and the codes as codes.npy, go to FOLDER
(default: out-of-core). Stop it with Ctrl-C, or kill it, and start the same command again: it goes on where it was, and
ends with the same bits as if nothing had happened.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

import rhohat
from rhohat.common.exceptions import ConvergenceWarning


def main() -> None:
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "out-of-core")
    folder.mkdir(exist_ok=True)
    path = (
        Path(sys.argv[1])
        if len(sys.argv) > 1
        else write_patches(folder / "patches.npy")
    )

    with rhohat.open_rows(path) as rows:
        autoencoder = rhohat.SparseAutoencoder(
            n_components=100,
            sparsity=0.02,
            sparsity_weight=3.0,
            max_iter=100,
            random_state=0,
            memory_limit="256 MB",  # what it will hold is printed before it starts
            checkpoint=rhohat.Checkpoint(
                folder / "checkpoints", every="10 s", resume=True
            ),
            verbose=20,
        )
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # 100 iterations are enough to see edges
        autoencoder.fit(rows)
        print(
            f"{rows.name}: {len(rows):,} rows; J = {autoencoder.loss_curve_[-1]:.4f}",
            autoencoder.solver_message_,
        )

        # Codes of all rows, written as they are computed.
        shape = len(rows), autoencoder.n_components
        codes = np.lib.format.open_memmap(
            folder / "codes.npy", mode="w+", dtype=rows.dtype, shape=shape
        )
        autoencoder.transform(rows, out=codes)
        codes.flush()
    print(
        f"the codes are in {folder / 'codes.npy'}, each unit active {codes.mean():.3f} in the mean"
    )


def write_patches(path: Path, n_patches: int = 200_000) -> Path:
    """Cut patches of 12×12 pixels out of photographs, some at a time, unless that was done before."""
    if path.exists():
        return path
    images = [
        rhohat.whiten_image(image, boundary="reflect") for image in rhohat.photographs()
    ]
    normalizer = rhohat.PatchNormalizer().fit(
        rhohat.sample_patches(images, 12, 10_000, random_state=0)
    )
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_patches, 144)}
        np.lib.format.write_array_header_2_0(file, header)
        for part in range(n_patches // 10_000):
            patches = rhohat.sample_patches(images, 12, 10_000, random_state=part)
            normalizer.transform(patches).astype(np.float32).tofile(file)
    return unfinished.rename(path)


if __name__ == "__main__":
    main()
