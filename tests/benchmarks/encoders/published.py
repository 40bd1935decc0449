"""Tiny files with the names and layout of published ones, and random weights."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file

from motionbeat.benchmarks.encoders.pretrained.clmr import Clmr
from motionbeat.benchmarks.encoders.pretrained.dasheng import DashengBase
from motionbeat.benchmarks.encoders.pretrained.imagebind import ImageBindAudio
from motionbeat.benchmarks.encoders.pretrained.ms_clap import MsClap2023
from motionbeat.benchmarks.encoders.pretrained.musicfm import Muq, MusicFmMsd
from motionbeat.benchmarks.encoders.pretrained.openl3 import OpenL3
from motionbeat.benchmarks.encoders.pretrained.panns import PannsCnn14
from motionbeat.benchmarks.encoders.pretrained.vggish import Vggish
from motionbeat.benchmarks.encoders.pretrained.wav2clip import Wav2Clip
from motionbeat.encoder import Encoder


class Published(NamedTuple):
    """An encoder class, the same for a tiny network, and what makes a tiny file."""

    kind: type[Encoder]
    small: type[Encoder]
    make: Callable[[], dict]

    @classmethod
    def of(cls, kind, make, card=None, **sizes):
        small = {"card": replace(kind.card, **(card or {})), **sizes}
        return cls(kind, type(kind.__name__, (kind,), small), make)


class Names(dict):
    """Tensors by name, drawn one after the other."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def normal(self, name, *shape, scale=None):
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
        values = torch.randn(shape, generator=self.generator)
        self[name] = values * (scale or fan_in**-0.5)

    def layer(self, name, *shape, bias=True):
        self.normal(f"{name}.weight", *shape)
        if bias:
            self.normal(f"{name}.bias", shape[0])

    def norm(self, name, size, batch=False):
        self[f"{name}.weight"] = 1 + 0.1 * torch.randn(size, generator=self.generator)
        self.normal(f"{name}.bias", size)
        if batch:
            self.normal(f"{name}.running_mean", size)
            self[f"{name}.running_var"] = 0.5 + torch.rand(size, generator=self.generator)
            self[f"{name}.num_batches_tracked"] = torch.tensor(7)


def vggish(width=2, dense=16, embedding=8):
    names = Names()
    inputs = 1
    for place, times in {0: 1, 3: 2, 6: 4, 8: 4, 11: 8, 13: 8}.items():
        names.layer(f"features.{place}", times * width, inputs, 3, 3)
        inputs = times * width
    inputs *= 24
    for place, outputs in {0: dense, 2: dense, 4: embedding}.items():
        names.layer(f"embeddings.{place}", outputs, inputs)
        inputs = outputs
    return dict(names)


def cnn14(width=2):
    names = Names()
    names.norm("bn0", 64, batch=True)
    inputs = 1
    for block in range(1, 7):
        filters = width * 2 ** (block - 1)
        names.layer(f"conv_block{block}.conv1", filters, inputs, 3, 3, bias=False)
        names.layer(f"conv_block{block}.conv2", filters, filters, 3, 3, bias=False)
        names.norm(f"conv_block{block}.bn1", filters, batch=True)
        names.norm(f"conv_block{block}.bn2", filters, batch=True)
        inputs = filters
    names.layer("fc1", inputs, inputs)
    names.layer("fc_audioset", 527, inputs)
    names.normal("spectrogram_extractor.stft.conv_real.weight", 513, 1, 8)
    names.normal("spectrogram_extractor.stft.conv_imag.weight", 513, 1, 8)
    names.normal("logmel_extractor.melW", 513, 64)
    return {"iteration": np.array([600_000]), "model": dict(names)}


