"""Dictionaries in the folders of SAELens: `cfg.json` and `sae_weights.safetensors`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.exchanged import DEVIATIONS, ExchangedDictionary
from rhohat.models.formats.saelens_settings import settings_of_any_version
from rhohat.models.formats.safetensors_files import TensorFile
from rhohat.models.formats.settings import Settings, read_settings

__all__ = ["CONFIGURATION", "WEIGHTS", "read_saelens"]

CONFIGURATION, WEIGHTS = "cfg.json", "sae_weights.safetensors"
_SCALER = "activation_scaler.json"

#: How codes are made, by the names of architectures.
_ARCHITECTURES = {
    "standard": "relu",
    "gated": "gated",
    "jumprelu": "jumprelu",
    "topk": "topk",
    "batchtopk": "batch_topk",
    "matryoshka_batchtopk": "matryoshka",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
_NOT_TRANSLATED = {
    "abstopk": "it selects pre-activations by their magnitude, and codes of rhohat are never negative",
    "matching_pursuit": "it selects latents one after the other, which rhohat cannot do",
    "temporal": "it looks at several positions of a sequence together, and rhohat encodes each row by itself",
}
#: Settings of a training on which no code depends.
_OF_TRAINING = (
    *("decoder_init_norm", "l1_warm_up_steps", "l0_warm_up_steps", "jumprelu_init_threshold", "jumprelu_tanh_scale"),
    *("jumprelu_ste_to_input", "pre_act_loss_coefficient", "use_sparse_activations", "aux_loss_coefficient"),
    *("topk_threshold_lr", "use_matryoshka_aux_loss", "device"),
)
_PRECISIONS = ("float32", "float64", "float16", "bfloat16")


def read_saelens(folder: Path, activation_scale: float | None = None) -> ExchangedDictionary:
    """Return the dictionary in a folder that SAELens has written; configurations before version 6 are known as well.

    Parameters
    ----------
    folder : Path
    activation_scale : float, default=None
        Factor by which rows were multiplied in the training, if `normalize_activations` is "expected_average_only_in".

    Raises
    ------
    ModelFileError
        If the files are damaged, or say something that rhohat cannot translate.
    """
    settings, remarks = settings_of_any_version(read_settings(folder / CONFIGURATION), CONFIGURATION)
    architecture = settings.text("architecture")
    if architecture in _NOT_TRANSLATED:
        raise settings.unsupported("architecture", architecture, _NOT_TRANSLATED[architecture])
    if architecture not in _ARCHITECTURES:
        raise settings.refused("architecture", architecture, ", ".join(map(repr, _ARCHITECTURES)))
    tensors = TensorFile(folder / WEIGHTS)
    metadata = _metadata(settings)
    dictionary = _as_stored(architecture, settings, tensors)
    if dictionary.kind == "jumprelu":
        dictionary = _of_batches(dictionary, metadata)
    factor = _factor_of_rows(folder, settings, activation_scale)
    if factor is not None and dictionary.transcodes:
        raise settings.unsupported(
            "normalize_activations",
            "expected_average_only_in",
            "the file does not say by which factor the outputs of a transcoder were multiplied",
        )
    rescales = _flag_of_norms(architecture, settings)
    tensors.finish()
    settings.finish()
    if dictionary.normalizes_rows:
        remarks = (*remarks, DEVIATIONS)
    origin = {"format": "SAELens", "architecture": architecture, **metadata}
    return replace(_for_rows_as_they_are(dictionary, factor, rescales), origin=origin, remarks=remarks)


def _as_stored(architecture: str, settings: Settings, tensors: TensorFile) -> ExchangedDictionary:
    """Return the dictionary with the weights of the file."""
    kind, transcodes = _ARCHITECTURES[architecture], "transcoder" in architecture
    n_features, n_latents = settings.count("d_in", None), settings.count("d_sae", None)
    n_outputs = settings.count("d_out") if transcodes else n_features
    settings.one_of("dtype", [f"{before}{name}" for name in _PRECISIONS for before in ("", "torch.")], "float32")
    encoder = tensors.take("W_enc")
    sizes = {"d_in": (n_features, 0), "d_sae": (n_latents, 1)}
    for name, (said, axis) in sizes.items():
        if encoder.ndim == 2 and said is not None and encoder.shape[axis] != said:
            raise settings.refused(name, said, f"{encoder.shape[axis]}, as in the tensor 'W_enc'")
    decoder = tensors.take("W_dec")
    if transcodes and decoder.shape[-1:] != (n_outputs,):
        raise settings.refused(
            "d_out", n_outputs, f"the second size of the tensor 'W_dec', whose shape is {decoder.shape}"
        )
    centered = settings.flag("apply_b_dec_to_input", not transcodes)
    if transcodes and centered:
        raise settings.unsupported(
            "apply_b_dec_to_input", centered, "a transcoder's b_dec does not belong to its input"
        )
    dictionary = ExchangedDictionary(
        kind,
        encoder,
        _scaled_decoder(settings, tensors, decoder),
        tensors.take("b_gate" if kind == "gated" else "b_enc"),
        tensors.take("b_dec"),
        centered=centered,
        normalizes_rows=_normalizes_rows(settings, skips="skip" in architecture),
        skip=tensors.take("W_skip").T if "skip" in architecture else None,
        transcodes=transcodes,
        **_own_parts(kind, settings, tensors),
        settings=_settings_of_training(kind, settings),
    )
    settings.ignore(*_OF_TRAINING)
    settings.one_of("reshape_activations", ("none", "hook_z"), "none")  # rows are flat here, so that both mean the same
    return dictionary


def _own_parts(kind: str, settings: Settings, tensors: TensorFile) -> dict[str, Any]:
    """Return what a kind has beside two weights and two biases."""
    if kind == "gated":
        return {"log_scale": tensors.take("r_mag"), "magnitude_bias": tensors.take("b_mag")}
    if kind == "topk":
        return {"k": settings.count("k")}
    if kind == "jumprelu":
        is_logarithm = "log_threshold" in tensors and "threshold" not in tensors
        thresholds = np.exp(tensors.take("log_threshold")) if is_logarithm else tensors.take("threshold")
        return {"thresholds": np.maximum(thresholds, 0)}  # codes are of ReLU, so that a negative one is like 0
    if kind in ("batch_topk", "matryoshka"):
        threshold = tensors.take("topk_threshold")
        if threshold.size != 1 or not np.isfinite(threshold).all():
            raise ModelFileError(
                f"the tensor 'topk_threshold' must be one finite number; its shape is {threshold.shape}."
            )
        parts = {"k": settings.number("k"), "threshold": float(threshold.ravel()[0])}
        if kind == "matryoshka":
            return {**parts, "prefixes": _prefixes(settings.any("matryoshka_widths"), settings.count("d_sae"))}
        return parts
    return {}


def _prefixes(widths: Any, n_latents: int) -> tuple[int, ...]:
    """Return the sizes of nested dictionaries, to which SAELens adds that of the whole one."""
    is_whole = isinstance(widths, list) and all(type(width) is int for width in widths)
    if not is_whole or not widths or any(b <= a for a, b in zip([0, *widths], widths, strict=False)):
        raise ModelFileError("matryoshka_widths must be rising positive whole numbers.")
    if widths[-1] > n_latents:
        raise ModelFileError(f"matryoshka_widths must not exceed d_sae, {n_latents}; got {widths[-1]}.")
    return tuple(widths) if widths[-1] == n_latents else (*widths, n_latents)


def _scaled_decoder(settings: Settings, tensors: TensorFile, decoder: FloatArray) -> FloatArray:
    """Return the decoder with the factors of latents by which old versions multiply codes before they decode them."""
    said = settings.flag("finetuning_scaling_factor", False)
    for name in ("scaling_factor", "finetuning_scaling_factor"):
        if name in tensors:
            factors = tensors.take(name)
            if np.allclose(factors, 1):
                return decoder
            if not said and name == "scaling_factor":
                raise settings.unsupported(
                    "finetuning_scaling_factor",
                    False,
                    "the weights have factors of latents, the tensor 'scaling_factor', which are not all 1, and the"
                    " setting says that they are not used",
                    "Set it to true if they are to be used, or remove the tensor.",
                )
            if factors.shape != decoder.shape[:1]:
                raise ModelFileError(
                    f"the tensor {name!r} has the shape {factors.shape}, but must have one factor per latent."
                )
            return decoder * factors[:, np.newaxis]
    return decoder


def _normalizes_rows(settings: Settings, *, skips: bool) -> bool:
    """Return whether each row is centred and divided by its standard deviation; refuse what rhohat does not know."""
    how = settings.text("normalize_activations", "none")
    if how == "layer_norm":
        if skips:
            raise settings.unsupported(
                "normalize_activations", how, "the skip connection sees rows as they are, and the encoder does not"
            )
        return True
    if how in ("none", "expected_average_only_in"):
        return False
    why = {
        "constant_norm_rescale": "rhohat does not scale each row to the same norm",
        "covariance_whitening": "the whitening of a training is not in the weights; save the final model with SAELens,"
        " which folds it into them",
    }
    if how not in why:
        allowed = ("none", "expected_average_only_in", "layer_norm", *why)
        raise settings.refused("normalize_activations", how, " or ".join(map(repr, allowed)))
    raise settings.unsupported("normalize_activations", how, why[how])


def _factor_of_rows(folder: Path, settings: Settings, activation_scale: float | None) -> float | None:
    """Return the factor by which rows were multiplied in the training and are not in use; None if there is none."""
    how = settings.text("normalize_activations", "none")
    if how != "expected_average_only_in":
        if activation_scale is not None:
            raise ModelFileError(
                'activation_scale belongs to "normalize_activations": "expected_average_only_in"; the folder has'
                f" {how!r}, so that no factor is missing."
            )
        return None
    if activation_scale is not None:
        return activation_scale
    known = read_settings(folder / _SCALER) if (folder / _SCALER).is_file() else {}
    factor = Settings(known, _SCALER).number("scaling_factor", None)
    if factor is None or factor <= 0:
        raise settings.unsupported(
            "normalize_activations",
            how,
            "the factor by which rows were multiplied in the training is not in the folder",
            f"Give it as activation_scale (--activation-scale), or put {_SCALER} of the training beside the weights. 1"
            " says that the rows will be multiplied before they are given to the model.",
        )
    return float(factor)


def _flag_of_norms(architecture: str, settings: Settings) -> bool:
    """Return whether latents are selected, and codes given, as if the rows of the decoder had norm 1."""
    if architecture not in ("topk", "batchtopk", "matryoshka_batchtopk"):
        return False
    is_of_training = architecture != "topk" or "decoder_init_norm" in settings
    return settings.flag("rescale_acts_by_decoder_norm", is_of_training)


def _for_rows_as_they_are(dictionary: ExchangedDictionary, factor: float | None, rescales: bool) -> ExchangedDictionary:
    """Return an equal dictionary into whose weights the factor of the rows and the norms of the decoder are folded."""
    if factor is not None:
        dictionary = dictionary.for_scaled_rows(factor)
    if not rescales:
        return dictionary
    threshold = dictionary.threshold  # of codes, which are larger if rows are not scaled down
    if threshold is not None and factor is not None:
        dictionary = replace(dictionary, threshold=threshold / factor)
    return dictionary.with_latents_scaled(dictionary.decoder_norms())


def _of_batches(dictionary: ExchangedDictionary, metadata: dict[str, Any]) -> ExchangedDictionary:
    """Return a dictionary that was trained with BatchTopK as one, if it is stored with equal thresholds of latents."""
    kind = _ARCHITECTURES.get(str(metadata.get("training_architecture")))
    details = metadata.get("training_architecture_details")
    thresholds = dictionary.thresholds
    assert thresholds is not None
    if kind not in ("batch_topk", "matryoshka") or not isinstance(details, dict) or np.ptp(thresholds) != 0:
        return dictionary
    said = Settings(details, f"{CONFIGURATION}, training_architecture_details")
    k = said.number("k", None)
    if k is None or not 0 < k <= dictionary.n_latents:
        return dictionary
    parts: dict[str, Any] = {
        "kind": kind,
        "k": k,
        "thresholds": None,
        "threshold": float(thresholds[0]),
        "settings": {},
    }
    if kind == "matryoshka":
        parts["prefixes"] = _prefixes(said.any("matryoshka_widths"), dictionary.n_latents)
    return replace(dictionary, **parts)


def _settings_of_training(kind: str, settings: Settings) -> dict[str, Any]:
    """Return parameters with which a training goes on: weights are halved, since ½ stands before the error here."""
    l1, l0 = settings.number("l1_coefficient", None), settings.number("l0_coefficient", None)
    mode = settings.any("jumprelu_sparsity_loss_mode", None)
    power, target = settings.number("lp_norm", 1.0), settings.number("target_l0", None)
    if kind in ("relu", "gated") and l1 is not None and l1 >= 0 and power == 1:
        return {"sparsity_weight": l1 / 2}
    if kind != "jumprelu":
        return {}
    found: dict[str, Any] = {}
    bandwidth = settings.number("jumprelu_bandwidth", None)
    if bandwidth is not None and bandwidth > 0:
        found["bandwidth"] = bandwidth
    if mode == "step" and l0 is not None and l0 >= 0:
        return {**found, "sparsity_weight": l0 / 2, "target_l0": None}
    return {**found, "target_l0": target} if target is not None and target > 0 else found


def _metadata(settings: Settings) -> dict[str, Any]:
    """Return what the file says of where the dictionary comes from."""
    return dict(settings.part("metadata", {}).rest())
