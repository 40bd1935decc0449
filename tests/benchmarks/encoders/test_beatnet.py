import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from motionbeat import encoder as contract
from motionbeat.benchmarks.encoders.pretrained import beatnet
from motionbeat.benchmarks.encoders.pretrained.beatnet import BeatNet, LogFilteredSpectrum
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.madmom import madmom


def waveform() -> torch.Tensor:
    """Five seconds of noise that grows louder, struck every 0.4 s."""
    time = torch.arange(5 * 22_050) / 22_050
    noise = torch.rand(len(time), generator=torch.Generator().manual_seed(0)) - 0.5
    return (noise * time / 5 + torch.sin(2 * torch.pi * 220 * time) * (-30 * (time % 0.4)).exp())[
        None
    ].clamp(-1, 1)


def published_spectrum(signal):
    """The package's features, by the processors of madmom that it makes them with."""
    spectrogram, processors = madmom("audio.spectrogram"), madmom("processors")
    pipeline = processors.SequentialProcessor(
        [
            madmom("audio.signal").SignalProcessor(num_channels=1, sample_rate=22_050),
            madmom("audio.signal").FramedSignalProcessor(frame_size=1411, hop_size=441),
            madmom("audio.stft").ShortTimeFourierTransformProcessor(),
            spectrogram.FilteredSpectrogramProcessor(
                num_bands=24, fmin=30, fmax=17_000, norm_filters=True
            ),
            spectrogram.LogarithmicSpectrogramProcessor(mul=1, add=1),
            spectrogram.SpectrogramDifferenceProcessor(
                diff_ratio=0.5, positive_diffs=True, stack_diffs=np.hstack
            ),
        ]
    )
    return torch.from_numpy(np.array(pipeline(signal.numpy())))


def test_spectrum_is_that_of_the_package():
    expected = published_spectrum(waveform()[0])
    mine = LogFilteredSpectrum()(waveform())[0, : len(expected)]
    assert expected.shape == (250, 272)
    torch.testing.assert_close(mine, expected, rtol=0, atol=1e-5)


def test_states_are_those_of_the_published_network():
    """The package's weights in torch's own two-layer LSTM, which it uses."""
    path = Path(find_spec("BeatNet").origin).parent / "models" / "model_1_weights.pt"
    weights = torch.load(path, weights_only=True)
    lstm = nn.LSTM(150, 150, 2, batch_first=True)
    lstm.load_state_dict(
        {name[5:]: value for name, value in weights.items() if name.startswith("lstm.")}
    )
    spectrum = published_spectrum(waveform()[0])[:, None]
    with torch.inference_mode():
        maps = functional.conv1d(spectrum, weights["conv1.weight"], weights["conv1.bias"]).relu()
        pooled = functional.max_pool1d(maps, 2).flatten(1)
        dense = functional.linear(pooled, weights["linear0.weight"], weights["linear0.bias"])
        expected = lstm(dense[None])[0][0]
        states = BeatNet()(waveform())[0, :, : len(expected)]
    torch.testing.assert_close(states[0], dense, rtol=0, atol=1e-4)
    torch.testing.assert_close(states[2], expected, rtol=0, atol=1e-4)


def test_is_causal():
    encoder, changed = BeatNet(), waveform()
    changed[:, 3 * 22_050 :] = 0
    with torch.inference_mode():
        before, after = encoder(waveform()), encoder(changed)
    assert torch.equal(before[:, :, :147], after[:, :, :147])
    assert not torch.equal(before[:, :, 152], after[:, :, 152])


def test_the_package_is_not_imported():
    BeatNet()
    assert "BeatNet" not in sys.modules


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(contract, "find_spec", lambda name: None)
    with pytest.raises(MotionBeatError, match=r"pip install --no-deps BeatNet==1.1.3"):
        BeatNet()


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"\x80\x02h\x07.", b"\x80\x02.", b"\x80\x02N."]
)
def test_damaged_weights_are_refused_in_one_line(monkeypatch, tmp_path, content):
    (tmp_path / "weights.pt").write_bytes(content)
    monkeypatch.setattr(beatnet, "_WEIGHTS", tmp_path / "weights.pt")
    with pytest.raises(MotionBeatError, match=r"weights\.pt: .*; install BeatNet==") as caught:
        BeatNet()
    assert "\n" not in str(caught.value)


def test_values_that_are_no_tensors_are_refused(monkeypatch, tmp_path):
    torch.save({"conv1.weight": 1}, tmp_path / "weights.pt")
    monkeypatch.setattr(beatnet, "_WEIGHTS", tmp_path / "weights.pt")
    with pytest.raises(MotionBeatError, match=r"conv1.weight is missing or has another shape"):
        BeatNet()


def test_weights_of_another_network_are_refused(monkeypatch, tmp_path):
    torch.save({"conv1.weight": torch.zeros(2, 1, 9)}, tmp_path / "weights.pt")
    monkeypatch.setattr(beatnet, "_WEIGHTS", tmp_path / "weights.pt")
    with pytest.raises(MotionBeatError, match=r"conv1.weight is missing or has another shape"):
        BeatNet()
