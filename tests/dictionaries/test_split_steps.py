"""Steps of dictionaries that several processes take together are those of one, whether they share rows or latents."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rhohat import SGD, TorchEngine
from rhohat.dictionaries.dead_latents import AuxiliaryLoss
from rhohat.dictionaries.device_training import DeviceTrainer
from rhohat.dictionaries.parameters import Layout, Parameters
from rhohat.dictionaries.scaling import Scaling
from rhohat.dictionaries.selections import BatchTopK, Matryoshka, TopK
from rhohat.dictionaries.split_latents import slices_of
from rhohat.dictionaries.split_training import SplitTrainer
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState
from rhohat.engines.group import Group
from rhohat.solvers import Adam
from tests.dictionaries.test_step_by_step import CASES, N_FEATURES, N_LATENTS, PREFIXES, batches, trainer_of
from tests.groups import in_a_group
from tests.tolerances import EXACT, FLOAT32_COST

TRAINERS = {"rows": DeviceTrainer, "latents": SplitTrainer}
TOLERANCES = {"float64": EXACT, "float32": FLOAT32_COST}
N_STEPS = 7
FREE = {"center": False, "decoder_norm": False}
#: Further settings, by name: the case, what is changed of its problem, its solver, and how the dictionary is trained.
FURTHER = {
    "TopK, free": ("TopK", {}, Adam(learning_rate=0.01), FREE),
    "Matryoshka, free": ("Matryoshka", {}, Adam(learning_rate=0.01), FREE),
    "L1 with a target, free": ("L1", {"target_l0": 3.0}, Adam(learning_rate=0.01), FREE),
    "Gated with a target": ("Gated", {"target_l0": 3.0}, Adam(learning_rate=0.01), {}),
    "BatchTopK by SGD": ("BatchTopK", {}, SGD(learning_rate=0.02), {}),
}
TIED = {"TopK": TopK(4), "BatchTopK": BatchTopK(3.7), "Matryoshka": Matryoshka(4.0, PREFIXES)}


def host_trainers():
    """Trainers of threads, which give the problem, the solver and the start, by name."""
    found = {name: trainer_of(selection, weight, ops="numpy") for name, (_, selection, _, weight) in CASES.items()}
    for name, (case, changed, solver, how) in FURTHER.items():
        trainer = trainer_of(CASES[case][1], CASES[case][3], ops="numpy", **how)
        trainer.problem, trainer._solver = replace(trainer.problem, **changed), solver
        trainer._state = DictionaryState.at_start(trainer.state.theta, trainer.problem, solver)
        found[name] = trainer
    return found


def tied(selection):
    """A trainer with pre-activations that are whole numbers, of which many are equal, and with dead latents."""
    draw = np.random.default_rng(3)
    encoder, bias = (draw.integers(-2, 3, shape).astype(float) for shape in ((N_LATENTS, N_FEATURES), N_LATENTS))
    directions = draw.standard_normal((N_LATENTS, N_FEATURES))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    layout = Layout(N_FEATURES, N_LATENTS, N_FEATURES)
    problem = DictionaryProblem(
        selection, layout, Scaling(), auxiliary=AuxiliaryLoss(1 / 32, N_FEATURES // 2), dead_after=100
    )
    theta = layout.pack(Parameters(encoder, directions, bias, np.zeros(N_FEATURES), {}))
    state = DictionaryState.at_start(theta, problem, Adam(learning_rate=0.01))
    state.rows_since_fired[1::3] = 100
    return problem, state


def learned(trainer, given):
    """What a trainer has learned of batches, and the figures of each of them."""
    figures = []
    for batch in given:
        found = trainer.learn(batch)
        figures.append([*map(float, found.terms.values()), float(found.squared_error), float(found.n_active)])
    n_dead, dtype = trainer.n_dead, trainer._dtype
    trainer.come_home()
    state = trainer.read()
    arrays = {"figures": np.array(figures), "n_dead": np.array(n_dead), **state.as_run_state().arrays}
    return {key: value.astype(dtype) if value.dtype == float else value for key, value in arrays.items()}


def all_learned(engines):
    """What each trainer has learned on each engine, by the names of the trainer, the engine and the array."""
    found = {}
    for key, engine in engines.items():
        made = TRAINERS[engine.split]
        for name, host in host_trainers().items():
            trainer = made(host.problem, host._solver, host.state, engine)
            found[name, *key] = learned(trainer, batches(N_STEPS))
        for name, selection in TIED.items():
            problem, state = tied(selection)
            whole = np.random.default_rng(4).integers(-2, 3, (37, N_FEATURES)).astype(float)
            found[f"{name} with ties", *key] = learned(made(problem, Adam(learning_rate=0.01), state, engine), [whole])
    return {"|".join((*keys, name)): array for keys, arrays in found.items() for name, array in arrays.items()}


def engines_of_a_group():
    rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    group, wanted = Group(rank, size, is_joined=True), [("latents", dtype, "") for dtype in TOLERANCES]
    if size == 3:
        wanted += [*(("rows", dtype, "") for dtype in TOLERANCES), ("latents", "float32", "again")]
    return {
        (split, dtype, turn): TorchEngine(devices=["cpu"] * size, dtype=dtype, split=split).in_group(group, "cpu")
        for split, dtype, turn in wanted
    }


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor has that an operation returned."""

    n_numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        returned = function(*arguments, **(settings or {}))
        for one in returned if isinstance(returned, tuple | list) else (returned,):
            if isinstance(one, torch.Tensor):
                self.n_numbers = max(self.n_numbers, one.numel())
        return returned


