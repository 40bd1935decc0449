"""Signals from motion, against the exact contacts and tempi of synthetic dances."""

import numpy as np
import pytest
from scipy.interpolate import make_interp_spline
from scipy.signal import find_peaks

from motionbeat.data_modules.rendered.synthesis.dancer import DANCERS, dance
from motionbeat.kinematics import PULSES, foot_contacts, motion_features, movement_envelope
from motionbeat.motion import JOINTS, Motion, MotionError

STEPS = [("house", 122), ("waltz", 96), ("salsa", 95), ("disco", 118), ("hip_hop", 92)]
SWAP = [JOINTS.index({"l": "r", "r": "l"}.get(j[0], "") + j[1:] if j[1] == "_" else j)
        for j in JOINTS]  # fmt: skip


def perform(style="disco", bpm=118.0, dancer=0, seconds=12.0, fps=60.0):
    beats = np.arange(0.4, seconds, 60 / bpm)
    bar = 3 if style == "waltz" else 4
    return dance(
        beats=beats,
        positions=np.arange(len(beats)) % bar + 1,
        accents=np.stack([beats, np.full(len(beats), 0.6)], axis=1),
        style=style,
        metre=f"{bar}/4",
        duration=seconds,
        dancer=dancer,
        seed=dancer,
        fps=fps,
    )


def resampled(motion, fps):
    """The same movement filmed at another frame rate."""
    times = np.arange(int(motion.duration * fps)) / fps
    spline = make_interp_spline(np.arange(len(motion.positions)) / motion.fps, motion.positions)
    return Motion(spline(times).astype(np.float32), fps)


def landings(contacts, fps):
    """Seconds at which either foot comes down, heel or toe."""
    found = []
    for foot in (contacts[:, :2], contacts[:, 2:]):
        frames, _ = np.nonzero(foot[1:] & ~foot[:-1])
        times = np.sort(frames + 1) / fps
        found += [t for i, t in enumerate(times) if i == 0 or t - times[i - 1] >= 0.1]
    return np.sort(found)


def f_measure(found, true, tolerance):
    near = np.abs(found[:, None] - true) <= tolerance
    return 2 * min(near.any(0).sum(), near.any(1).sum()) / (len(found) + len(true))


@pytest.fixture(scope="module")
def troupe():
    return [perform(*step, dancer=who) for who, step in enumerate((STEPS * 2)[: len(DANCERS)])]


@pytest.fixture(scope="module")
def solo():
    return perform("disco", 118, dancer=3)


def test_contacts_agree_with_the_exact_ones(troupe):
    true = np.concatenate([motion.contacts for motion in troupe])
    found = np.concatenate([foot_contacts(motion) for motion in troupe])
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1
    hits = ((found > 0.5) & true).sum()
    assert 2 * hits / ((found > 0.5).sum() + true.sum()) > 0.96


def test_contacts_survive_noise_a_slope_and_a_low_frame_rate(troupe):
    rng = np.random.default_rng(0)
    scores = []
    for motion in troupe:
        rough = resampled(motion, 25.0).positions + rng.normal(0, 0.003, (1, 1, 3))
        rough = rough + rng.normal(0, 0.003, rough.shape)
        rough[..., 1] += 0.03 * rough[..., 0] + 0.5
        found = foot_contacts(Motion(rough.astype(np.float32), 25.0)) > 0.5
        true = motion.contacts[np.round(np.arange(len(found)) / 25 * motion.fps).astype(int)]
        scores.append(2 * (found & true).sum() / (found.sum() + true.sum()))
    assert np.mean(scores) > 0.93


def test_pulses_stand_on_landings(troupe):
    scores = []
    for motion in troupe:
        pulses = motion_features(motion, motion.fps)[:, PULSES]
        assert 0 <= pulses.min() <= pulses.max() <= 1
        peaks = find_peaks(pulses, height=0.2)[0] / motion.fps
        scores.append(f_measure(peaks, landings(motion.contacts, motion.fps), 0.05))
    assert np.mean(scores) > 0.9


