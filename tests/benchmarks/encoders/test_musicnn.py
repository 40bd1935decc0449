import sys

import numpy as np
import pytest
import torch

from motionbeat.benchmarks.encoders.pretrained import musicnn
from motionbeat.benchmarks.encoders.pretrained.musicnn import Musicnn, MusicnnMsd
from motionbeat.errors import MotionBeatError

MTT_TAGS = """
0.16348 0.0041423 0.080246 6.4969e-05 0.090174 0.033568 0.00022034 0.00058783 0.011687 0.0019631
8.9034e-05 0.0037376 0.020468 0.00018939 0.00015476 0.00010165 0.094671 2.4812e-05 8.5881e-05
0.00010884 0.00017296 0.051322 1.4629e-05 0.00015353 0.0036464 0.00032385 4.284e-05 0.00011393
0.029291 0.00012837 0.004619 0.22774 0.14734 5.4413e-05 0.00019774 4.2659e-06 9.8011e-05 0.00033514
3.9809e-05 0.00010082 1.4094e-05 0.0038146 0.0056561 0.00079521 0.019983 0.0017164 0.061406
1.5307e-05 2.2727e-05 3.7107e-06
"""
MSD_TAGS = """
0.007059 0.0066748 0.0098307 0.010544 0.043924 0.058987 0.0029483 0.0041871 0.00080525 0.18336
0.015153 0.00042363 0.017559 0.0034374 0.00090814 0.0089802 0.0016586 0.01136 0.011975 0.0004017
0.031751 0.00067441 0.010466 0.056727 3.0845e-05 0.013055 0.37716 0.00013254 0.026295 0.007665
0.023371 0.0070158 0.017492 0.00069531 0.00058074 0.00056538 0.03411 0.012673 0.001504 0.00037391
0.00094661 0.0033249 0.00010167 0.0015176 0.0019335 0.0015888 0.00084773 0.0028541 0.0013558
0.00040318
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


def waveform() -> torch.Tensor:
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
    [(Musicnn, MTT_TAGS, MTT_FEATURES), (MusicnnMsd, MSD_TAGS, MSD_FEATURES)],
)
def test_agrees_with_the_published_network(kind, tags, features):
    """Tags and features of ``waveform()`` as TensorFlow computes them.

    The reference values come from the package's own graph definition and checkpoint
    (``MTT_musicnn/.meta``, ``MSD_musicnn/.meta``), run by TensorFlow 2.21 on the first 187 frames
    of librosa 0.11's log-mel spectrum in float32: ``log10(10000 * melspectrogram(sr=16000,
    n_fft=512, hop_length=256, n_mels=96) + 1)``. Tags are the output ``model/Sigmoid``, features
    the per-frame concatenation ``model/concat_1``.
    """
    encoder = kind()
    expected = np.array(tags.split(), np.float64)
    np.testing.assert_allclose(encoder.tags(waveform())[0], expected, rtol=1e-3, atol=1e-6)

    states = encoder(waveform()[:, :47_871])[0, 0]
    assert len(states) == 187
    np.testing.assert_allclose(
        states[PINNED_FRAMES][:, list(features)].T, list(features.values()), rtol=1e-3, atol=1e-3
    )


def test_tensorflow_is_not_needed():
    Musicnn()
    assert not {"tensorflow", "musicnn"} & set(sys.modules)


def test_tags_refuse_less_than_a_patch():
    with pytest.raises(ValueError, match="tags need 187 frames, the waveform has 126"):
        Musicnn().tags(torch.zeros(1, 32_000))


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(musicnn, "find_spec", lambda name: None)
    with pytest.raises(MotionBeatError, match="pip install --no-deps musicnn"):
        Musicnn()


def test_checkpoint_of_another_network_is_refused(monkeypatch):
    monkeypatch.setattr(Musicnn, "checkpoint", "MTT_vgg")
    with pytest.raises(MotionBeatError, match="is missing or has another shape"):
        Musicnn()
