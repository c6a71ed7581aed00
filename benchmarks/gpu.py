"""`python benchmarks/gpu.py`: what a GPU computes is checked against float64 on the CPU, and then timed.

It needs this repository's source (PYTHONPATH=src) and an environment with torch, triton, NumPy, SciPy, scikit-learn and
safetensors; nothing is installed or downloaded. It takes less than six minutes and writes `results.json` and a table,
`results.md`. With `--cpu` everything runs on the CPU at small sizes, the kernels in Triton's interpreter; its times say
nothing of a GPU.

All times are medians of several runs in turns, in this process; ratios are to be compared, not milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: This folder is not searched for modules: its `profile.py` is not Python's.
sys.path = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]
ON_CPU = "--cpu" in sys.argv
if ON_CPU:
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

import rhohat  # noqa: E402
from rhohat import TorchEngine  # noqa: E402
from rhohat.dictionaries.device_training import DeviceTrainer  # noqa: E402
from rhohat.dictionaries.selections import TopK  # noqa: E402
from rhohat.dictionaries.start import DictionaryStart  # noqa: E402
from rhohat.dictionaries.training import DictionaryState  # noqa: E402
from rhohat.engines import ThreadEngine  # noqa: E402
from rhohat.layers.activations import Sigmoid  # noqa: E402
from rhohat.layers.network import dense_network  # noqa: E402
from rhohat.objective import Problem, make_objective  # noqa: E402
from rhohat.ops.code_ops import CodeOps, Codes  # noqa: E402
from rhohat.ops.torch_code_ops import TorchCodeOps  # noqa: E402
from rhohat.ops.torch_learning import AdamStep, LearnedRows  # noqa: E402
from rhohat.terms.penalties import KLSparsity, WeightDecay  # noqa: E402

DEVICE = "cpu" if ON_CPU else "cuda"
Tensor = Any


@dataclass
class Row:
    """A line of the table: a case, a contender, its median milliseconds, and how it compares with the first one."""

    case: str
    contender: str
    milliseconds: float
    ratio: float | None


# Checks.


def check_kernels(rng: np.random.Generator) -> list[str]:
    """Compare every kernel with NumPy in float64, on outputs that are NaN before, at odd sizes."""
    done = []
    for n_rows, width, n_latents, k in [(37, 19, 53, 5), (5, 130, 17, 17), (64, 33, 101, 1)]:
        for dtype, tolerance in [(torch.float64, 1e-11), (torch.float32, 2e-5)]:
            X, W, D = (rng.normal(size=shape) for shape in [(n_rows, width), (n_latents, width), (n_latents, width)])
            bias, center = rng.normal(size=n_latents), rng.normal(size=width)
            there = [torch.tensor(array, dtype=dtype, device=DEVICE) for array in (X, W, D, bias, center)]
            _compare_codes(there, k, tolerance)
            done.append(f"kernels {n_rows}×{width}, {n_latents} latents, k={k}, {str(dtype)[6:]}")
    return done


def _compare_codes(there: list[Tensor], k: int, tolerance: float) -> None:
    """Compare the primitives of sparse codes, one after another, with those of NumPy."""
    reference, ops = CodeOps(), TorchCodeOps(kernels=True)
    X, W, D, bias, center = (one.double().cpu().numpy() for one in there)
    n_rows, n_latents = len(X), len(W)
    for ours, theirs in [
        (ops.largest(*there[:2], there[3], k), reference.largest(X, W, bias, k)),
        (
            ops.collect(*there[:2], there[3], torch.full_like(there[3], 0.5)),
            reference.collect(X, W, bias, 0 * bias + 0.5),
        ),
    ]:
        found = Codes(*(array.cpu().numpy() for array in ours))
        _near(found.as_matrix(n_latents).toarray(), theirs.as_matrix(n_latents).toarray(), tolerance)
    codes = ops.largest(*there[:2], there[3], k)
    on_host = Codes(*(array.cpu().numpy() for array in codes))
    on_host = on_host._replace(values=on_host.values.astype(np.float64))
    out, errors = np.empty((1, *X.shape)), np.empty(n_rows)
    derivatives = np.empty(len(on_host.values))
    ends = np.array([n_latents])
    reference.residuals(on_host, slice(0, n_rows), D, center, X, ends, 0.25, out, errors, derivatives)
    shapes: list[tuple[int, ...]] = [(1, *X.shape), (len(on_host.values),)]
    nans = [torch.full(shape, torch.nan, dtype=there[0].dtype, device=DEVICE) for shape in shapes]
    found_errors = torch.full((n_rows,), torch.nan, dtype=torch.float64, device=DEVICE)
    found_ends = torch.tensor(ends, device=DEVICE)
    ops.residuals(
        codes, slice(0, n_rows), there[2], there[4], there[0], found_ends, 0.25, nans[0], found_errors, nans[1]
    )
    for ours, theirs in [(nans[0], out), (found_errors, errors), (nans[1], derivatives)]:
        _near(ours.cpu().numpy(), theirs, tolerance)
    _compare_learning(ops, reference, there, codes, on_host, tolerance)


def _compare_learning(
    ops: TorchCodeOps, reference: CodeOps, there: list[Tensor], codes: Codes, on_host: Codes, tolerance: float
) -> None:
    """Compare the fused step with a gradient by NumPy and a step of Adam by its formula."""
    X, W = there[0].double().cpu().numpy(), there[2].double().cpu().numpy()
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    weights = torch.tensor(W, dtype=there[0].dtype, device=DEVICE)
    n_latents = len(W)
    gradient = np.empty_like(W)
    by_latent = reference.by_latent(on_host, n_latents)
    reference.gather(by_latent, slice(0, n_latents), on_host.values, X, gradient)
    gradient -= np.einsum("ij,ij->i", gradient, W)[:, None] * W
    moved = W - 0.1 * gradient / (np.abs(gradient) + 1e-3)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    moments = torch.zeros_like(weights), torch.zeros_like(weights)
    rows = LearnedRows(weights, *moments, factors=codes.values, vectors=there[0], on_sphere=True)
    ops.learn(ops.by_latent(codes, n_latents), slice(0, n_latents), rows, AdamStep((0.9, 0.999), 0.1, 1e-3))
    _near(weights.cpu().numpy(), moved, 50 * tolerance)
    _near(moments[0].cpu().numpy(), gradient, tolerance)


def _near(found: Any, expected: Any, tolerance: float) -> None:
    error = np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-300)
    if not error <= tolerance:
        raise SystemExit(f"a kernel is wrong: relative difference {error:.2g}, allowed {tolerance:.2g}")


def check_estimators(rng: np.random.Generator) -> list[str]:
    """Compare fits on the device in float64 with fits by threads of the CPU."""
    X, y = rng.random((300, 20)), rng.integers(0, 3, 300)
    images = rng.random((60, 8, 8))
    made: dict[str, Callable[[Any], Any]] = {
        "SparseAutoencoder, L-BFGS": lambda e: rhohat.SparseAutoencoder(
            n_components=7, max_iter=6, random_state=0, engine=e
        ).fit(X),
        "DenoisingAutoencoder, Adam": lambda e: rhohat.DenoisingAutoencoder(
            n_components=7, max_iter=2, solver="adam", random_state=0, engine=e
        ).fit(X),
        "FeedforwardClassifier, Adam": lambda e: rhohat.FeedforwardClassifier(
            hidden_layer_sizes=(9,), max_iter=2, solver="adam", random_state=0, engine=e
        ).fit(X, y),
        "ConvolutionalClassifier": lambda e: rhohat.ConvolutionalClassifier(
            layers=[rhohat.Convolution(3, 3), rhohat.MaxPooling(2)], max_iter=1, random_state=0, engine=e
        ).fit(images, y[:60]),
        "RecurrentClassifier, LSTM": lambda e: rhohat.RecurrentClassifier(
            layers=[rhohat.LSTM(4)], max_iter=1, random_state=0, engine=e
        ).fit(images, y[:60]),
        "TopKAutoencoder": lambda e: rhohat.TopKAutoencoder(
            n_components=40, k=4, max_iter=2, random_state=0, engine=e
        ).fit(X),
        "BatchTopKAutoencoder": lambda e: rhohat.BatchTopKAutoencoder(
            n_components=40, k=4, max_iter=2, random_state=0, engine=e
        ).fit(X),
        "JumpReLUAutoencoder": lambda e: rhohat.JumpReLUAutoencoder(
            n_components=40, max_iter=2, random_state=0, engine=e
        ).fit(X),
    }
    for name, fit in made.items():
        ours, theirs = (_parameters(fit(engine)) for engine in (TorchEngine(DEVICE, dtype="float64"), None))
        if not np.abs(ours - theirs).max() < 1e-6:
            raise SystemExit(f"{name} on the device differs by {np.abs(ours - theirs).max():.2g} from the CPU's")
    return [f"{name}: the device's fit is the CPU's within 1e-6" for name in made]


def check_several(rng: np.random.Generator) -> list[str]:
    """Compare a dictionary that two devices share, by rows and by latents, with that of threads of the CPU."""
    devices = ["cpu", "cpu"] if ON_CPU else list(range(torch.cuda.device_count()))[:2]
    if len(devices) < 2:
        return ["several devices: not checked, as there is one"]
    X, done = rng.random((300, 20)), []
    model = rhohat.BatchTopKAutoencoder(n_components=41, k=4, max_iter=2, random_state=0)
    theirs = _parameters(model.fit(X))
    for split in ("rows", "latents"):
        ours = _parameters(model.set_params(engine=TorchEngine(devices=devices, dtype="float64", split=split)).fit(X))
        if not np.abs(ours - theirs).max() < 1e-6:
            raise SystemExit(f"two devices that share {split} differ by {np.abs(ours - theirs).max():.2g} from the CPU")
        done.append(f"two devices that share {split}: a dictionary's fit is the CPU's within 1e-6")
    return done


def _parameters(model: Any) -> Any:
    return (
        model.theta_
        if hasattr(model, "theta_")
        else np.concatenate([model.components_.ravel(), model.decoder_.ravel()])
    )


# Times.


def measure(works: dict[str, Callable[[], Any]], n_runs: int) -> dict[str, float]:
    """Return the median milliseconds of each work, all in turns after a run that is not counted.

    A work for which the device has too little memory is told and left out.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(n_runs + 1):
        for name in list(times):
            _wait()
            start = time.perf_counter()
            try:
                works[name]()
            except (torch.OutOfMemoryError, MemoryError) as error:
                print(f"{name} is left out: {str(error).splitlines()[0]}", flush=True)
                del times[name]
                continue
            _wait()
            if number:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(some) for name, some in times.items()}


