"""The architectures in the table of proofs that have recurrent layers, and the losses and penalties of their rows.

Each architecture gets rows with every penalty, and losses in turn: those of a target per sequence, or those of a target
at each step. In padded architectures, sequences have unequal lengths, and some steps have no target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers import (
    DenseLayer,
    GRULayer,
    Layer,
    LSTMLayer,
    RecurrentLayer,
    SimpleRecurrentLayer,
    StepwiseDenseLayer,
)
from rhohat.layers.activations import Activation, Identity, LeakyReLU, PerStep, Sigmoid, Softmax, as_activation
from rhohat.layers.network import Network, network_of
from rhohat.terms.losses import (
    BinaryCrossEntropy,
    GaussianLoss,
    LabelNoiseCrossEntropy,
    Loss,
    SoftmaxCrossEntropy,
    SquaredError,
)
from rhohat.terms.penalties import KLSparsity, L1Sparsity, Penalty, WeightDecay
from rhohat.terms.stepwise_loss import StepwiseLoss

__all__ = ["PENALTIES_OF_SEQUENCES", "SEQUENCE_ARCHITECTURES", "SequenceArchitecture", "pad", "stepwise_loss"]

_N_STEPS, _N_CHANNELS, _N_UNITS = 3, 2, 2

#: The penalties of networks with recurrent layers.
PENALTIES_OF_SEQUENCES: list[tuple[Penalty, ...]] = [
    (),
    (WeightDecay(0.1),),
    (WeightDecay(0.1, include_biases=True), L1Sparsity(0.1)),
    (WeightDecay(0.1), KLSparsity(0.1, 3.0)),
]
#: Losses of each step, and the activations of the steps of the output.
_LOSSES_OF_STEPS: list[tuple[Loss, Activation]] = [
    (SquaredError(), Identity()),
    (SquaredError(), LeakyReLU()),
    (SquaredError(), Softmax()),
    (GaussianLoss([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]]), Identity()),
    (BinaryCrossEntropy(), Sigmoid()),
    (LabelNoiseCrossEntropy(0.2), Sigmoid()),
    (SoftmaxCrossEntropy(), Softmax()),
]


@dataclass(frozen=True)
class SequenceArchitecture:
    """A network for sequences without its activations.

    Attributes
    ----------
    kinds : tuple of str
        Names of the kinds of recurrent layers, from the input on.
    bidirectional : bool
        Whether each of them goes through the steps in both directions.
    per_step : bool
        Whether there is an output for each step, rather than one for the whole sequence.
    padded : bool
        Whether sequences have unequal lengths.
    """

    kinds: tuple[str, ...]
    bidirectional: bool
    per_step: bool
    padded: bool

    @property
    def name(self) -> str:
        """Name of the architecture in the table of proofs."""
        words = ["bidirectional" * self.bidirectional, "_and_".join(self.kinds), "per_step" * self.per_step]
        return "_".join(word for word in [*words, "padded" * self.padded] if word)

    @property
    def takes_activations(self) -> bool:
        """Whether there is a layer whose activation can be chosen."""
        return "simple_recurrent" in self.kinds

    def network(self, activation: str, output: Activation, n_outputs: int) -> Network:
        """Return the network.

        Parameters
        ----------
        activation : str
            Name of the activation of simple recurrent layers; the others have their own.
        output : Activation
            Activation of the output, or of each step of it.
        n_outputs : int
            Number of outputs, for each step if there is an output for each.
        """
        layers: list[Layer] = []
        n_channels = _N_CHANNELS
        for place, kind in enumerate(self.kinds, start=1):
            layer = _KINDS[kind](
                _N_STEPS,
                n_channels,
                _N_UNITS,
                return_sequences=self.per_step or place < len(self.kinds),
                bidirectional=self.bidirectional,
                **({"activation": as_activation(activation)} if kind == "simple_recurrent" else {}),
            )
            layers.append(layer)
            n_channels = layer.output_channels
        if self.per_step:
            of_steps = PerStep(output, _N_STEPS) if isinstance(output, Softmax) else output
            layers.append(StepwiseDenseLayer(_N_STEPS, n_channels, n_outputs, of_steps))
        else:
            layers.append(DenseLayer(n_channels, n_outputs, output))
        return network_of(layers, (_N_STEPS, _N_CHANNELS))


_KINDS: dict[str, Callable[..., RecurrentLayer]] = {
    "simple_recurrent": SimpleRecurrentLayer,
    "lstm": LSTMLayer,
    "lstm_with_peepholes": partial(LSTMLayer, peepholes=True),
    "gru": GRULayer,
}


def _architectures() -> Iterator[SequenceArchitecture]:
    """Yield every kind of layer with every setting, and then stacks of two kinds of layers."""
    for kind, *settings in product(_KINDS, [False, True], [False, True], [False, True]):
        yield SequenceArchitecture((kind,), *settings)
    yield SequenceArchitecture(("simple_recurrent", "lstm"), bidirectional=True, per_step=True, padded=True)
    yield SequenceArchitecture(("gru", "lstm_with_peepholes"), bidirectional=False, per_step=False, padded=True)


#: The architectures, of which each gets its rows of the table.
SEQUENCE_ARCHITECTURES: tuple[SequenceArchitecture, ...] = tuple(_architectures())


def stepwise_loss(number: int) -> tuple[Loss, Activation]:
    """Return the loss of each step for a row of the table, by its number, and the activation of the output's steps."""
    loss, output = _LOSSES_OF_STEPS[number % len(_LOSSES_OF_STEPS)]
    return StepwiseLoss(loss, _N_STEPS), output


def pad(X: FloatArray, y: FloatArray, draw: np.random.Generator, *, per_step: bool) -> None:
    """Shorten sequences to random lengths by NaN in place of their last steps, and take some targets of steps away.

    The first sequence has one step, and the second one has all of them.
    """
    steps = X.reshape(len(X), _N_STEPS, -1)
    lengths = draw.integers(1, _N_STEPS + 1, len(X))
    lengths[:2] = 1, _N_STEPS
    steps[np.arange(_N_STEPS) >= lengths[:, None]] = np.nan
    if per_step:
        y.reshape(len(y), _N_STEPS, -1)[1::2, -1] = np.nan
