"""Encoders of the model hub, with tiny networks of the published layouts in their place."""

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from motionbeat import encoder as contract
from motionbeat._torchaudio import functional as audio
from motionbeat.benchmarks import store
from motionbeat.benchmarks.check_encoder import noise
from motionbeat.benchmarks.check_encoder import states as encode
from motionbeat.benchmarks.encoders.pretrained.ast import Ast
from motionbeat.benchmarks.encoders.pretrained.clap import ClapMusic
from motionbeat.benchmarks.encoders.pretrained.codecs import Dac44, Encodec24, Encodec32
from motionbeat.benchmarks.encoders.pretrained.hub import HubError
from motionbeat.benchmarks.encoders.pretrained.mert import Mert95, Mert330
from motionbeat.benchmarks.encoders.pretrained.wav2vec import (
    HubertBase,
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
    audio_config = {
        "depths": [2, 2, 2, 2],
        "num_attention_heads": [1, 2, 4, 8],
        "patch_embeds_hidden_size": 8,
        "hidden_size": 64,
    }
    text_config = {
        "vocab_size": 100,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 16,
    }
    config = transformers.ClapConfig(
        audio_config=audio_config, text_config=text_config, projection_dim=16
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


TINY = {  # the network, and layers and width of its states
    Wav2Vec2Base: (_wav2vec2, 3, 32),
    HubertBase: (_hubert, 3, 32),
    Mert95: (_hubert, 3, 32),
    Mert330: (lambda: _hubert(do_stable_layer_norm=True), 3, 32),
    Ast: (_ast, 3, 32),
    ClapMusic: (_clap, 1, 8 + 8 + 16 + 32 + 64),
    Encodec24: (_encodec, 1, 64 + 64 + 16),
    Encodec32: (
        lambda: _encodec(
            sampling_rate=32000, upsampling_ratios=[8, 5, 4, 4], use_causal_conv=False
        ),
        1,
        64 + 64 + 16,
    ),
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


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    with torch.random.fork_rng(devices=()), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        for kind in TINY:
            publish(kind, folder)
        patch.setenv("MOTIONBEAT_HUB", str(folder))
        yield folder


@pytest.fixture(scope="module", params=TINY, ids=lambda kind: kind.card.name)
def encoder(request, hub):
    kind = request.param
    _, layers, width = TINY[kind]
    card = dataclasses.replace(kind.card, layers=layers, width=width)
    return type("Tiny", (kind,), {"card": card})()


def test_shape_type_and_frame_count(encoder):
    states = encode(encoder, noise(encoder, 2.0, batch=2))
    card = encoder.card
    assert states.shape == (2, card.layers, math.floor(2 * card.frame_rate) + 1, card.width)
    assert states.dtype == torch.float32


def test_frames_go_on_through_windows(encoder):
    """Lengths about those at which a window of AST (10.1 s) or CLAP (10 s) is full."""
    for seconds in (9.9, 10.0, 10.05, 10.2, 20.3):
        states = encode(encoder, noise(encoder, seconds))
        samples = round(seconds * encoder.card.sample_rate)
        hop = round(encoder.card.sample_rate / encoder.card.frame_rate)
        assert states.shape[2] == samples // hop + 1
        assert states.isfinite().all()


def test_is_frozen_and_deterministic(encoder):
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    waveform = noise(encoder, 1.0)
    assert torch.equal(encode(encoder, waveform), encode(encoder, waveform))
    assert torch.equal(encode(encoder, waveform), encode(type(encoder)(), waveform))


@pytest.mark.parametrize("samples", [1, 2, 255, 1000])
def test_short_silence_is_finite(encoder, samples):
    states = encode(encoder, torch.zeros(1, samples))
    assert states.shape[2] >= 1
    assert states.isfinite().all()


def test_batch_of_two_equals_two_of_one(encoder):
    waveform = noise(encoder, 12.0, batch=2)
    apart = torch.cat([encode(encoder, one) for one in waveform.split(1)])
    torch.testing.assert_close(encode(encoder, waveform), apart, rtol=1e-4, atol=1e-3)


def test_clicks_light_up_their_frames(encoder):
    """Beside the same click far away, as some networks level a piece as a whole.

    Random attention mixes all frames a little, but a frame's own state prevails.
    """
    card = encoder.card
    length = 25.0 if isinstance(encoder, Encodec24 | Dac44) else 60.0  # s; codecs are slow

    def clicked(seconds):
        waveform = noise(encoder, length) * 0.02
        place = round(seconds * card.sample_rate)
        waveform[0, max(place - 2, 0) : place + 2] += 0.9
        return encode(encoder, waveform)[0]

    around = round(2 * card.frame_rate)
    elsewhere = clicked(17.0)
    for seconds in (0.0, 13.013, length - 0.1):
        frame = round(seconds * card.frame_rate)
        start = max(frame - around, 0)
        change = (clicked(seconds) - elsewhere)[:, start : frame + around].norm(dim=-1)
        assert (start + change.argmax(dim=-1) - frame).abs().max() <= 1


def test_everything_moves_with_the_module(encoder):
    moved = type(encoder)().to("meta")
    assert all(tensor.device.type == "meta" for tensor in [*moved.parameters(), *moved.buffers()])
    if not isinstance(encoder, Encodec24):  # its convolutions ask tensors for numbers
        assert moved(torch.zeros(1, 4000, device="meta")).device.type == "meta"


def test_recordings_are_encoded_piece_by_piece(encoder, monkeypatch):
    """As many frames as their rate says; a network of bounded reach gives those of the whole."""
    monkeypatch.setattr(store, "CHUNK_SECONDS", 4.0)
    waveform = noise(encoder, 10.7)
    features = store.encode(encoder, waveform[0].numpy())
    hop = round(encoder.card.sample_rate / encoder.card.frame_rate)
    assert len(features) == waveform.shape[1] // hop + 1
    if isinstance(encoder, Dac44):
        whole = encode(encoder, waveform)[0].movedim(1, 0)[: len(features)]
        torch.testing.assert_close(torch.from_numpy(features), whole, rtol=1e-4, atol=1e-4)


PUBLISHED = {  # what the published config.json says beyond the defaults of transformers
    Wav2Vec2Base: transformers.Wav2Vec2Config(),
    HubertBase: transformers.HubertConfig(),
    Mert95: transformers.HubertConfig(),
    Mert330: transformers.HubertConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        do_stable_layer_norm=True,
    ),
    Ast: transformers.ASTConfig(),
    ClapMusic: transformers.ClapAudioConfig(
        depths=[2, 2, 12, 2], hidden_size=1024, patch_embeds_hidden_size=128
    ),
    Encodec24: transformers.EncodecConfig(),
    Encodec32: transformers.EncodecConfig(
        sampling_rate=32000,
        num_filters=64,
        upsampling_ratios=[8, 5, 4, 4],
        use_causal_conv=False,
        use_conv_shortcut=False,
        codebook_size=2048,
        target_bandwidths=[2.2],
    ),
    Dac44: transformers.DacConfig(sampling_rate=44100, n_codebooks=9),
}


@pytest.mark.parametrize("kind", PUBLISHED, ids=lambda kind: kind.card.name)
def test_card_states_the_sizes_of_the_published_network(kind, monkeypatch, tmp_path):
    def unfilled(network, folder):
        with torch.device("meta"):
            return network(PUBLISHED[kind]).eval()

    (tmp_path / "preprocessor_config.json").write_text("{}")
    monkeypatch.setattr(kind, "folder", classmethod(lambda cls: tmp_path))
    for parent in kind.__mro__:
        module = sys.modules[parent.__module__]
        if (
            hasattr(module, "pretrained")
            and module.__name__ != "motionbeat.benchmarks.encoders.pretrained.hub"
        ):
            monkeypatch.setattr(module, "pretrained", unfilled)
    encoder, card = kind().to("meta"), kind.card
    assert card.parameters == sum(weights.numel() for weights in encoder.parameters())
    assert kind.commit.startswith(card.revision.partition("@")[2])
    if isinstance(encoder, Encodec24):
        last = encoder.encoder.layers[-1].conv
        assert card.width == 2 * last.in_channels + last.out_channels
        assert card.frame_rate == card.sample_rate / encoder.hop
    else:
        states = encoder(torch.zeros(1, 2 * card.sample_rate, device="meta"))
        assert states.shape == (1, card.layers, math.floor(2 * card.frame_rate) + 1, card.width)


def tone(rate, seconds=3.0):
    time = np.arange(round(seconds * rate)) / rate
    generator = np.random.default_rng(4)
    return (0.3 * np.sin(6000 * time**2) + 0.01 * generator.standard_normal(len(time))).astype("f4")


def test_ast_hears_the_published_spectrum(hub):
    """That of torchaudio, which the published feature extractor calls."""
    assert audio is not None  # puts torchaudio right where its extension does not load
    from torchaudio.compliance import kaldi

    waveform = torch.from_numpy(tone(16_000))[None]
    expected = kaldi.fbank(
        waveform, sample_frequency=16_000, window_type="hanning", num_mel_bins=128
    )
    torch.testing.assert_close(Ast().mel(waveform)[0], expected, rtol=1e-3, atol=1e-3)


def test_ast_fills_up_like_the_published_preprocessing(hub):
    """States of a short piece, begun half a patch early, against the network's own."""
    extractor = transformers.ASTFeatureExtractor(sampling_rate=16_000)
    waveform = np.concatenate([np.zeros(1400, np.float32), tone(16_000)])
    features = extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_values
    encoder = Ast()
    hidden = encoder.model(features, output_hidden_states=True).hidden_states
    expected = torch.stack(hidden, dim=1)[:, :, 2:].unflatten(2, (12, 101)).mean(dim=2)
    states = encoder(torch.from_numpy(waveform[1400:])[None])
    torch.testing.assert_close(states, expected[:, :, :31], rtol=1e-3, atol=1e-3)


def test_clap_hears_the_published_spectrum(hub):
    extractor = transformers.ClapFeatureExtractor(
        frequency_min=50, frequency_max=14_000, truncation="rand_trunc", padding="repeatpad"
    )
    waveform = tone(48_000, seconds=10.0)
    expected = extractor(waveform, sampling_rate=48_000, return_tensors="pt").input_features[0]
    mel = ClapMusic()._log_mel(torch.from_numpy(waveform)[None])
    torch.testing.assert_close(mel, expected.float(), rtol=1e-3, atol=1e-2)


def test_speech_is_levelled_like_the_published_preprocessing(hub):
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    waveform = tone(16_000)
    levelled = extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_values
    encoder = HubertBase()
    assert encoder.reach == 400
    padded = torch.nn.functional.pad(levelled, (200, 200))
    hidden = encoder.model(padded, output_hidden_states=True).hidden_states
    states = encoder(torch.from_numpy(waveform)[None])
    torch.testing.assert_close(states, torch.stack(hidden, dim=1), rtol=1e-3, atol=1e-3)


def test_mert_weights_arrive_under_their_published_names(hub):
    written = torch.load(hub / Mert95.repo / "pytorch_model.bin", weights_only=True)
    names = {name for name in written if "pos_conv_embed" in name}
    assert names == {
        f"encoder.pos_conv_embed.conv.{part}" for part in ("weight_g", "weight_v", "bias")
    }
    norm = Mert95().model.encoder.pos_conv_embed.conv.parametrizations.weight
    assert torch.equal(norm.original0, written["encoder.pos_conv_embed.conv.weight_g"])
    assert torch.equal(norm.original1, written["encoder.pos_conv_embed.conv.weight_v"])


@pytest.fixture
def broken(hub, tmp_path, monkeypatch):
    """A copy of the tiny MERT whose weights a test may change."""
    publish(Mert95, tmp_path)
    monkeypatch.setenv("MOTIONBEAT_HUB", str(tmp_path))
    return tmp_path / Mert95.repo / "pytorch_model.bin"


def refused(match):
    with pytest.raises(HubError, match=match) as caught:
        Mert95()
    assert "\n" not in str(caught.value)


def test_weights_that_lack_a_tensor_are_refused(broken):
    weights = torch.load(broken, weights_only=True)
    del weights["encoder.layers.1.final_layer_norm.bias"]
    torch.save(weights, broken)
    refused("lacks weights of HubertModel")


def test_weights_of_another_size_are_refused(broken):
    weights = torch.load(broken, weights_only=True)
    weights["encoder.layers.1.final_layer_norm.bias"] = torch.zeros(7)
    torch.save(weights, broken)
    refused("lacks weights of HubertModel")


def test_truncated_weights_are_refused(broken):
    broken.write_bytes(broken.read_bytes()[:2000])
    refused("cannot be read; fetch its files again")


def test_weights_that_would_run_code_are_refused(broken):
    torch.save({"encoder": Exploit()}, broken)
    refused("cannot be read; fetch its files again")


class Exploit:
    def __reduce__(self):
        return (exec, ("raise SystemExit('run')",))


def test_missing_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONBEAT_HUB", str(tmp_path))
    assert "has no config.json, model.safetensors" in Ast.unavailable()
    with pytest.raises(HubError, match="put it there or unset MOTIONBEAT_HUB"):
        Ast()


def test_missing_package_is_named(hub, monkeypatch):
    assert all(kind.unavailable() is None for kind in TINY)
    monkeypatch.setattr(contract, "find_spec", lambda name: None)
    for kind in TINY:
        assert kind.unavailable() == "not installed; run: pip install 'transformers>=4.57,<5'"


def test_listing_needs_no_transformers():
    code = (
        "import sys\n"
        "sys.modules['transformers'] = sys.modules['huggingface_hub'] = None\n"
        "from motionbeat.benchmarks.encoders import ast, clap, codecs, mert, wav2vec\n"
        "print(ast.Ast.card.name, '|', ast.Ast.unavailable())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("ast | not installed; run: pip install 'transformers")