def clmr(width=4, lightning=False):
    names = Names()
    inputs = 1
    for place, times in enumerate((1, 1, 1, 2, 2, 2, 2, 2, 2, 4, 4)):
        names.layer(f"encoder.sequential.{place}.0", times * width, inputs, 3)
        names.norm(f"encoder.sequential.{place}.1", times * width, batch=True)
        inputs = times * width
    names.layer("projector.0", inputs, inputs, bias=False)
    if not lightning:
        return dict(names)
    state = {f"model.{name}": tensor for name, tensor in names.items()}
    return {"pytorch-lightning_version": "1.2.0", "epoch": 1, "state_dict": state}


def conformer(filters=3, width=16, depth=2):
    names = Names()
    for place, inputs in enumerate((1, filters)):
        for number, channels in enumerate((inputs, filters, inputs), start=1):
            names.layer(f"model.conv.conv.{place}.conv{number}", filters, channels, 3, 3)
            names.norm(f"model.conv.conv.{place}.bn{number}", filters, batch=True)
    names.layer("model.conv.linear", width, filters * 32)
    names.norm("model.conformer.layer_norm", width)
    for layer in (f"model.conformer.layers.{place}" for place in range(depth)):
        for part in ("ffn1", "ffn2"):
            names.norm(f"{layer}.{part}_layer_norm", width)
            names.layer(f"{layer}.{part}.intermediate_dense", 4 * width, width)
            names.layer(f"{layer}.{part}.output_dense", width, 4 * width)
        for part in ("self_attn_layer_norm", "final_layer_norm", "conv_module.layer_norm"):
            names.norm(f"{layer}.{part}", width)
        for part in ("q", "k", "v", "out"):
            names.layer(f"{layer}.self_attn.linear_{part}", width, width)
        convolution = f"{layer}.conv_module"
        names.layer(f"{convolution}.pointwise_conv1", 2 * width, width, 1, bias=False)
        names.layer(f"{convolution}.depthwise_conv", width, 1, 31, bias=False)
        names.norm(f"{convolution}.batch_norm", width, batch=True)
        names.layer(f"{convolution}.pointwise_conv2", width, width, 1, bias=False)
    names.normal("model.conformer.embed_positions.inv_freq", 2)
    names.normal("model.conformer.pos_conv_embed.conv.bias", width)
    names.layer("model.linear", 8, width)
    names.normal("model.cls_token", width)
    return names


STATISTICS = {"melspec_2048_mean": 6.77, "melspec_2048_std": 18.4}


def musicfm():
    names = conformer()
    names.normal("model.conformer.pos_conv_embed.conv.weight_g", 1, 1, 128)
    names.normal("model.conformer.pos_conv_embed.conv.weight_v", 16, 1, 128)
    names.normal("model.preprocessor_melspec_2048.mel_stft.spectrogram.window", 2048)
    names.normal("model.preprocessor_melspec_2048.mel_stft.mel_scale.fb", 1025, 128)
    names.normal("model.quantizer_melspec_2048_0.random_projection", 512, 16)
    names.normal("model.quantizer_melspec_2048_0.codebook", 8, 16)
    for name in list(names):
        if name.endswith("num_batches_tracked"):
            names[name] = names[name].float()  # as in the published file
    return {"epoch": 3, "state_dict": dict(names)}


def muq():
    names = conformer()
    place = "model.conformer.pos_conv_embed.conv.parametrizations.weight.original"
    names.normal(f"{place}0", 1, 1, 128)
    names.normal(f"{place}1", 16, 1, 128)
    names.normal("model.rvq.quantizers.0.codebook.weight", 8, 16)
    return {name: tensor.contiguous() for name, tensor in names.items()}