def _wait() -> None:
    if not ON_CPU:
        torch.cuda.synchronize()


def rows_of(case: str, works: dict[str, Callable[[], Any]], n_runs: int) -> list[Row]:
    """Return the lines of a case, whose first work all others are compared with."""
    found = measure(works, n_runs)
    first = next(iter(found.values()))
    return [Row(case, name, time_, time_ / first) for name, time_ in found.items()]


def time_objective(n_rows: int, width: int, n_hidden: int, n_runs: int) -> list[Row]:
    """Time J and its gradient of a sparse autoencoder over all rows, beside the six products that it needs."""
    X = np.random.default_rng(0).random((n_rows, width), np.float32)
    network = dense_network((width, n_hidden, width), (Sigmoid(), Sigmoid()))
    problem = Problem(network, X, penalties=[WeightDecay(1e-4), KLSparsity(0.05, 3.0)])
    theta = network.initial_theta(np.random.default_rng(1))
    J = make_objective(problem, TorchEngine(DEVICE))
    there, W = torch.tensor(X, device=DEVICE), torch.rand(width, n_hidden, device=DEVICE)
    hidden = torch.rand(n_rows, n_hidden, device=DEVICE)

    def products() -> None:
        _ = there @ W, hidden @ W.T, there @ W, there.T @ hidden, hidden.T @ there

    works = {"rhohat": lambda: J(theta), "the five products alone": products}
    threads = make_objective(problem, ThreadEngine())
    if ON_CPU or n_rows <= 60_000:
        works["rhohat on this machine's CPU"] = lambda: threads(theta)
    return rows_of(f"J, ∇J: {n_rows:,} × {width}, {n_hidden} hidden, float32", works, n_runs)


