"""The training step of sparse dictionaries by PyTorch's automatic differentiation: dense, in float64, by the formulas.

Written apart from the package, which it checks. Rows are row vectors: X is of shape (n_rows, n_features), and `W_enc`
and `W_dec` have one row for each latent. The squared error is halved, summed over features and averaged over rows, in
every term. What is held fixed is detached; what has a pseudo-gradient is a function of its own.
"""

import numpy as np
import torch

from tests.automatic_torch import one_thread

ZERO = torch.tensor(0.0, dtype=torch.float64)
KINDS = ("topk", "batchtopk", "matryoshka", "l1", "jumprelu", "gated")


class Jump(torch.autograd.Function):
    """f = a · 1[a > θ], whose derivative by θ is taken to be −(θ/ε) K((a − θ)/ε) with K(u) = 1[|u| < ½]."""

    @staticmethod
    def forward(ctx, a, threshold, bandwidth):
        ctx.save_for_backward(a, threshold)
        ctx.bandwidth = bandwidth
        return torch.where(a > threshold, a, 0.0)

    @staticmethod
    def backward(ctx, gradient):
        a, threshold = ctx.saved_tensors
        K = ((a - threshold) / ctx.bandwidth).abs() < 0.5
        return gradient * (a > threshold), (gradient * -(threshold / ctx.bandwidth) * K).sum(0), None


class Heaviside(torch.autograd.Function):
    """H(a − θ) = 1[a > θ], whose derivative by a is 0, and by θ is taken to be −(1/ε) K((a − θ)/ε)."""

    @staticmethod
    def forward(ctx, a, threshold, bandwidth):
        ctx.save_for_backward(a, threshold)
        ctx.bandwidth = bandwidth
        return (a > threshold).to(a.dtype)

    @staticmethod
    def backward(ctx, gradient):
        a, threshold = ctx.saved_tensors
        K = ((a - threshold) / ctx.bandwidth).abs() < 0.5
        return None, (gradient * -(1 / ctx.bandwidth) * K).sum(0), None


def tensor(rows):
    return torch.tensor(np.ascontiguousarray(rows, dtype=np.float64))


def largest(values, n):
    """The places of the n largest values of each row; of equal ones the first."""
    return torch.sort(values, dim=-1, descending=True, stable=True).indices[..., :n]


def half_squared_error(outputs, targets):
    """½ ‖output − target‖², summed over features, mean over rows."""
    return 0.5 * ((outputs - targets) ** 2).sum(1).mean()


