"""Encoders of the model hub, with tiny networks of the published layouts in their place."""

import math

import numpy as np
import pytest
import torch
from tests.benchmarks.encoders.hub_networks import TINY, publish, small

from motionbeat import encoding
from motionbeat.benchmarks.check_encoder import noise
from motionbeat.benchmarks.check_encoder import states as encode
from motionbeat.benchmarks.encoders.pretrained import hub as hub_module
from motionbeat.benchmarks.encoders.pretrained.clap import ClapMusic
from motionbeat.benchmarks.encoders.pretrained.codecs import Dac44, Encodec24, Encodec32
from motionbeat.benchmarks.encoders.pretrained.patch_transformers import Ast
from motionbeat.benchmarks.encoders.pretrained.waveform_transformers import (
    HubertBase,
    Mert95,
    Mert330,
    Wav2Vec2Base,
)
from motionbeat.errors import MotionBeatError

transformers = pytest.importorskip("transformers")


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
    return small(request.param)()


def test_frames_go_on_through_windows(encoder, monkeypatch):
    """Lengths about those at which a window of AST (10.1 s) or CLAP (10 s) is full.

    A network of bounded reach gives the frames of the whole when encoded piece by piece.
    """
    hop = round(encoder.card.sample_rate / encoder.card.frame_rate)
    for seconds in (9.9, 10.0, 10.2, 20.3):
        waveform = noise(encoder, seconds)
        assert encode(encoder, waveform).shape[2] == waveform.shape[1] // hop + 1
    monkeypatch.setattr(encoding, "CHUNK_SECONDS", 4.0)
    waveform = noise(encoder, 10.7)
    features = encoding.encode(encoder, waveform[0].numpy())
    assert len(features) == waveform.shape[1] // hop + 1
    if isinstance(encoder, Dac44):
        whole = encode(encoder, waveform)[0].movedim(1, 0)[: len(features)]
        torch.testing.assert_close(torch.from_numpy(features), whole, rtol=1e-4, atol=1e-4)


def test_clicks_light_up_their_frames(encoder):
    """Beside the same click far away, as some networks level a piece as a whole.

    Random attention mixes all frames a little, but a frame's own state prevails.
    """
    card = encoder.card

    def clicked(seconds):
        waveform = noise(encoder, 25.0) * 0.02
        place = round(seconds * card.sample_rate)
        waveform[0, max(place - 2, 0) : place + 2] += 0.9
        return encode(encoder, waveform)[0]

    around, elsewhere = round(2 * card.frame_rate), clicked(17.0)
    for seconds in (0.0, 13.013, 24.9):
        frame = round(seconds * card.frame_rate)
        start = max(frame - around, 0)
        change = (clicked(seconds) - elsewhere)[:, start : frame + around].norm(dim=-1)
        assert (start + change.argmax(dim=-1) - frame).abs().max() <= 1


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
    monkeypatch.setattr(hub_module, "pretrained", unfilled)
    encoder, card = kind().to("meta"), kind.card
    assert card.parameters == sum(weights.numel() for weights in encoder.parameters())
    assert kind.commit.startswith(card.revision.partition("@")[2])
    if isinstance(encoder, Encodec24):
        last = encoder.network.layers[-1].conv
        assert card.width == 2 * last.in_channels + last.out_channels
    else:
        states = encoder(torch.zeros(1, 2 * card.sample_rate, device="meta"))
        assert states.shape == (1, card.layers, math.floor(2 * card.frame_rate) + 1, card.width)


def tone(rate, seconds=3.0):
    time = np.arange(round(seconds * rate)) / rate
    generator = np.random.default_rng(4)
    return (0.3 * np.sin(6000 * time**2) + 0.01 * generator.standard_normal(len(time))).astype("f4")


def test_ast_fills_up_like_the_published_preprocessing(hub):
    """States of a short piece, begun half a patch early, against the network's own."""
    extractor = transformers.ASTFeatureExtractor(sampling_rate=16_000)
    waveform = np.concatenate([np.zeros(1400, np.float32), tone(16_000)])
    features = extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_values
    encoder = Ast()
    hidden = encoder.network(features, output_hidden_states=True).hidden_states
    expected = torch.stack(hidden, dim=1)[:, :, 2:].unflatten(2, (12, 101)).mean(dim=2)
    states = encoder(torch.from_numpy(waveform[1400:])[None])
    torch.testing.assert_close(states, expected[:, :, :31], rtol=1e-3, atol=1e-3)


def test_clap_hears_the_published_spectrum(hub):
    extractor = transformers.ClapFeatureExtractor(
        frequency_min=50, frequency_max=14_000, truncation="rand_trunc", padding="repeatpad"
    )
    waveform = tone(48_000, seconds=10.0)
    expected = extractor(waveform, sampling_rate=48_000, return_tensors="pt").input_features[0]
    mel = ClapMusic().mel(torch.from_numpy(waveform)[None])
    torch.testing.assert_close(mel.mT, expected.float(), rtol=1e-3, atol=1e-2)


def test_speech_is_levelled_like_the_published_preprocessing(hub):
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    waveform = tone(16_000)
    levelled = extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_values
    encoder = HubertBase()
    assert encoder.reach == 400
    padded = torch.nn.functional.pad(levelled, (200, 200))
    hidden = encoder.network(padded, output_hidden_states=True).hidden_states
    states = encoder(torch.from_numpy(waveform)[None])
    torch.testing.assert_close(states, torch.stack(hidden, dim=1), rtol=1e-3, atol=1e-3)


def test_mert_weights_arrive_under_their_published_names(hub):
    written = torch.load(hub / Mert95.repo / "pytorch_model.bin", weights_only=True)
    names = {name for name in written if "pos_conv_embed" in name}
    assert names == {
        f"encoder.pos_conv_embed.conv.{part}" for part in ("weight_g", "weight_v", "bias")
    }
    norm = Mert95().network.encoder.pos_conv_embed.conv.parametrizations.weight
    assert torch.equal(norm.original0, written["encoder.pos_conv_embed.conv.weight_g"])
    assert torch.equal(norm.original1, written["encoder.pos_conv_embed.conv.weight_v"])


@pytest.mark.parametrize("fault", ["lacks", "another size", "truncated"])
def test_damaged_weights_are_refused(fault, hub, tmp_path, monkeypatch):
    publish(Mert95, tmp_path)
    monkeypatch.setenv("MOTIONBEAT_HUB", str(tmp_path))
    path, name = tmp_path / Mert95.repo / "pytorch_model.bin", "encoder.layer_norm.bias"
    weights = torch.load(path, weights_only=True)
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    elif fault == "lacks":
        torch.save({key: value for key, value in weights.items() if key != name}, path)
    else:
        torch.save(weights | {name: torch.zeros(7)}, path)
    words = "lacks weights of HubertModel|cannot be read; fetch its files again"
    with pytest.raises(MotionBeatError, match=words) as caught:
        Mert95()
    assert "\n" not in str(caught.value)
