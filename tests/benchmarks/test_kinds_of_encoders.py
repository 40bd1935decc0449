"""Encoders of stereo, encoders of one vector a clip, and encoders that are not what they say."""

import numpy as np
import pytest
import soundfile
import torch
from tests.clicks import dataset_card
from tests.conftest import shorten
from torch import nn

from motionbeat.benchmarks import evaluate
from motionbeat.data_modules.base import DataModule, Genre, Track
from motionbeat.encoder import WrapError, wrap
from motionbeat.encoding import EncodingError, encode
from motionbeat.tasks.genre import GenreClassification

RATE = 8000


class Panned(DataModule):
    """Noise on the left or on the right, alike when the channels are averaged."""

    card = dataset_card("panned", Genre)

    def prepare_data(self):
        (self.cache / "panned").mkdir(parents=True, exist_ok=True)
        for split in ("train", "validation", "test"):
            for track in self.tracks(split):
                if not track.audio_path.exists():
                    rng = np.random.default_rng(int(track.id))
                    sides = [0.9, 0.1] if track.get(Genre).name == "left" else [0.1, 0.9]
                    noise = rng.uniform(-0.5, 0.5, 2 * RATE)
                    soundfile.write(track.audio_path, noise[:, None] * sides, RATE)

    def tracks(self, split):
        first, count = {"train": (0, 16), "validation": (16, 6), "test": (22, 12)}[split]
        return [
            Track(
                str(n), self.cache / "panned" / f"{n}.wav", 2.0, str(n),
                (Genre("left" if n % 2 else "right"),),
            )
            for n in range(first, first + count)
        ]  # fmt: skip


class Levels(nn.Module):
    """The level of each channel in frames of 10 ms."""

    def forward(self, waveform):
        channels = waveform if waveform.ndim == 3 else waveform[:, None]
        return channels.unfold(-1, RATE // 100, RATE // 100).std(dim=-1).movedim(1, 2)


class Vector(nn.Module):
    """The level of each channel of a whole clip, of two layers."""

    def forward(self, waveform):
        channels = waveform if waveform.ndim == 3 else waveform[:, None]
        return torch.stack([channels.std(dim=-1), channels.abs().mean(dim=-1)], dim=1)


def accuracy(encoder, folder):
    dataset = f"{__name__}:Panned" if "." in __name__ else f"{__file__}:Panned"
    result = evaluate(encoder, "genre", dataset, seeds=1, learning_rates=(0.03,), cache=folder)
    return result.scores["linear"]["accuracy"]


@pytest.mark.parametrize(
    "kind", [{"frame_rate": 100}, {"clip_seconds": 0.5}], ids=["frames", "clips"]
)
def test_stereo_is_heard_by_encoders_of_stereo_alone(tmp_path, monkeypatch, kind):
    shorten(monkeypatch, max_steps=60, check_every=20)
    module = Levels() if "frame_rate" in kind else Vector()
    stereo, mono = (
        wrap(module, sample_rate=RATE, channels=channels, name=f"levels{channels}", **kind)
        for channels in (2, 1)
    )
    assert accuracy(stereo, tmp_path) == 1
    assert accuracy(mono, tmp_path) < 0.9


def test_a_trainer_of_ones_own_hears_stereo_too(tmp_path):
    encoder = wrap(Levels(), sample_rate=RATE, frame_rate=100, channels=2)
    task = GenreClassification(encoder=encoder)
    data = Panned(cache=tmp_path)
    data.prepare_data()
    data.encoder_sample_rate, data.encoder_channels = RATE, 2
    batch = next(iter(data.val_dataloader()))
    assert batch.waveform.shape == (1, 2, 2 * RATE)
    features, _ = task.front_end.features(batch)
    levels = features.mean(dim=(0, 1, 2)).tolist()
    assert sorted(levels) == pytest.approx([0.1 * 0.289, 0.9 * 0.289], rel=0.05)


def test_clips_lie_around_the_times_of_their_frames():
    encoder = wrap(Vector(), sample_rate=RATE, clip_seconds=1.0)
    waveform = np.zeros(10 * RATE, np.float32)
    waveform[round(4.6 * RATE) : round(5.4 * RATE)] = 1
    levels = encode(encoder, waveform)[:, 1, 0]
    assert len(levels) == 11
    np.testing.assert_allclose(levels, [0, 0, 0, 0, 0, 0.8, 0, 0, 0, 0, 0], atol=1e-3)


def test_one_vector_in_place_of_frames_is_named():
    class One(nn.Module):
        def forward(self, waveform):
            return Vector()(waveform).mean(dim=1)

    with pytest.raises(WrapError, match="clip_seconds"):
        wrap(One(), sample_rate=RATE, frame_rate=100)
    with pytest.raises(WrapError, match="either"):
        wrap(Vector(), sample_rate=RATE, frame_rate=100, clip_seconds=1)


class Pooled(nn.Module):
    """Averages what is longer than a second; a variable frame rate."""

    def forward(self, waveform):
        frames = Levels()(waveform)
        return frames if frames.shape[1] <= 100 else frames.mean(dim=1, keepdim=True)


class Doubled(nn.Module):
    """Twice as many frames of what is longer than a second."""

    def forward(self, waveform):
        frames = Levels()(waveform)
        return frames if frames.shape[1] <= 100 else frames.repeat(1, 2, 1)


@pytest.mark.parametrize("module", [Pooled(), Doubled()])
@pytest.mark.parametrize("context", [1.0, float("inf")])
def test_frames_at_another_rate_than_the_card_says_are_named(module, context):
    encoder = wrap(module, sample_rate=RATE, frame_rate=100, context=context)
    with pytest.raises(EncodingError, match=r"encoder \w+: gave \d+ frames for 12.00 s"):
        encode(encoder, np.zeros(12 * RATE, np.float32))