def time_epochs(n_rows: int, width: int, n_hidden: int, n_runs: int) -> list[Row]:
    """Time epochs of Adam with mini-batches of 256, beside the same by threads of the CPU."""
    X = np.random.default_rng(0).random((n_rows, width), np.float32)

    def epochs(engine: Any) -> Callable[[], Any]:
        model = rhohat.SparseAutoencoder(
            n_components=n_hidden, solver="adam", max_iter=2, random_state=0, engine=engine, output_activation="sigmoid"
        )
        return lambda: model.fit(X)

    works = {"rhohat": epochs(TorchEngine(DEVICE)), "rhohat on this machine's CPU": epochs(None)}
    return rows_of(
        f"two epochs of Adam, whole fits: {n_rows:,} × {width}, {n_hidden} hidden, batches of 256", works, n_runs
    )


def time_networks(n_rows: int, n_runs: int) -> list[Row]:
    """Time epochs of LeNet and of an LSTM, beside the CPU's."""
    rng = np.random.default_rng(0)
    images, y = rng.random((n_rows, 28, 28), np.float32), rng.integers(0, 10, n_rows)
    lenet = [
        rhohat.Convolution(20, 5),
        rhohat.MaxPooling(2),
        rhohat.Convolution(50, 5),
        rhohat.MaxPooling(2),
        rhohat.Dense(500),
    ]

    def fit(kind: Any, layers: list[Any], engine: Any) -> Callable[[], Any]:
        model = kind(layers=layers, solver="adam", max_iter=1, random_state=0, engine=engine)
        return lambda: model.fit(images, y)

    rows = []
    for name, kind, layers in [
        ("LeNet", rhohat.ConvolutionalClassifier, lenet),
        ("LSTM of 128 units", rhohat.RecurrentClassifier, [rhohat.LSTM(128)]),
    ]:
        works = {
            "rhohat": fit(kind, layers, TorchEngine(DEVICE)),
            "rhohat on this machine's CPU": fit(kind, layers, None),
        }
        rows += rows_of(f"an epoch of {name}: {n_rows:,} images of 28×28", works, n_runs)
    return rows