WIDE = Layout(N_FEATURES, 3001, N_FEATURES)  # so many latents that all else is small


def n_numbers_of_the_largest(engine):
    """Size of the largest tensor while a wide dictionary is trained, some of whose latents are dead."""
    problem = DictionaryProblem(
        TopK(4), WIDE, Scaling(), auxiliary=AuxiliaryLoss(1 / 32, N_FEATURES // 2), dead_after=30
    )
    theta = np.random.default_rng(1).standard_normal(WIDE.n_parameters)
    trainer = TRAINERS[engine.split](problem, Adam(), DictionaryState.at_start(theta, problem, Adam()), engine)
    with Largest() as largest:
        for batch in batches(4, n_rows=20):
            trainer.learn(batch)
        assert trainer.n_dead > 0
    trainer.come_home()
    return largest.n_numbers


def in_each_process():
    """What this process learns of all cases, and the size of its largest tensor."""
    engines = engines_of_a_group()
    largest = n_numbers_of_the_largest(engines["latents", "float32", ""])
    return {**all_learned(engines), **sums_in_order(), "largest": np.array(largest)}


def sums_in_order():
    """Sums over all processes of numbers whose sum depends on its order, and of a single number."""
    group = Group(torch.distributed.get_rank(), torch.distributed.get_world_size())
    many, one = torch.tensor(summands(group.rank)), torch.tensor(float(group.rank))
    for numbers in (many, one):
        group.add_up_in_order(numbers)
    return {"sums": many.numpy(), "one sum": one.numpy()}


def summands(rank):
    return (10.0 ** (8 - 4 * rank) * np.random.default_rng(rank).standard_normal((5, 7))).astype(np.float32)


def check_steps(returned, size):
    """Check what processes have learned beside what one learns; all of them have the same bits."""
    expected = all_learned({("", dtype): TorchEngine("cpu", dtype=dtype) for dtype in TOLERANCES})
    first, *others = returned
    for key, array in first.items():
        for other in others:
            if key != "largest":
                np.testing.assert_array_equal(array, other[key], err_msg=key)
    for name in (key for key in first if "||" in key):
        case, split, dtype, _, array = name.split("|")
        known = expected["|".join((case, "", dtype, array))]
        atol = TOLERANCES[dtype] * (1 + np.abs(known).max())
        np.testing.assert_allclose(first[name], known, rtol=0, atol=atol, err_msg=f"{name} of {size}")
        if array == "n_dead":
            assert known > 0, name
        if (split, dtype, size) == ("latents", "float32", 3):
            again = first["|".join((case, split, dtype, "again", array))]
            np.testing.assert_array_equal(first[name], again, err_msg=name)
    in_order = summands(0)
    for rank in range(1, size):
        in_order = in_order + summands(rank)
    np.testing.assert_array_equal(first["sums"], in_order)
    assert first["one sum"] == size * (size - 1) / 2
    largest = max(replace(WIDE, n_latents=one.stop - one.start).n_parameters for one in slices_of(3001, size))
    assert all(one["largest"] <= largest for one in returned)


@pytest.fixture
def _one_thread():
    """Small tensors are not worth several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
def test_three_processes_take_the_steps_of_one(tmp_path):
    """For all selections, with dead latents, whether rows or latents are split; of two, see `test_split_fits`."""
    check_steps(in_a_group(in_each_process, 3, tmp_path), 3)
