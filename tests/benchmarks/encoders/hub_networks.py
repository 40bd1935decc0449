"""Tiny networks of the model hub, with the layout of the published ones."""

import json
from dataclasses import replace

import pytest
import torch

from motionbeat.benchmarks.encoders.pretrained.clap import ClapMusic
from motionbeat.benchmarks.encoders.pretrained.codecs import Dac44, Encodec24, Encodec32
from motionbeat.benchmarks.encoders.pretrained.patch_transformers import Ast
from motionbeat.benchmarks.encoders.pretrained.waveform_transformers import (
    HubertBase,
    Mert95,
    Mert330,
    Wav2Vec2Base,
    WaveformTransformer,
)

transformers = pytest.importorskip("transformers")

SPEECH = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
MERT = {  # what its config.json states beyond HuBERT's
    "model_type": "mert_model",
    "architectures": ["MERTModel"],
    "auto_map": {
        "AutoConfig": "configuration_MERT.MERTConfig",
        "AutoModel": "modeling_MERT.MERTModel",
    },
    "attention_relax": 32.0,
    "deepnorm": False,
    "feature_extractor_cqt": False,
    "feature_extractor_cqt_bins": 336,
    "sample_rate": 24000,
}


def _hubert(**settings):
    return transformers.HubertModel(transformers.HubertConfig(**SPEECH, **settings))


def _wav2vec2():
    """With the heads of pretraining, as published."""
    config = transformers.Wav2Vec2Config(
        **SPEECH, codevector_dim=16, proj_codevector_dim=16, num_codevectors_per_group=4
    )
    return transformers.Wav2Vec2ForPreTraining(config)


def _ast():
    """With the head that tags, as published."""
    config = transformers.ASTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48
    )
    return transformers.ASTForAudioClassification(config)


def _clap():
    """With the tower that reads captions, as published."""
    audio = {"depths": [2, 2, 2, 2], "num_attention_heads": [1, 2, 4, 8], "hidden_size": 64}
    text = {"vocab_size": 100, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
    config = transformers.ClapConfig(
        audio_config=audio | {"patch_embeds_hidden_size": 8},
        text_config=text | {"num_attention_heads": 1},
        projection_dim=16,
    )
    return transformers.ClapModel(config)


def _encodec(**settings):
    config = transformers.EncodecConfig(num_filters=4, hidden_size=16, codebook_size=8, **settings)
    return transformers.EncodecModel(config)


def _dac():
    config = transformers.DacConfig(
        encoder_hidden_size=4, decoder_hidden_size=32, codebook_size=8, sampling_rate=44100
    )
    return transformers.DacModel(config)


ENCODEC32 = {"sampling_rate": 32000, "upsampling_ratios": [8, 5, 4, 4], "use_causal_conv": False}
TINY = {  # the network, and layers and width of its states
    Wav2Vec2Base: (_wav2vec2, 3, 32),
    HubertBase: (_hubert, 3, 32),
    Mert95: (_hubert, 3, 32),
    Mert330: (lambda: _hubert(do_stable_layer_norm=True), 3, 32),
    Ast: (_ast, 3, 32),
    ClapMusic: (_clap, 1, 8 + 8 + 16 + 32 + 64),
    Encodec24: (_encodec, 1, 64 + 64 + 16),
    Encodec32: (lambda: _encodec(**ENCODEC32), 1, 64 + 64 + 16),
    Dac44: (_dac, 2, 64),
}


def publish(kind, hub):
    """Write a tiny network as the kind's repository holds the large one."""
    folder = hub / kind.repo
    network = TINY[kind][0]()
    safe = "model.safetensors" in kind.files
    network.save_pretrained(folder, safe_serialization=safe)
    if issubclass(kind, WaveformTransformer):
        settings = {"do_normalize": True, "sampling_rate": kind.card.sample_rate}
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    if kind in (Mert95, Mert330):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | MERT))
        (folder / "modeling_MERT.py").write_text("raise SystemExit('run')")
    if not safe:  # the published files are older than this spelling of weight norm
        weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
        spelling = {"parametrizations.weight.original0": "weight_g"}
        spelling["parametrizations.weight.original1"] = "weight_v"
        for new, old in spelling.items():
            weights = {name.replace(new, old): value for name, value in weights.items()}
        torch.save(weights, folder / "pytorch_model.bin")


def small(kind):
    """The encoder for the tiny network."""
    _, layers, width = TINY[kind]
    card = replace(kind.card, layers=layers, width=width)
    return type(kind.__name__, (kind,), {"card": card})
