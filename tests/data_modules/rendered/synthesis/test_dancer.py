import numpy as np
import pytest

from motionbeat.data_modules.rendered.synthesis.dancer import DANCERS, dance
from motionbeat.data_modules.rendered.synthesis.steps import STYLES, pattern
from motionbeat.motion import FEET, JOINTS, PARENTS

EVERYONE = range(len(DANCERS))
METRES = {
    "waltz": ("3/4", 3),
    "viennese_waltz": ("3/4", 3),
    "jig": ("6/8", 2),
    "blues": ("12/8", 4),
}


def music(style="disco", bpm=118.0, duration=16.0, start=0.5, seed=0):
    metre, beats_a_bar = METRES.get(style, ("4/4", 4))
    beats = np.arange(0, duration - 0.5, 60 / bpm) + start
    rng = np.random.default_rng(seed)
    onsets = np.arange(0, duration - 0.5, 30 / bpm) + start
    return {
        "beats": beats,
        "positions": np.arange(len(beats)) % beats_a_bar + 1,
        "accents": np.stack([onsets, rng.permutation(len(onsets)) / len(onsets)], axis=1),
        "style": style,
        "metre": metre,
        "duration": duration + start,
    }


def landings(motion):
    """Times at which toes come down."""
    toes = motion.contacts[:, [1, 3]]
    return (np.nonzero(toes[1:] & ~toes[:-1])[0] + 1) / motion.fps


def offsets(times, beats):
    """Signed distance of each time to its nearest beat."""
    return times - beats[np.argmin(np.abs(times[:, None] - beats), axis=1)]


def locking(times, beats):
    """Length of the mean vector of beat phases: 1 is locked, 0 is unrelated."""
    phases = np.interp(times, beats, np.arange(len(beats)))
    return np.abs(np.exp(2j * np.pi * phases).mean())


@pytest.fixture(scope="module", params=[*STYLES, "some_new_style"])
def troupe(request):
    """Every dancer in one style, at a slow, a usual and a very fast tempo."""
    return [
        dance(**music(request.param, bpm), dancer=dancer, seed=dancer)
        for dancer, bpm in zip(EVERYONE, [118, 50, 118, 140, 90, 220, 118, 170], strict=True)
    ]


def test_bodies_keep_their_bones_and_their_place_above_the_floor(troupe):
    for motion, person in zip(troupe, DANCERS, strict=True):
        parents = motion.positions[:, PARENTS[1:]]
        bones = np.linalg.norm(motion.positions[:, 1:] - parents, axis=2)
        assert np.ptp(bones, axis=0).max() < 1e-4
        assert motion.positions[..., 1].min() > -0.005
        heads = motion.positions[:, JOINTS.index("head"), 1] / person.height
        assert 0.6 < heads.min() < heads.max() < 1.0


def test_feet_in_contact_stay_where_they_are(troupe):
    for motion in troupe:
        feet = motion.positions[:, FEET]
        held = motion.contacts[1:] & motion.contacts[:-1]
        assert np.abs(np.diff(feet, axis=0))[held].max() < 1e-5
        lowest = feet[..., 1].min(axis=0)
        assert (np.abs(feet[..., 1] - lowest)[motion.contacts] < 1e-5).all()
        assert not motion.contacts[:, [1, 3]].all(axis=1).all(), "somebody must lift a foot"


def test_motion_is_smooth(troupe):
    for motion in troupe:
        velocity = np.diff(motion.positions.astype(float), axis=0) * motion.fps
        assert np.linalg.norm(velocity, axis=2).max() < 8
        change = np.linalg.norm(np.diff(velocity, axis=0), axis=2)
        assert change.max() < 4, "a joint changed its velocity from one frame to the next"


def test_knees_bend_forward(troupe):
    for motion in troupe:
        for side in "lr":
            hip, knee, ankle, toe = (
                motion.positions[:, JOINTS.index(f"{side}_{joint}")].astype(float)
                for joint in ("hip", "knee", "ankle", "foot")
            )
            ahead = (toe - ankle) * [1, 0, 1]
            assert (((knee - (hip + ankle) / 2) * ahead).sum(axis=1) > 0).all()


def test_steps_come_with_the_beats_as_early_or_late_as_the_dancer():
    for dancer, person in enumerate(DANCERS):
        piece = music("disco", duration=40)
        rng = np.random.default_rng(dancer)
        piece["accents"] = piece["accents"][:0]
        times = landings(dance(**piece, dancer=dancer, seed=3))
        shuffled = times[0] + np.cumsum(rng.permutation(np.diff(times)) * rng.uniform(0.7, 1.3))
        assert locking(times, piece["beats"]) > max(0.85, locking(shuffled, piece["beats"]) + 0.1)
        assert np.median(offsets(times, piece["beats"])) == pytest.approx(person.lag, abs=0.03)


