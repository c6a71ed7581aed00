"""What dictionaries of other libraries compute, written from their owners' descriptions in NumPy, without rhohat.

Each function takes the folder or file of a format, and rows, and returns codes and reconstructions in float64.
"""

import json
import struct

import numpy as np

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}


def tensors_of(path):
    """Return the tensors of a safetensors file: a length, a header of JSON, and the bytes that it points to."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    tensors = {}
    for name, one in header.items():
        if name != "__metadata__":
            start, stop = one["data_offsets"]
            numbers = np.frombuffer(data[start:stop], _TYPES[one["dtype"]])
            if one["dtype"] == "BF16":
                numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
            tensors[name] = numbers.astype(np.float64).reshape(one["shape"])
    return tensors


def relu(a):
    return np.maximum(a, 0)


def largest(a, k):
    """Return the k largest numbers of each row, as far as they are positive, and 0 elsewhere."""
    kept = np.zeros_like(a)
    places = np.argpartition(-a, k - 1, axis=1)[:, :k]
    np.put_along_axis(kept, places, np.take_along_axis(a, places, 1), 1)
    return relu(kept)


def normalised(x):
    """Return rows about their means in units of their standard deviations, with these."""
    mean = x.mean(1, keepdims=True)
    deviation = (x - mean).std(1, ddof=1, keepdims=True)
    return (x - mean) / (deviation + 1e-5), mean, deviation


def saelens(folder, x):
    """Return what SAELens makes of rows: see `SAE.encode` and `SAE.decode` of each architecture."""
    config = json.loads((folder / "cfg.json").read_text())
    w = tensors_of(folder / "sae_weights.safetensors")
    version = config.get("sae_lens_version") or config.get("metadata", {}).get("sae_lens_version") or "0"
    config = {"apply_b_dec_to_input": True, "normalize_activations": "none", **config}
    if not isinstance(version, str) or int("0" + version.split(".")[0]) < 6:
        config = {"architecture": "standard", **config}
        if config.get("activation_fn_str", config.get("activation_fn")) == "topk":
            config.update(architecture="topk", k=config["activation_fn_kwargs"]["k"])
        if config["normalize_activations"] is None or config["normalize_activations"] is False:
            config["normalize_activations"] = "none"
    config.setdefault("rescale_acts_by_decoder_norm", "batchtopk" in config["architecture"])
    x, mean, deviation = x.astype(np.float64), 0.0, 1.0
    given = x
    if config["normalize_activations"] == "layer_norm":
        x, mean, deviation = normalised(x)
    if config["normalize_activations"] == "expected_average_only_in":
        factor = json.loads((folder / "activation_scaler.json").read_text())["scaling_factor"]
        w = {**w, "W_enc": w["W_enc"] * factor, "W_dec": w["W_dec"] / factor, "b_dec": w["b_dec"] / factor}
        if "topk_threshold" in w and config["rescale_acts_by_decoder_norm"]:
            w["topk_threshold"] = w["topk_threshold"] / factor
    transcodes = "transcoder" in config["architecture"]
    pi = (x - w["b_dec"] * config["apply_b_dec_to_input"] if not transcodes else x) @ w["W_enc"]
    codes = _codes_of_saelens(config, w, pi)
    decoder = w["W_dec"]
    if config.get("rescale_acts_by_decoder_norm"):
        decoder = decoder / norms_of_saelens(decoder)[:, np.newaxis]
    weighted = codes * w.get("scaling_factor", 1.0) * w.get("finetuning_scaling_factor", 1.0)
    made = weighted @ decoder + w["b_dec"]
    if "skip" in config["architecture"]:
        made = made + given @ w["W_skip"].T
    return codes, made if transcodes else made * deviation + mean


def norms_of_saelens(decoder):
    """Return norms as SAELens folds them into weights, see `get_W_dec_norm`."""
    return np.maximum(np.linalg.norm(decoder, axis=1), 1e-8)


def _codes_of_saelens(config, w, pi):
    """Return the codes, from the products of rows and the encoder."""
    architecture = config["architecture"]
    if architecture == "gated":
        return (pi + w["b_gate"] > 0) * relu(pi * np.exp(w["r_mag"]) + w["b_mag"])
    a = pi + w["b_enc"]
    if config.get("rescale_acts_by_decoder_norm"):
        a = a * norms_of_saelens(w["W_dec"])
    if architecture == "topk":
        return largest(a, config["k"])
    if architecture in ("batchtopk", "matryoshka_batchtopk"):
        return a * (a > w["topk_threshold"])
    if "jumprelu" in architecture:
        return relu(a) * (a > w["threshold"])
    return relu(a)


def dictionary_learning(folder, x, state, kind, factor=1.0):
    """Return what dictionary_learning makes of rows: see `encode` and `decode` of each class.

    `state` has the tensors as arrays; `factor` is what `scale_biases` is called with at the end of a training.
    """
    w = {name: np.asarray(one, np.float64) for name, one in state.items()}
    for name in ("bias", "encoder.bias", "decoder_bias", "mag_bias", "gate_bias", "b_dec", "b_enc", "decoder.bias"):
        if name in w:
            w[name] = factor * w[name]
    if "threshold" in w:
        w["threshold"] = np.where(w["threshold"] >= 0, factor * w["threshold"], w["threshold"])
    if kind == "AutoEncoder":
        codes = relu((x - w["bias"]) @ w["encoder.weight"].T + w["encoder.bias"])
        return codes, codes @ w["decoder.weight"].T + w["bias"]
    if kind == "AutoEncoderNew":
        codes = relu(x @ w["encoder.weight"].T + w["encoder.bias"])
        return codes, codes @ w["decoder.weight"].T + w["decoder.bias"]
    if kind == "GatedAutoEncoder":
        pi = (x - w["decoder_bias"]) @ w["encoder.weight"].T
        codes = (pi + w["gate_bias"] > 0) * relu(np.exp(w["r_mag"]) * pi + w["mag_bias"])
        return codes, codes @ w["decoder.weight"].T + w["decoder_bias"]
    if kind == "JumpReluAutoEncoder":
        a = x @ w["W_enc"] + w["b_enc"]
        codes = relu(a * (a > w["threshold"]))
        return codes, codes @ w["W_dec"] + w["b_dec"]
    if kind == "MatryoshkaBatchTopKSAE":
        a = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
        codes = a * (a > w["threshold"])
        return codes, codes @ w["W_dec"] + w["b_dec"]
    a = (x - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"]
    codes = largest(relu(a), int(w["k"])) if kind == "AutoEncoderTopK" else relu(a) * (relu(a) > w["threshold"])
    return codes, codes @ w["decoder.weight"].T + w["b_dec"]


def sparsify(folder, x):
    """Return what sparsify makes of rows: see `SparseCoder.encode` and `forward`."""
    config = json.loads((folder / "cfg.json").read_text())
    w = tensors_of(folder / "sae.safetensors")
    inputs = x if config.get("transcode", False) else x - w["b_dec"]
    codes = largest(relu(inputs @ w["encoder.weight"].T + w["encoder.bias"]), config.get("k", 32))
    made = codes @ w["W_dec"] + w["b_dec"]
    return codes, made + x @ w["W_skip"].T if config.get("skip_connection", False) else made


def openai(x, state):
    """Return what OpenAI's sparse_autoencoder makes of rows: TopK implies that rows are normalised."""
    activation, arguments = state["activation"], state.get("activation_state_dict")
    w = {
        name: np.asarray(one, np.float64)
        for name, one in state.items()
        if "." in name or "bias" in name
        if not name.startswith("activation")
    }
    mean, deviation = 0.0, 1.0
    if activation == "TopK":
        x, mean, deviation = normalised(x)
    a = (x - w["pre_bias"]) @ w["encoder.weight"].T + w["latent_bias"]
    codes = largest(a, arguments["k"]) if activation == "TopK" else relu(a)
    decoder = w["decoder.weight"] if "decoder.weight" in w else w["encoder.weight"].T
    return codes, (codes @ decoder.T + w["pre_bias"]) * deviation + mean