def test_the_envelope_repeats_with_the_beat():
    right = 0
    tempi = {"house": 122, "waltz": 100, "disco": 112, "hip_hop": 95, "reggaeton": 92}
    for dancer, (style, bpm) in enumerate(tempi.items()):
        motion = perform(style, bpm, dancer, seconds=20)
        envelope = movement_envelope(motion)
        assert envelope.min() >= 0
        centred = envelope - envelope.mean()
        lags = np.arange(14, 90)
        likeness = [centred[lag:] @ centred[:-lag] for lag in lags]
        found = 60 * motion.fps / lags[np.argmax(likeness)]
        right += min(abs(found / bpm / ratio - 1) for ratio in (0.5, 1, 2)) < 0.05
    assert right >= 4


@pytest.mark.parametrize("fps", [25.0, 30.0, 120.0])
def test_frame_rate_does_not_matter(solo, fps):
    other = resampled(solo, fps)
    for signal in (foot_contacts, movement_envelope):
        here = signal(other)
        assert len(here) == len(other.positions)
        times = np.arange(len(here)) / fps
        there = signal(solo)[np.minimum(np.round(times * solo.fps).astype(int), 719)]
        assert np.abs(here - there).mean() < 0.06 * (there.std() + 0.5)
    rows = min(len(motion_features(other, 25)), len(motion_features(solo, 25)))
    gap = motion_features(other, 25)[:rows] - motion_features(solo, 25)[:rows]
    assert np.abs(gap).mean() < 0.01


def test_features_do_not_know_where_the_dancer_stands_or_faces(solo):
    turn = np.radians(130)
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    moved = Motion((solo.positions @ matrix.T + [3, 0.4, -2]).astype(np.float32), solo.fps)
    np.testing.assert_allclose(motion_features(moved, 30), motion_features(solo, 30), atol=2e-3)


def test_a_mirrored_dance_has_mirrored_features(solo):
    mirrored = Motion(solo.positions[:, SWAP] * np.float32([-1, 1, 1]), solo.fps)
    here, there = motion_features(mirrored, 30), motion_features(solo, 30)
    sign = np.array([-1, 1, 1])
    for part in (slice(0, 72), slice(72, 144)):
        expected = there[:, part].reshape(-1, 24, 3)[:, SWAP] * sign
        np.testing.assert_allclose(here[:, part].reshape(-1, 24, 3), expected, atol=1e-3)
    np.testing.assert_allclose(here[:, 147], -there[:, 147], atol=1e-3)
    np.testing.assert_allclose(here[:, 148:152], there[:, [150, 151, 148, 149]], atol=1e-3)


def test_the_body_faces_forward_in_its_frame(solo):
    places = motion_features(solo, 30)[:, :72].reshape(-1, 24, 3)
    assert (places[:, JOINTS.index("l_hip"), 0] > places[:, JOINTS.index("r_hip"), 0]).all()
    toes = [JOINTS.index("l_foot"), JOINTS.index("r_foot")]
    heels = [JOINTS.index("l_ankle"), JOINTS.index("r_ankle")]
    assert (places[:, toes] - places[:, heels])[..., 2].mean() > 0.05
    assert 1.5 < places[:, JOINTS.index("head"), 1].mean() < 2


@pytest.mark.parametrize("frames", [1, 2, 3, 300])
@pytest.mark.parametrize("fps", [25.0, 60.0])
def test_who_does_not_move_has_no_accents(solo, frames, fps):
    still = Motion(np.repeat(solo.positions[:1], frames, axis=0), fps)
    assert foot_contacts(still).shape == (frames, 4)
    assert (foot_contacts(still) > 0.9).all()
    np.testing.assert_allclose(movement_envelope(still), np.zeros(frames), atol=1e-3)
    features = motion_features(still, 50)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features[:, [*range(72, 148), PULSES, -1]], 0, atol=1e-4)


def test_bad_input_is_refused(solo):
    with pytest.raises(MotionError, match="no frames; drop the clip"):
        foot_contacts(Motion(np.zeros((0, 24, 3), np.float32), 30))
    with pytest.raises(MotionError, match="ask for more than 0"):
        motion_features(solo, float("nan"))