def test_trunk_and_arms_answer_accents():
    for dancer in EVERYONE:
        rng = np.random.default_rng(dancer)
        piece = music("hip_hop", bpm=100, duration=30, seed=dancer)
        motion = dance(**piece, dancer=dancer, seed=0)
        upper = motion.positions[:, JOINTS.index("neck") :] - motion.positions[:, :1]
        energy = np.linalg.norm(np.diff(upper, axis=0), axis=2).mean(axis=1)
        onsets, strengths = piece["accents"][10:-10].T
        near = np.abs(np.arange(len(energy)) / motion.fps - onsets[:, None]) < 0.15
        energy_near = (near * energy).sum(axis=1) / near.sum(axis=1)
        answer = np.corrcoef(strengths, energy_near)[0, 1]
        control = [np.corrcoef(rng.permutation(strengths), energy_near)[0, 1] for _ in range(200)]
        assert answer > max(0.25, np.quantile(control, 0.99))


def test_steps_are_not_a_copy_of_the_beats():
    silent, between = [], []
    for style in STYLES:
        piece = music(style)
        times = landings(dance(**piece, dancer=1, seed=0))
        danced = piece["beats"][(piece["beats"] > times[0]) & (piece["beats"] < times[-1])]
        silent.append((np.abs(offsets(danced, times)) > 0.1).mean())
        between.append((np.abs(offsets(times, piece["beats"])) > 0.1).mean())
    assert 0.1 < np.mean(silent) < 0.5
    assert 0.05 < np.mean(between) < 0.5
    assert min(silent) < 0.1, "some styles step on nearly every beat"


def test_steps_that_are_asked_for_are_danced_by_both_feet_in_turn():
    rng = np.random.default_rng(0)
    for dancer, person in enumerate(DANCERS):
        piece = music("hip_hop", bpm=110, duration=40)
        piece["accents"] = piece["accents"][:0]
        asked = np.cumsum(rng.uniform(0.4, 1.1, 50)) + 0.5
        asked = asked[asked < piece["beats"][-1]]
        motion = dance(**piece, dancer=dancer, seed=1, steps=asked)
        toes = motion.contacts[:, [1, 3]]
        frames, feet = np.nonzero(toes[1:] & ~toes[:-1])
        away = offsets((frames + 1) / motion.fps - person.lag, asked)
        assert np.quantile(np.abs(away), 0.9) < 0.09
        assert len(frames) > 0.6 * len(asked), "but for lazy ones and those before the first bars"
        assert (np.diff(feet) != 0).mean() > 0.7


def test_the_body_bounces_with_the_beat_however_seldom_it_steps():
    for bpm in (90, 120):
        piece = music("hip_hop", bpm=bpm, duration=40)
        motion = dance(**piece, dancer=0, seed=0, steps=piece["beats"][::8])
        height = motion.positions[200:-200, 0, 1].astype(float)
        power = np.abs(np.fft.rfft((height - height.mean()) * np.hanning(len(height)))) ** 2
        hertz = np.fft.rfftfreq(len(height), 1 / motion.fps)
        fast = hertz > 0.5
        assert 60 * hertz[fast][power[fast].argmax()] == pytest.approx(bpm, rel=0.03)


def test_waltz_steps_repeat_by_bars_and_not_by_beats():
    piece = music("viennese_waltz", bpm=180, duration=40)
    motion = dance(**piece, dancer=3, seed=0)
    pelvis = motion.positions[300:, 0, 1] - motion.positions[300:, 0, 1].mean()

    def similarity(beats):
        lag = round(beats * 60 / 180 * motion.fps)
        return np.corrcoef(pelvis[lag:], pelvis[:-lag])[0, 1]

    assert similarity(3) > max(0.4, similarity(1) + 0.4, similarity(2) + 0.4)


def test_shifted_music_shifts_the_steps():
    first = landings(dance(**music("salsa"), dancer=2, seed=0))
    later = landings(dance(**music("salsa", start=1.5), dancer=2, seed=0))
    np.testing.assert_allclose(later, first + 1, atol=0.02)


def test_same_arguments_give_the_same_dance_and_others_another():
    piece = music("funk")
    motion = dance(**piece, dancer=0, seed=0)
    again = dance(**piece, dancer=0, seed=0)
    np.testing.assert_array_equal(motion.positions, again.positions)
    np.testing.assert_array_equal(motion.contacts, again.contacts)
    for change in ({"dancer": 4}, {"seed": 1}, {"style": "house"}):
        other = dance(**({**piece, "dancer": 0, "seed": 0} | change))
        assert (motion.contacts != other.contacts).any(axis=1).mean() > 0.05


def test_steps_are_read_from_text():
    (step,) = pattern(4, "2.5Rt:10,-20").steps
    assert (step.beat, step.foot, step.forward, step.side) == (1.5, 1, 0.1, -0.2)
