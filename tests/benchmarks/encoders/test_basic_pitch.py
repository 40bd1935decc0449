import sys

import numpy as np
import pytest
import torch

from motionbeat import encoder as contract
from motionbeat.benchmarks.encoders.pretrained import basic_pitch
from motionbeat.benchmarks.encoders.pretrained.basic_pitch import BasicPitch
from motionbeat.errors import MotionBeatError

FRAMES = [20, 60, 100, 140]
PUBLISHED = {  # by feature, in those frames: contours, notes, onsets
    73: [0.34619, 0.77507, 0.6856, 0.64463],
    109: [0.11386, 0.3277, 0.30959, 0.24275],
    130: [0.28235, 0.099549, 0.16609, 0.14002],
    145: [0.095371, 0.20977, 0.6044, 0.60141],
    288: [0.50615, 0.78016, 0.60101, 0.59297],
    300: [0.16193, 0.51068, 0.33909, 0.24012],
    312: [0.10058, 0.24625, 0.79272, 0.73336],
    319: [0.10185, 0.26902, 0.19852, 0.17309],
    357: [0.13902, 0.085008, 0.088774, 0.085462],
    364: [0.17583, 0.070353, 0.058412, 0.076129],
    376: [0.24432, 0.092858, 0.090593, 0.05234],
    388: [0.25919, 0.10257, 0.10169, 0.08138],
}


def window() -> torch.Tensor:
    """Four notes, one after the other, in the samples of a window."""
    time = np.arange(43_844) / 22_050
    signal = np.zeros(len(time))
    for number, hertz in enumerate((110, 220, 277.18, 440)):
        tone = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in (1, 2, 3))
        since = time - 0.3 * number
        signal += (since >= 0) * 0.1 * tone * np.exp(-2 * np.maximum(since, 0))
    return torch.from_numpy(signal.astype(np.float32))[None]


def test_agrees_with_the_published_network():
    """Values of the package's own ``nmp.onnx``, run by onnxruntime 1.23.2 on one window."""
    with torch.inference_mode():
        said = BasicPitch()._transcribe(window())[0]
    assert said.shape == (172, 512)
    np.testing.assert_allclose(
        said[FRAMES][:, list(PUBLISHED)].T, list(PUBLISHED.values()), rtol=0, atol=2e-4
    )


def test_notes_are_heard_when_and_where_they_are_played():
    """A4 from second 20.5 to 21.5 of a minute, as key 48 of the piano."""
    time = torch.arange(60 * 22_050) / 22_050
    signal = 0.3 * torch.sin(2 * torch.pi * 440 * time) * ((time >= 20.5) & (time < 21.5))
    with torch.inference_mode():
        states = BasicPitch()(signal[None])[0, 0]
    notes = states[:, 264:352]
    sounding = (notes[:, 48] > 0.3).nonzero().flatten() / BasicPitch.card.frame_rate
    assert abs(sounding.min() - 20.5) < 0.05
    assert abs(sounding.max() - 21.5) < 0.15
    assert notes[round(21.0 * BasicPitch.card.frame_rate)].argmax() == 48


def test_can_be_differentiated():
    signal = window().requires_grad_()
    BasicPitch()(signal).sum().backward()
    assert signal.grad.abs().max() > 0


def test_tensorflow_is_not_needed():
    BasicPitch()
    assert not {"tensorflow", "onnxruntime", "basic_pitch"} & set(sys.modules)


def test_missing_package_is_named(monkeypatch):
    for module in (basic_pitch, contract):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MotionBeatError, match=r"pip install --no-deps basic-pitch==0.4.0"):
        BasicPitch()


def test_checkpoint_of_another_network_is_refused(monkeypatch):
    monkeypatch.setattr(basic_pitch, "read_checkpoint", lambda *_: {})
    with pytest.raises(MotionBeatError, match="is missing or has another shape"):
        BasicPitch()