def dasheng(width=16, depth=2):
    names = Names()
    names.norm("init_bn.1", 64, batch=True)
    names.layer("patch_embed.proj", width, 1, 64, 4)
    names.normal("time_pos_embed", 1, width, 1, 252, scale=0.02)
    names.normal("freq_pos_embed", 1, width, 1, 1, scale=0.02)
    for block in (f"blocks.{place}" for place in range(depth)):
        names.norm(f"{block}.norm1", width)
        names.layer(f"{block}.attn.qkv", 3 * width, width)
        names.layer(f"{block}.attn.proj", width, width)
        names.norm(f"{block}.norm2", width)
        names.layer(f"{block}.mlp.fc1", 4 * width, width)
        names.layer(f"{block}.mlp.fc2", width, 4 * width)
    names.norm("norm", width)
    names.normal("front_end.0.spectrogram.window", 512)
    names.normal("front_end.0.mel_scale.fb", 257, 64)
    return {"model": dict(names), "config": {"embed_dim": width, "depth": depth}}


def openl3(width=2):
    names = Names()
    names.norm("batch_normalization_1", 1, batch=True)
    inputs = 1
    for number, times in enumerate((1, 1, 2, 2, 4, 4, 8), start=1):
        names.layer(f"conv2d_{number}", times * width, inputs, 3, 3)
        names.norm(f"batch_normalization_{number + 1}", times * width, batch=True)
        inputs = times * width
    names.layer("audio_embedding_layer", inputs, inputs, 3, 3)
    names.normal("speclayer.dft_real_kernels", 1025, 1, 8)
    names.normal("speclayer.mel_basis", 256, 1025)
    return dict(names)


def wav2clip(width=2):
    names = Names()
    names.layer("audio_encoder.conv1", width, 1, 7, 7, bias=False)
    names.norm("audio_encoder.bn1", width, batch=True)
    inputs = width
    for stage, times in enumerate((1, 2, 4, 8), start=1):
        filters = times * width
        for block in (f"audio_encoder.layer{stage}.{place}" for place in range(2)):
            names.layer(f"{block}.conv1", filters, inputs, 3, 3, bias=False)
            names.norm(f"{block}.bn1", filters, batch=True)
            names.layer(f"{block}.conv2", filters, filters, 3, 3, bias=False)
            names.norm(f"{block}.bn2", filters, batch=True)
            if inputs != filters:
                names.layer(f"{block}.downsample.0", filters, inputs, 1, 1, bias=False)
                names.norm(f"{block}.downsample.1", filters, batch=True)
            inputs = filters
    for place in (0, 3):
        names.layer(f"audio_transform.sequential.{place}", inputs, inputs)
    names.normal("audio_encoder.spectrogram.window", 512)
    names.normal("image_transform.weight", 2, 2)
    return dict(names)


def ms_clap(width=8):
    names = Names()
    names.norm("bn0", 64, batch=True)
    names.layer("patch_embed.proj", width, 1, 4, 4)
    names.norm("patch_embed.norm", width)
    rows, columns = torch.arange(64) // 8, torch.arange(64) % 8
    index = 15 * (rows[:, None] - rows + 7) + columns[:, None] - columns + 7
    for stage, (depth, heads) in enumerate(((2, 4), (2, 8), (6, 16), (2, 32))):
        wide = width << stage
        for place in range(depth):
            block = f"layers.{stage}.blocks.{place}"
            if place % 2 and stage < 3:
                names.normal(f"{block}.attn_mask", 4 ** (3 - stage), 64, 64)
            names.norm(f"{block}.norm1", wide)
            names.normal(f"{block}.attn.relative_position_bias_table", 225, heads)
            names[f"{block}.attn.relative_position_index"] = index
            names.layer(f"{block}.attn.qkv", 3 * wide, wide)
            names.layer(f"{block}.attn.proj", wide, wide)
            names.norm(f"{block}.norm2", wide)
            names.layer(f"{block}.mlp.fc1", 4 * wide, wide)
            names.layer(f"{block}.mlp.fc2", wide, 4 * wide)
        if stage < 3:
            names.layer(f"layers.{stage}.downsample.reduction", 2 * wide, 4 * wide, bias=False)
            names.norm(f"layers.{stage}.downsample.norm", 4 * wide)
    names.norm("norm", wide)
    names.layer("tscam_conv", 527, wide, 2, 3)
    names.layer("head", 527, 527)
    names.normal("spectrogram_extractor.stft.conv_real.weight", 513, 1, 8)
    names.normal("spectrogram_extractor.stft.conv_imag.weight", 513, 1, 8)
    names["logmel_extractor.melW"] = torch.rand(513, 64, generator=names.generator)
    model = {f"audio_encoder.base.htsat.{name}": tensor for name, tensor in names.items()}
    model["audio_encoder.projection.linear1.weight"] = torch.zeros(4, wide)
    model["caption_encoder.base.wte.weight"] = torch.zeros(4, 4)
    model["logit_scale"] = torch.tensor(2.66)
    return {"model": model}