def time_dictionary(n_batch: int, width: int, n_latents: int, k: int, n_runs: int) -> list[Row]:
    """Time steps of a TopK dictionary, beside dense PyTorch, two sparse decoders, and the product alone."""
    X = np.random.default_rng(0).normal(size=(n_batch, width)).astype(np.float32)
    works: dict[str, Callable[[], Any]] = {"rhohat": _step_of_dictionary(X, n_latents, k)}
    stepper = _Steps(n_batch, width, n_latents, k)
    for name in ("dense PyTorch", "dense PyTorch, compiled", "embedding bag", "sparse matrices"):
        if name == "dense PyTorch, compiled" and ON_CPU:
            continue
        works[name] = stepper.step_of(name, X)
    a, W = torch.tensor(X, device=DEVICE), torch.rand(n_latents, width, device=DEVICE)
    works["the encoder's product alone"] = lambda: a.bfloat16() @ W.bfloat16().T
    case = f"a step of TopK: {n_batch:,} × {width}, {n_latents:,} latents, k = {k}, bfloat16 products"
    return rows_of(case, works, n_runs)


def _step_of_dictionary(X: Any, n_latents: int, k: int) -> Callable[[], Any]:
    """Return a step of rhohat on a batch that is on the device."""
    selection, solver = TopK(k), rhohat.Adam(1e-4, batch_size=len(X))
    start = DictionaryStart(
        selection,
        n_latents,
        normalize="mean_norm",
        center=True,
        decoder_norm=True,
        auxiliary_weight=0.0,
        dead_after=10**9,
        sparsity_weight=0.0,
        target_l0=None,
        active_at_start=None,
        has_skip=False,
    )
    problem, theta = start.problem_and_theta([X], 0)
    state = DictionaryState.at_start(theta, problem, solver)
    trainer = DeviceTrainer(problem, solver, state, TorchEngine(DEVICE, products="bfloat16"))
    there = torch.tensor(X, device=DEVICE)
    return lambda: trainer.learn(there)


class _Steps:
    """Training steps of a TopK dictionary as PyTorch's users write them, with automatic differentiation and Adam."""

    def __init__(self, n_batch: int, width: int, n_latents: int, k: int) -> None:
        draw = torch.Generator().manual_seed(0)
        decoder = functional.normalize(torch.randn(n_latents, width, generator=draw), dim=1).to(DEVICE)
        self._start, self._k = (decoder.clone(), decoder, torch.zeros(n_latents, device=DEVICE)), k

    def step_of(self, name: str, X: Any) -> Callable[[], Any]:
        """Return a function that takes a step of one kind."""
        rows = torch.tensor(X, device=DEVICE)
        encoder, decoder, bias = (torch.nn.Parameter(one.clone()) for one in self._start)
        center = torch.nn.Parameter(torch.zeros(rows.shape[1], device=DEVICE))
        optimiser = torch.optim.Adam([encoder, decoder, bias, center], 1e-4, fused=not ON_CPU)
        decode = {"embedding bag": _embedding_bag, "sparse matrices": _sparse_matrix}.get(name, _dense)

        def loss() -> Tensor:
            with torch.autocast(DEVICE, torch.bfloat16):
                values, latents = torch.topk((rows - center) @ encoder.T + bias, self._k)
            made = decode(torch.relu(values.float()), latents, decoder) + center
            return (made - rows).square().sum(1).mean() / 2

        used = torch.compile(loss) if name.endswith("compiled") else loss

        def step() -> None:
            optimiser.zero_grad()
            used().backward()
            with torch.no_grad():
                gradient: Tensor = decoder.grad
                gradient -= (gradient * decoder).sum(1, keepdim=True) * decoder
                optimiser.step()
                decoder.div_(decoder.norm(dim=1, keepdim=True))

        return step


