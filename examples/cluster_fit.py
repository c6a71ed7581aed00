"""Learn from rows on a Dask cluster: of this machine's processes, or of several machines.

    python examples/cluster_fit.py [ADDRESS] [ROWS]

Without an ADDRESS, worker processes are started on this machine. For several machines, start a scheduler on one of them
and a worker on each, all with the same version of rhohat, then run this with the scheduler's address:

    dask scheduler                                      # on the machine called host
    dask worker tcp://host:8786 --nthreads 8            # on every machine
    python examples/cluster_fit.py tcp://host:8786 /shared/rows.npy

ROWS is anything that `rhohat.open_rows` reads; every worker opens it under the same path. Without it, a Dask array of
patches of photographs is made on the workers. A worker may be killed in mid-fit: the others take over, and the result
is the same to the last bit.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import ExitStack
from typing import Any

import dask.array as da
import numpy as np
from dask import delayed
from dask.distributed import Client, LocalCluster

import rhohat
from rhohat.common.exceptions import ConvergenceWarning

SIDE = 8  # pixels


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else None
    with ExitStack() as stack:
        if address is None:
            cluster = LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
            )
            address = stack.enter_context(cluster)
        client = stack.enter_context(Client(address))
        print(client)
        rows = (
            stack.enter_context(rhohat.open_rows(sys.argv[2]))
            if len(sys.argv) > 2
            else patches(n_chunks=8)
        )

        autoencoder = rhohat.SparseAutoencoder(
            n_components=25,
            sparsity=0.02,
            sparsity_weight=3.0,
            max_iter=60,
            random_state=0,
            engine=rhohat.DaskEngine(client),
            verbose=20,
        )
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # 60 iterations are enough to see edges
        autoencoder.fit(rows)
        print(f"J = {autoencoder.loss_curve_[-1]:.4f}", autoencoder.solver_message_)

        # Of a Dask array, the codes are one too: nothing is computed before somebody asks for it, and then on the
        # workers. What is asked for here is a number for each unit; the codes themselves stay where they are.
        codes = autoencoder.transform(rows)
        print(codes)
        print(
            "each unit is active, in the mean:", np.asarray(codes.mean(axis=0)).round(3)
        )


def patches(n_chunks: int, n_patches: int = 5000) -> Any:
    """Return a Dask array of patches, each chunk of which is cut where it will stay."""
    chunks = [
        da.from_delayed(
            delayed(cut)(n_patches, seed), (n_patches, SIDE * SIDE), np.float64
        )
        for seed in range(n_chunks)
    ]
    return da.concatenate(chunks)


def cut(n_patches: int, seed: int) -> np.ndarray:
    """Return patches of whitened photographs in [0.1, 0.9], one a row."""
    images = [
        rhohat.whiten_image(image, boundary="reflect") for image in rhohat.photographs()
    ]
    normalizer = rhohat.PatchNormalizer().fit(
        rhohat.sample_patches(images, SIDE, 10_000, random_state=0)
    )
    return normalizer.transform(
        rhohat.sample_patches(images, SIDE, n_patches, random_state=seed + 1)
    )


if __name__ == "__main__":
    main()