def imagebind(width=16, depth=2):
    names = Names()
    patches, heads = "modality_preprocessors.audio", "modality_heads.audio"
    names.normal(f"{patches}.cls_token", 1, 1, width)
    names.layer(f"{patches}.rgbt_stem.proj", width, 1, 16, 16, bias=False)
    names.norm(f"{patches}.rgbt_stem.norm_layer", width)
    names.normal(f"{patches}.pos_embedding_helper.pos_embed", 1, 229, width, scale=0.02)
    for block in (f"modality_trunks.audio.blocks.{place}" for place in range(depth)):
        names.normal(f"{block}.attn.in_proj_weight", 3 * width, width)
        names.normal(f"{block}.attn.in_proj_bias", 3 * width)
        names.normal(f"{block}.attn.bias_k", 1, 1, width)
        names.normal(f"{block}.attn.bias_v", 1, 1, width)
        names.layer(f"{block}.attn.out_proj", width, width)
        names.norm(f"{block}.norm_1", width)
        names.layer(f"{block}.mlp.fc1", 4 * width, width)
        names.layer(f"{block}.mlp.fc2", width, 4 * width)
        names.norm(f"{block}.norm_2", width)
    names.norm(f"{heads}.0", width)
    names.layer(f"{heads}.2", 8, width, bias=False)
    names["modality_postprocessors.audio.1.log_logit_scale"] = torch.tensor(3.0)
    names.normal("modality_trunks.vision.blocks.0.attn.in_proj_weight", 3 * width, width)
    return dict(names)


SMALL = {"card": {"width": 16, "layers": 3}, "sizes": (3, 16, 2, 4)}
PUBLISHED = {
    published.kind.card.name: published
    for published in (
        Published.of(Vggish, vggish, {"width": 70}, sizes=(2, 16, 8)),
        Published.of(PannsCnn14, cnn14, {"width": 126}, filters=2),
        Published.of(Clmr, clmr, {"width": 92}, filters=4),
        Published.of(MusicFmMsd, musicfm, **SMALL),
        Published.of(Muq, muq, **SMALL),
        Published.of(DashengBase, dasheng, SMALL["card"], sizes=(16, 2, 4)),
        Published.of(OpenL3, openl3, {"width": 60}, filters=2),
        Published.of(Wav2Clip, wav2clip, {"width": 94}, filters=2),
        Published.of(MsClap2023, ms_clap, {"width": 128}, filters=8),
        Published.of(ImageBindAudio, imagebind, SMALL["card"], sizes=(16, 2, 4)),
    )
}


def place(folder, name, contents=None):
    """Write a file as published where its encoder looks for it, and say where."""
    kind, _, make = PUBLISHED[name]
    contents = contents or make()
    if hasattr(kind, "repo"):
        path = folder / "hub" / kind.repo / kind.files[0]
    else:
        path = folder / "weights" / kind.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "muq":
        save_file(contents, path)
        path.with_name("config.json").write_text(json.dumps({"stat": STATISTICS}))
    else:
        torch.save(contents, path)
        if name == "musicfm-msd":
            path.with_name("msd_stats.json").write_text(json.dumps(STATISTICS))
    return path