def default_prefixes(n_latents):
    """A sixteenth, an eighth, a quarter, half and all of the latents, each number once."""
    return sorted({max(n_latents // divisor, 1) for divisor in (16, 8, 4, 2, 1)})


class Reference:
    """A dictionary in training: NumPy arrays in, NumPy arrays out, all of them float64.

    `parameters` are `W_enc` and `W_dec` (n_latents, n_features), `b_enc` (n_latents,), `b_dec` (n_features,); for
    "jumprelu" `threshold`, and for "gated" `r_mag` and `b_mag`, all (n_latents,).
    """

    def __init__(
        self,
        kind,
        parameters,
        *,
        k=None,
        prefixes=None,
        sparsity_weight=0.0,
        target_l0=None,
        bandwidth=0.05,
        center=True,
        decoder_norm=True,
        auxiliary_weight=1 / 32,
        n_auxiliary=None,
        dead_after=10**9,
        betas=(0.9, 0.999),
        epsilon=1e-8,
    ):
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, not {kind!r}")
        self.kind = kind
        self.parameters = {name: np.array(values, dtype=np.float64) for name, values in parameters.items()}
        n_latents, n_features = self.parameters["W_dec"].shape
        self.k = k
        self.prefixes = default_prefixes(n_latents) if prefixes is None else prefixes
        self.sparsity_weight = sparsity_weight
        self.target_l0 = target_l0
        self.bandwidth = bandwidth
        self.center = center
        self.decoder_norm = decoder_norm
        self.auxiliary_weight = auxiliary_weight
        self.n_auxiliary = n_features // 2 if n_auxiliary is None else n_auxiliary
        self.dead_after = dead_after
        self.betas = betas
        self.epsilon = epsilon
        self.rows_since_fired = np.zeros(n_latents, dtype=np.int64)
        self.threshold_sum = self.threshold_weight = 0.0
        self._n_steps = 0
        self._first_moments = {name: np.zeros_like(values) for name, values in self.parameters.items()}
        self._second_moments = {name: np.zeros_like(values) for name, values in self.parameters.items()}

    def loss(self, X, Y=None):
        """The terms of J on a batch, whose sum is J; targets Y are X where they are not given."""
        return self._evaluate(X, Y)[0]

    def gradients(self, X, Y=None):
        """∇J on a batch, before it is projected."""
        return self._evaluate(X, Y)[1]

    def step(self, X, learning_rate, Y=None):
        """Take one step of training on a batch; the terms of J are those before it."""
        terms, gradients, codes = self._evaluate(X, Y)
        self._count(codes)
        if self.kind in ("batchtopk", "matryoshka"):
            self._average_threshold(codes)
        self._update(gradients, learning_rate)
        return terms

    def encode(self, X):
        """The codes of rows at inference."""
        p = {name: torch.tensor(values) for name, values in self.parameters.items()}
        a, f = self._encode(p, tensor(X))
        if self.kind in ("batchtopk", "matryoshka"):
            threshold = self.threshold_sum / self.threshold_weight if self.threshold_weight > 0 else 0.0
            f = torch.where(a > threshold, a, 0.0)
        return f.numpy()

    @one_thread()
    def _evaluate(self, X, Y):
        """The terms of J, ∇J, and the codes, of a batch."""
        X = tensor(X)
        Y = X if Y is None else tensor(Y)
        p = {name: torch.tensor(values, requires_grad=True) for name, values in self.parameters.items()}
        a, f = self._encode(p, X)
        terms = {
            "loss": self._loss(p, f, Y),
            "sparsity": self._sparsity(p, a, f),
            "gate": self._gate(p, a, Y),
            "auxiliary": self._auxiliary(p, a, f, Y),
        }
        gradients = torch.autograd.grad(sum(terms.values()), list(p.values()))
        return (
            {name: term.item() for name, term in terms.items()},
            {name: gradient.numpy() for name, gradient in zip(p, gradients, strict=True)},
            f.detach().numpy(),
        )

    def _encode(self, p, X):
        """The pre-activations a, and the codes f that are selected in training."""
        centered = X - p["b_dec"] if self.center else X
        projections = centered @ p["W_enc"].T
        a = projections + p["b_enc"]
        if self.kind == "topk":
            selected = torch.zeros_like(a, dtype=torch.bool).scatter(1, largest(a, self.k), True)
            return a, torch.where(selected & (a > 0), a, 0.0)
        if self.kind in ("batchtopk", "matryoshka"):
            selected = torch.zeros_like(a, dtype=torch.bool).flatten()
            selected[largest(a.flatten(), round(self.k * len(X)))] = True
            return a, torch.where(selected.reshape(a.shape) & (a > 0), a, 0.0)
        if self.kind == "jumprelu":
            return a, Jump.apply(a, p["threshold"], self.bandwidth)
        if self.kind == "gated":
            magnitudes = torch.relu(torch.exp(p["r_mag"]) * projections + p["b_mag"])
            return a, torch.where(a > 0, magnitudes, 0.0)
        return a, torch.relu(a)

    def _loss(self, p, f, Y):
        """The error of the reconstructions; for "matryoshka" the mean of the errors of nested dictionaries."""
        prefixes = self.prefixes if self.kind == "matryoshka" else [f.shape[1]]
        errors = [half_squared_error(f[:, :end] @ p["W_dec"][:end] + p["b_dec"], Y) for end in prefixes]
        return sum(errors) / len(errors)

    def _sparsity(self, p, a, f):
        if self.kind == "l1":
            return self.sparsity_weight * (f * torch.linalg.vector_norm(p["W_dec"], dim=1)).sum(1).mean()
        if self.kind == "jumprelu":
            L0 = Heaviside.apply(a, p["threshold"], self.bandwidth).sum(1).mean()
            return self.sparsity_weight * (L0 if self.target_l0 is None else (L0 / self.target_l0 - 1) ** 2)
        if self.kind == "gated":
            return self.sparsity_weight * torch.relu(a).sum(1).mean()
        return ZERO

    def _gate(self, p, a, Y):
        """The error of what the gates' own pre-activations reconstruct, with the decoder held fixed."""
        if self.kind != "gated":
            return ZERO
        return half_squared_error(torch.relu(a) @ p["W_dec"].detach() + p["b_dec"].detach(), Y)

    def _auxiliary(self, p, a, f, Y):
        """AuxK: the error of what dead latents reconstruct of the residual, which is held fixed."""
        (dead,) = np.nonzero(self.rows_since_fired >= self.dead_after)
        if len(dead) == 0 or self.auxiliary_weight == 0:
            return ZERO
        residuals = (Y - (f @ p["W_dec"] + p["b_dec"])).detach()
        a_dead = a[:, dead]
        chosen = largest(a_dead, self.n_auxiliary)
        z = torch.zeros_like(a_dead).scatter(1, chosen, a_dead.gather(1, chosen))
        share = min(1, len(dead) / self.n_auxiliary)
        return self.auxiliary_weight * share * half_squared_error(z @ p["W_dec"][dead], residuals)

    def _count(self, codes):
        fired = (codes > 0).any(0)
        self.rows_since_fired = np.where(fired, 0, self.rows_since_fired + len(codes))

    def _average_threshold(self, codes):
        """Move the average towards the smallest activation that was kept, if any was."""
        if (codes > 0).any():
            stays = min(0.999, max(0, 1 - 20 / (self._n_steps + 1)))
            self.threshold_sum = stays * self.threshold_sum + (1 - stays) * codes[codes > 0].min()
            self.threshold_weight = stays * self.threshold_weight + (1 - stays)

    def _update(self, gradients, learning_rate):
        """Take a step of Adam, within the constraints."""
        if self.decoder_norm:
            g, w = gradients["W_dec"], self.parameters["W_dec"]
            gradients = gradients | {"W_dec": g - (g * w).sum(1, keepdims=True) * w}
        self._n_steps += 1
        beta_1, beta_2 = self.betas
        for name, g in gradients.items():
            m = self._first_moments[name] = beta_1 * self._first_moments[name] + (1 - beta_1) * g
            v = self._second_moments[name] = beta_2 * self._second_moments[name] + (1 - beta_2) * g**2
            m_hat, v_hat = m / (1 - beta_1**self._n_steps), v / (1 - beta_2**self._n_steps)
            self.parameters[name] = self.parameters[name] - learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)
        if self.decoder_norm:
            norms = np.linalg.norm(self.parameters["W_dec"], axis=1, keepdims=True)
            self.parameters["W_dec"] = self.parameters["W_dec"] / np.where(norms > 0, norms, 1)
        if self.kind == "jumprelu":
            self.parameters["threshold"] = np.maximum(self.parameters["threshold"], 0)