def gemma_scope(w, x):
    """Return what JumpReLU with the weights of Gemma Scope makes of rows, which no bias is subtracted from."""
    a = x @ w["w_enc"] + w["b_enc"]
    codes = relu(a) * (a > w["threshold"])
    made = codes @ w["w_dec"] + w["b_dec"]
    return codes, made + x @ w["affine_skip_connection"] if "affine_skip_connection" in w else made


def llama_scope(folder, x):
    """Return what the owners of Llama Scope make of rows: biases and weights are brought to activations as they are."""
    config = json.loads((folder / "hyperparams.json").read_text())
    w = tensors_of(folder / "checkpoints" / "final.safetensors")
    of_input = of_output = 1.0
    if config.get("norm_activation", "dataset-wise") == "dataset-wise":
        norms = config["dataset_average_activation_norm"]
        of_input, of_output = (np.sqrt(config["d_model"]) / norms[side] for side in ("in", "out"))
    output_bias = w["decoder.bias"] / of_output if config.get("use_decoder_bias", True) else 0.0
    decoder = w["decoder.weight"].T * of_input / of_output
    inputs = x - output_bias if config.get("apply_decoder_bias_to_pre_encoder", False) else x
    a = inputs @ w["encoder.weight"].T + w["encoder.bias"] / of_input
    if config.get("sparsity_include_decoder_norm", True):  # the decoder has rows of norm 1 in the end
        lengths = np.linalg.norm(decoder, axis=1)
        a, decoder = a * lengths, decoder / lengths[:, np.newaxis]
    function, threshold = config.get("act_fn", "relu").lower(), config.get("jump_relu_threshold", 0)
    if function == "jumprelu" or (function == "topk" and threshold > 0):
        codes = a * (a > max(threshold, 0))
    else:
        codes = largest(a, config["top_k"]) if function == "topk" else relu(a)
    return codes, codes @ decoder + output_bias


def plain(file, x):
    """Return what a plain file of `rhohat.export` says: weights, and in the header what they mean."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    config = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["settings"])
    w, kind = tensors_of(file), config["kind"]
    mean, deviation = 0.0, 1.0
    if config["normalizes_rows"]:
        x, mean, deviation = normalised(x)
        deviation = deviation + 1e-5
    pi = (x - w["b_dec"] if config["centered"] else x) @ w["W_enc"]
    a = pi + w["b_enc"]
    if kind == "gated":
        codes = (a > 0) * relu(np.exp(w["log_scale"]) * pi + w["magnitude_bias"])
    elif kind == "topk":
        codes = largest(a, config["k"])
    elif kind == "jumprelu":
        codes = a * (a > w["threshold"])
    else:
        codes = relu(a) if kind == "relu" else a * (a > max(config.get("threshold") or 0, 0))
    made = codes @ w["W_dec"] + w["b_dec"]
    made = made + x @ w["W_skip"] if "W_skip" in w else made
    return codes, made if config["transcodes"] or "W_skip" in w else made * deviation + mean