def _dense(values: Tensor, latents: Tensor, decoder: Tensor) -> Tensor:
    codes = torch.zeros(len(values), len(decoder), device=values.device).scatter(1, latents, values)
    with torch.autocast(DEVICE, torch.bfloat16):
        return (codes @ decoder).float()


def _embedding_bag(values: Tensor, latents: Tensor, decoder: Tensor) -> Tensor:
    return functional.embedding_bag(latents, decoder, per_sample_weights=values, mode="sum")


def _sparse_matrix(values: Tensor, latents: Tensor, decoder: Tensor) -> Tensor:
    """Decode through a sparse matrix, whose transpose multiplies the residuals on the way back."""
    return _SparseDecoding.apply(values, latents, decoder)


class _SparseDecoding(torch.autograd.Function):
    """A decoder whose gradients are sparse products: of values by gathered rows, of weights by the codes' transpose."""

    @staticmethod
    def forward(context: Any, values: Tensor, latents: Tensor, decoder: Tensor) -> Tensor:
        context.save_for_backward(values, latents, decoder)
        starts = torch.arange(len(values) + 1, device=values.device) * values.shape[1]
        codes = torch.sparse_csr_tensor(starts, latents.ravel(), values.ravel(), (len(values), len(decoder)))
        return codes @ decoder

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor]:
        values, latents, decoder = context.saved_tensors
        (residual,) = gradients
        of_values, numbers = torch.empty_like(values), torch.arange(len(values), device=values.device)
        at_once = max(1, 2**26 // (values.shape[1] * decoder.shape[1]))
        for rows in numbers.split(at_once):
            of_values[rows] = torch.einsum("rkd,rd->rk", decoder[latents[rows]], residual[rows])
        numbers = numbers.repeat_interleave(values.shape[1])
        transposed = torch.sparse_coo_tensor(
            torch.stack([latents.ravel(), numbers]), values.ravel(), (len(decoder), len(values))
        )
        return of_values, None, torch.sparse.mm(transposed, residual)


# The whole.


def main() -> None:
    """Check, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu", action="store_true", help="run everything on the CPU, at small sizes")
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("OUT", "benchmarks/results-gpu")))
    parser.add_argument("--only-checks", action="store_true", help="check, and measure nothing")
    options = parser.parse_args()
    if not ON_CPU and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no CUDA device on this machine; --cpu runs everything on the CPU.")
    warnings.simplefilter("ignore")  # fits here are too short to converge
    rng = np.random.default_rng()
    checked = [*check_kernels(rng), *check_estimators(rng), *check_several(rng)]
    print("\n".join(checked), flush=True)
    rows = [] if options.only_checks else _measured()
    _write(options.output, checked, rows)


def _measured() -> list[Row]:
    """Measure all cases, and tell what each of them took, with the largest memory of the device that was in use."""
    cases: list[Callable[[], list[Row]]]
    if ON_CPU:
        cases = [
            lambda: time_objective(2000, 64, 25, 3),
            lambda: time_epochs(1024, 64, 25, 2),
            lambda: time_networks(64, 1),
            lambda: time_dictionary(256, 64, 256, 8, 2),
        ]
    else:
        cases = [
            lambda: time_objective(60_000, 784, 196, 20),
            lambda: time_epochs(60_000, 784, 196, 3),
            lambda: time_networks(10_000, 3),
            lambda: time_dictionary(8192, 768, 24_576, 32, 15),
            lambda: time_dictionary(16_384, 4096, 131_072, 64, 5),
        ]
    rows: list[Row] = []
    for case in cases:
        found = case()
        for row in found:
            print(f"{row.case}: {row.contender} {row.milliseconds:.3g} ms", flush=True)
        if not ON_CPU:
            print(f"largest memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB", flush=True)
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.empty_cache()
        rows += found
    return rows


def _write(folder: Path, checked: list[str], rows: list[Row]) -> None:
    """Write the results as JSON and as a table of Markdown, with the name of the card."""
    card = platform.processor() or platform.machine() if ON_CPU else torch.cuda.get_device_name()
    where = {"device": card, "torch": torch.__version__, "rhohat": rhohat.__version__}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**where, "checked": checked, "rows": [vars(row) for row in rows]}, indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    lines = [
        f"{card}, PyTorch {torch.__version__}. Medians; the ratio is to the first line of a case.",
        "",
        "| case | computed by | ms | ratio |",
        "|---|---|---:|---:|",
        *(f"| {row.case} | {row.contender} | {row.milliseconds:.3g} | {row.ratio or 1:.2f} |" for row in rows),
        "",
    ]
    (folder / "results.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
