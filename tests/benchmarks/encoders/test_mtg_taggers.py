"""The taggers against the networks as they were published: strided, on a whole clip."""

import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from motionbeat._torchaudio import transforms
from motionbeat.benchmarks.encoders.pretrained.mtg_taggers import (
    CrnnJamendo,
    FcnMtat,
    MusicnnJamendo,
)
from motionbeat.errors import MotionBeatError

ARCHIVE = Path(os.environ.get("MOTIONBEAT_DATA", ""), "tagging_weights.zip")
needs_weights = pytest.mark.skipif(
    FcnMtat.unavailable() is not None, reason="needs tagging_weights.zip in MOTIONBEAT_DATA"
)


def published(kind):
    content = BytesIO(kind.path().read_bytes())
    weights = torch.load(content, map_location="cpu", weights_only=True)
    # Denormal numbers change nothing and cost half a minute.
    return {name: torch.where(value.abs() < 1e-20, 0, value) for name, value in weights.items()}


def waveform(seconds):
    """Notes that fade, silent at both ends, where the padding of the spectra differs."""
    time = torch.arange(round(seconds * 16_000)) / 16_000
    pitch = 110 * 2 ** ((time / 0.7).floor() % 9 / 12)
    tone = sum(torch.sin(2 * torch.pi * k * pitch * time) / k for k in range(1, 8))
    signal = 0.2 * tone * torch.exp(-3 * (time % 0.35))
    signal[:1600] = signal[-1600:] = 0
    return signal[None]


def spectrum(weights, signal):
    mel = transforms.MelSpectrogram(16_000, n_fft=512, f_min=0.0, f_max=8000.0, n_mels=96)
    level = transforms.AmplitudeToDB()(mel(signal)).unsqueeze(1)
    return norm(weights, "spec_bn", level)


def norm(weights, name, x):
    values = [
        weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    ]
    return functional.batch_norm(x, *values)


def block(weights, name, x, field):
    convolved = functional.conv2d(
        x, weights[f"{name}.conv.weight"], weights[f"{name}.conv.bias"], padding=1
    )
    return functional.max_pool2d(norm(weights, f"{name}.bn", convolved).relu(), field)


def blocks(kind, weights, mel):
    states = [mel]
    for number, field in enumerate(kind.fields, start=1):
        states.append(block(weights, f"layer{number}", states[-1], field))
    return states[1:]


def early(signal, frames):
    """The signal as the encoder delays it, so that the first field is centred on its start."""
    return functional.pad(signal, (round(frames * 256), 0))


@needs_weights
def test_blocks_of_fcn_are_the_published_ones():
    """Every published value is found where its field lies, in all five blocks."""
    encoder, weights = FcnMtat(), published(FcnMtat)
    steps = 1280
    signal = waveform((steps * 256 - 384 - 256) / 16_000)
    with torch.inference_mode():
        expected = blocks(FcnMtat, weights, spectrum(weights, early(signal, 1.5))[..., :steps])
        states = encoder(signal)[0, 0]
    spread, first, column = 1, 0.0, 0
    for (_, field), maps in zip(FcnMtat.fields, expected, strict=True):
        if column:
            first += (field - 1) * spread // 2
            spread *= field
        width = maps.shape[1]
        mine = states[int(first) :: spread][: maps.shape[3], column : column + width]
        torch.testing.assert_close(mine, maps[0].mean(dim=1).T, rtol=1e-3, atol=1e-3)
        column += width


@needs_weights
def test_states_of_crnn_are_the_published_ones():
    encoder, weights = CrnnJamendo(), published(CrnnJamendo)
    steps = 96 * 18
    signal = waveform((steps * 256 - 128 - 256) / 16_000)
    gru = nn.GRU(128, 32, 2, batch_first=True)
    gru.load_state_dict(
        {name[7:]: value for name, value in weights.items() if name.startswith("layer5.")}
    )
    with torch.inference_mode():
        mel = spectrum(weights, early(signal, 0.5))[..., :steps]
        expected = gru(blocks(CrnnJamendo, weights, mel)[-1].squeeze(2).mT)[0][0]
        states = encoder(signal)[0, 0]
    first = 1 + 4 + 18
    torch.testing.assert_close(states[first::48, -32:], expected, rtol=1e-3, atol=1e-3)


@needs_weights
def test_musicnn_is_the_published_one():
    encoder, weights = MusicnnJamendo(), published(MusicnnJamendo)
    signal = waveform(8.0)

    def layer(name, x, convolve, padding):
        convolved = convolve(
            x, weights[f"{name}.conv.weight"], weights[f"{name}.conv.bias"], padding=padding
        )
        return norm(weights, f"{name}.bn", convolved).relu()

    with torch.inference_mode():
        mel = spectrum(weights, signal)
        front = [
            layer(f"layers.{n}", mel, functional.conv2d, (0, 3)).amax(dim=2) for n in range(2)
        ] + [layer(f"layers.{n}", mel.mean(dim=2), functional.conv1d, "same") for n in range(2, 5)]
        first = layer("layer1", torch.cat(front, dim=1), functional.conv1d, 3)
        second = layer("layer2", first, functional.conv1d, 3) + first
        third = layer("layer3", second, functional.conv1d, 3) + second
        expected = torch.cat([*front, first, second, third], dim=1)[0].T
        states = encoder(signal)[0, 0]
    torch.testing.assert_close(states, expected, rtol=1e-3, atol=1e-3)


@needs_weights
def test_weights_may_be_unpacked(tmp_path, monkeypatch):
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path / "tagging_weights")
    packed = FcnMtat().state_dict()
    monkeypatch.setenv("MOTIONBEAT_DATA", str(tmp_path))
    for name, value in FcnMtat().state_dict().items():
        assert torch.equal(value, packed[name])


FILE = "models/mtat/fcn/best_model.pth"


@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_file_is_named(tmp_path, monkeypatch, packed):
    content = bytes(range(256))
    monkeypatch.setenv("MOTIONBEAT_DATA", str(tmp_path))
    if packed:
        with zipfile.ZipFile(tmp_path / "tagging_weights.zip", "w") as archive:
            archive.writestr(FILE, content)
    else:
        path = tmp_path / "tagging_weights" / FILE
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    with pytest.raises(MotionBeatError, match=r"best_model\.pth: .*; delete it") as caught:
        FcnMtat()
    assert "\n" not in str(caught.value)


def test_missing_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONBEAT_DATA", str(tmp_path))
    (tmp_path / "tagging_weights.zip").write_bytes(b"no archive")
    with pytest.raises(MotionBeatError, match="put the folder models of minzwon") as caught:
        FcnMtat()
    assert "\n" not in str(caught.value)
    monkeypatch.delenv("MOTIONBEAT_DATA")
    assert "give --data DIR" in FcnMtat.unavailable()
