"""Tiny files with the names and layout of published ones, and random weights."""

import json
from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import save_file

from motionbeat.benchmarks.registry import ENCODERS

SIZES = {  # of the tiny network; width and layers of its states
    "vggish": ((2, 16, 8), 70, 1),
    "panns-cnn14": ((2,), 126, 1),
    "clmr": ((4,), 92, 1),
    "musicfm-msd": ((3, 16, 2, 4), 16, 3),
    "muq": ((3, 16, 2, 4), 16, 3),
    "dasheng-base": ((16, 2, 4), 16, 3),
    "openl3": ((2,), 60, 1),
    "wav2clip": ((), 3008, 1),  # the package has one size
    "ms-clap-2023": ((8,), 128, 1),
    "imagebind-audio": ((16, 2, 4), 16, 3),
}
UNUSED = {  # what published files hold beside what is used
    "panns-cnn14": ("fc1.weight", "fc_audioset.bias", "logmel_extractor.melW"),
    "musicfm-msd": (
        "model.cls_token",
        "model.linear.weight",
        "model.conformer.pos_conv_embed.conv.weight_g",
        "model.preprocessor_melspec_2048.mel_stft.mel_scale.fb",
        "model.quantizer_melspec_2048_0.codebook",
    ),
    "muq": ("model.rvq.quantizers.0.codebook.weight", "model.linear.bias"),
    "clmr": ("projector.0.weight",),
    "dasheng-base": ("front_end.0.mel_scale.fb",),
    "openl3": ("speclayer.mel_basis",),
    "wav2clip": ("image_transform.weight",),
    "ms-clap-2023": (
        "audio_encoder.base.htsat.tscam_conv.weight",
        "audio_encoder.base.htsat.layers.0.blocks.1.attn_mask",
        "caption_encoder.base.wte.weight",
    ),
    "imagebind-audio": ("modality_heads.audio.0.weight", "modality_trunks.vision.blocks.0.bias"),
}
STATISTICS = {"melspec_2048_mean": 6.77, "melspec_2048_std": 18.4}


def small(name):
    """The encoder for the tiny network."""
    kind, (sizes, width, layers) = ENCODERS.get(name), SIZES[name]
    card = replace(kind.card, width=width, layers=layers)
    return type(kind.__name__, (kind,), {"card": card, "sizes": sizes})


def drawn(network):
    """Random weights for a network, by name."""
    generator, weights = torch.Generator().manual_seed(0), {}
    for name, tensor in network.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if "running_var" in name or "norm" in name or ".bn" in name:
            noise = 1 + 0.1 * noise
        elif tensor.ndim > 1:
            noise *= tensor[0].numel() ** -0.5
        weights[name] = noise.to(tensor.dtype) if tensor.is_floating_point() else tensor
    return weights


def tensors(name):
    """Weights by published name, with some that nobody asks for."""
    weights = drawn(small(name).build(*SIZES[name][0]))
    if name in ("musicfm-msd", "muq"):
        weights = {f"model.{key}": value for key, value in weights.items()}
    if name == "clmr":
        weights = {f"encoder.sequential.{key}": value for key, value in weights.items()}
    if name == "wav2clip":
        weights["audio_encoder.spectrogram.window"] = torch.hann_window(512)
    if name == "imagebind-audio":
        patches, trunk = "modality_preprocessors.audio.", "modality_trunks.audio."
        weights = {
            f"{trunk if 'blocks' in key else patches}{key}": value for key, value in weights.items()
        }
        weights[f"{patches}pos_embedding_helper.pos_embed"] = weights.pop(f"{patches}pos_embed")
    if name == "ms-clap-2023":
        weights = _of_ms_clap(weights)
    return weights | {key: torch.zeros(2, 2) for key in UNUSED.get(name, ())}


def _of_ms_clap(weights):
    """The names of microsoft/CLAP, where queries, keys and values are one tensor."""
    theirs = {
        "batch_norm.": "bn0.",
        ".attention.output.dense.": ".attn.proj.",
        ".attention.self.": ".attn.",
        ".layernorm_before.": ".norm1.",
        ".layernorm_after.": ".norm2.",
        ".intermediate.dense.": ".mlp.fc1.",
        ".output.dense.": ".mlp.fc2.",
        "mel_bands": "logmel_extractor.melW",
    }
    found = {}
    for name, tensor in weights.items():
        for ours, published in theirs.items():
            name = name.replace(ours, published)
        found[f"audio_encoder.base.htsat.{name}"] = tensor
    for name in [name for name in found if ".query." in name]:
        parts = [found.pop(name.replace("query", part)) for part in ("query", "key", "value")]
        found[name.replace("query", "qkv")] = torch.cat(parts)
    bands = "audio_encoder.base.htsat.logmel_extractor.melW"
    return found | {bands: found[bands].abs()}


def contents(name):
    """What the published file holds."""
    weights = tensors(name)
    if name == "panns-cnn14":
        return {"iteration": np.array([600_000]), "model": weights}
    if name in ("dasheng-base", "ms-clap-2023"):
        return {"model": weights}
    return {"epoch": 3, "state_dict": weights} if name == "musicfm-msd" else weights


def place(folder, name, found=None):
    """Write a file as published where its encoder looks for it, and say where."""
    kind, found = ENCODERS.get(name), contents(name) if found is None else found
    if hasattr(kind, "repo"):
        path = folder / "hub" / kind.repo / kind.files[0]
    else:
        path = folder / "weights" / kind.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "muq":
        save_file({key: tensor.contiguous() for key, tensor in found.items()}, path)
        path.with_name("config.json").write_text(json.dumps({"stat": STATISTICS}))
    else:
        torch.save(found, path)
        if name == "musicfm-msd":
            path.with_name("msd_stats.json").write_text(json.dumps(STATISTICS))
    return path
