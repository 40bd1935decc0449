import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.dancing import danced

from motionbeat.data_modules.base import MotionFile
from motionbeat.data_modules.published.dance_with_melody import DanceWithMelody
from motionbeat.motion import JOINTS, MotionError
from motionbeat.tasks.metrics.dance import (
    ALIGNMENTS,
    beat_alignment_score,
    beat_coverage,
    beat_hit_rate,
    bone_length_drift,
    chance_floor,
    diversity,
    floating,
    floor_height,
    foot_sliding_ratio,
    frechet_distance,
    frechet_floor,
    geometric_features,
    jerk,
    kinetic_features,
    motion_beats,
    normalise,
    penetration,
    physical_foot_contact,
)

DATA = os.environ.get("MOTIONBEAT_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="needs real recordings: set MOTIONBEAT_DATA")
REFERENCES = json.loads(Path(__file__).with_name("dance_references.json").read_text())


def drawn(seed, shape):
    return np.random.default_rng(seed).standard_normal(shape)


def sliding():
    """A dance on a floor that swings."""
    time = np.arange(480) / 60
    sway = [0.1 * np.sin(2 * np.pi * 1.3 * time), 0 * time, 0.06 * np.sin(2 * np.pi * 0.7 * time)]
    return MOTIONS["dance1"]() + np.stack(sway, axis=1)[:, None]


MOTIONS = {
    "noise": lambda: 0.3 * drawn(0, (120, 24, 3)),
    "walk": lambda: drawn(1, (24, 3)) / 2 + 0.01 * drawn(2, (360, 24, 3)).cumsum(axis=0),
    "dance0": lambda: danced(110, 8.0, 0, 0).positions.astype(np.float64),
    "dance1": lambda: danced(124, 8.0, 1, 3).positions.astype(np.float64),
    "sliding": sliding,
}

STRETCHES = {"DANCE_C_4": 30, "DANCE_R_8": 35, "DANCE_T_5": 40, "DANCE_W_8": 10}
"""The second from which on 8 s of a captured dance are looked at."""

FEATURES = {
    "kinetic_legacy": partial(kinetic_features, variant="legacy"),
    "kinetic_fixed": kinetic_features,
    "geometric": geometric_features,
}


def sets(generated, reference, width):
    rng = np.random.default_rng([generated, 0])
    mixed = [
        offset + scale * rng.standard_normal((n, width)) @ rng.standard_normal((width, width))
        for offset, scale, n in ((0.5, 1.5, generated), (0.0, 1.0, reference))
    ]
    return normalise(mixed[0], mixed[1]), normalise(mixed[1], mixed[1])


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """The dances of dance_with_melody at 60 frames a second, by id."""
    dataset = DanceWithMelody(cache=tmp_path_factory.mktemp("cache"), data=Path(str(DATA)))
    dataset.prepare_data()
    return {
        track.id: track.get(MotionFile).motion.at(60.0).astype(np.float64)
        for track in dataset.tracks("test")
    }


@pytest.fixture(params=[*MOTIONS, *(pytest.param(id, marks=needs_data) for id in STRETCHES)])
def published(request):
    """A motion at 60 frames a second, and what published code says of it."""
    name = request.param
    if name in MOTIONS:
        motion = MOTIONS[name]()
    else:
        start = 60 * STRETCHES[name]
        motion = request.getfixturevalue("captured")[name][start : start + 480]
    return motion, REFERENCES["motions"][name]


def test_beat_scores_are_those_of_published_code(published):
    motion, numbers = published
    beats = np.arange(7, len(motion), 29) / 60
    for variant in ("fact", "bailando"):
        found = beat_alignment_score(motion, beats, variant=variant)
        assert found == pytest.approx(numbers[variant], abs=1e-4)
    found = beat_alignment_score(motion, beats, 60.0, "fact", seed_frames=30)
    assert found == pytest.approx(numbers["fact_seed"], abs=1e-4)
    half = motion[::2]
    beats = np.arange(4, len(half) + 60, 15) / 30
    found = beat_alignment_score(half, beats, variant="edge30")
    assert found == pytest.approx(numbers["edge30"], abs=1e-4)


def test_features_are_those_of_published_code(published):
    motion, numbers = published
    for variant in ("legacy", "fixed"):
        found = kinetic_features(motion, variant=variant)
        assert found == pytest.approx(numbers[f"kinetic_{variant}"], rel=1e-4, abs=1e-4)
    assert geometric_features(motion) == pytest.approx(numbers["geometric"], abs=1e-4)


def test_feet_are_scored_as_by_published_code(published):
    motion, numbers = published
    found = physical_foot_contact(motion[::2])
    assert found == pytest.approx(numbers["physical_foot_contact"], rel=1e-4, abs=1e-4)
    expected = numbers["foot_sliding_ratio"]
    found = foot_sliding_ratio(motion[::2])
    assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("sizes", [(90, 60, 24), (12, 40, 32)], ids=["many", "fewer than wide"])
def test_distances_are_those_of_published_code(sizes):
    generated, reference = sets(*sizes)
    numbers = REFERENCES["sets"]["x".join(map(str, sizes))]
    found = frechet_distance(generated, reference)
    assert found == pytest.approx(numbers["frechet_mint"], abs=1e-4)
    assert found == pytest.approx(numbers["frechet_bailando"], abs=1e-4)
    assert diversity(generated) == pytest.approx(numbers["diversity"], abs=1e-4)


@needs_data
@pytest.mark.parametrize("name", FEATURES)
def test_distances_of_captured_dances_are_those_of_published_code(captured, name):
    """Waltzes against all dances, in clips of 5 s."""
    features = {
        id: [
            FEATURES[name](dance[start : start + 300]) for start in range(0, len(dance) - 299, 300)
        ]
        for id, dance in captured.items()
    }
    every = np.concatenate(list(features.values()))
    waltzes = np.concatenate([found for id, found in features.items() if id.startswith("DANCE_W")])
    generated, reference = normalise(waltzes, every), normalise(every, every)
    numbers = REFERENCES["captured sets"][name]
    found = frechet_distance(generated, reference)
    assert found == pytest.approx(numbers["frechet_mint"], abs=1e-4)
    assert found == pytest.approx(numbers["frechet_bailando"], abs=1e-4)
    assert diversity(generated) == pytest.approx(numbers["diversity"], abs=1e-4)


def resting_at(frames, length=200):
    """All joints go along x, slowest in some frames."""
    away = np.abs(np.arange(length)[:, None] - np.asarray(frames)).min(axis=1)
    return np.tile(np.cumsum(1 + away)[:, None, None] * [0.001, 0, 0], (1, 24, 1))


def test_alignment_by_hand():
    motion = resting_at([40, 80, 120])
    assert motion_beats(motion).tolist() == [40, 80, 120]
    beats = np.array([40, 83, 190]) / 60
    near = [1, np.exp(-9 / 18), np.exp(-(37**2) / 18)]
    assert beat_alignment_score(motion, beats) == pytest.approx(np.mean(near), abs=1e-6)
    # The way to frame 40 is the way from frame 39, and smoothing keeps a symmetric minimum.
    assert motion_beats(motion, "bailando").tolist() == [39, 79, 119]
    near = [np.exp(-1 / 18), np.exp(-16 / 18), np.exp(-(71**2) / 18)]
    found = beat_alignment_score(motion, beats, variant="bailando")
    assert found == pytest.approx(np.mean(near), abs=1e-6)
    found = beat_alignment_score(motion, np.array([43 / 30]), variant="edge30")
    assert found == pytest.approx(np.exp(-9 / 18) / 3, abs=1e-6)


def test_seed_frames_and_beats_after_the_end_do_not_count():
    motion = resting_at([40, 120], 160)
    assert beat_alignment_score(motion, np.array([40, 120]) / 60) == 1
    assert beat_alignment_score(motion, np.array([40, 126]) / 60, seed_frames=60) == pytest.approx(
        np.exp(-36 / 18)
    )
    end = np.array([161 / 60])
    assert np.isnan(beat_alignment_score(motion, end))
    assert np.isnan(beat_alignment_score(motion, end, variant="bailando"))
    assert beat_alignment_score(motion, end * 2, variant="edge30") < 1e-9


def test_no_motion_beat_scores_0_and_no_music_beat_nothing():
    steady = np.tile(np.arange(60.0)[:, None, None] * [1, 0, 0], (1, 24, 1))
    for variant in ALIGNMENTS:
        assert beat_alignment_score(steady, np.array([0.5]), variant=variant) == 0
        assert np.isnan(beat_alignment_score(steady, np.zeros(0), variant=variant))
    assert beat_hit_rate(steady, np.array([0.5])) == beat_coverage(steady, np.array([0.5])) == 0
    assert np.isnan(beat_hit_rate(steady, np.zeros(0)))
    assert np.isnan(beat_coverage(steady, np.array([9.0])))


TEST_TEMPI = (120, 100, 80, 100, 130, 80, 110, 110, 135, 90)
"""Of AIST++'s ten test songs, by their names."""


@pytest.mark.parametrize(("variant", "chance"), [("fact", 0.220), ("edge30", 0.437)])
def test_motion_that_hears_nothing_scores_what_was_measured_for_it(variant, chance):
    scores = []
    for seed, tempo in enumerate(TEST_TEMPI):
        motion = drawn(seed, (4000, 24, 3)).cumsum(axis=0)
        beats = np.arange(0, 4000 / ALIGNMENTS[variant].fps, 60 / tempo)
        scores.append(beat_alignment_score(motion, beats, variant=variant))
    assert np.mean(scores) == pytest.approx(chance, abs=0.02)


def test_jitter_alone_raises_bailandos_score():
    motion, beats = MOTIONS["dance0"](), np.arange(0, 8, 0.6)
    noise = drawn(0, motion.shape)
    calm, nervous = (
        beat_alignment_score(motion + size * noise, beats, variant="bailando")
        for size in (0.0, 0.1)
    )
    assert nervous > calm + 0.05


def test_coverage_and_hits_by_hand():
    motion, beats = resting_at([40, 80, 120]), np.array([36, 85, 150, 190, 900]) / 60
    assert beat_coverage(motion, beats) == 3 / 4
    assert beat_hit_rate(motion, beats) == 1 / 3  # 4 frames are 67 ms, 5 are 83


def test_chance_by_hand():
    scores = np.array([[0.9, 0.1], [0.8, 0.3], [0.2, 0.7]])
    assert chance_floor(scores, [0, 0, 1], 20) == pytest.approx((0.2, 0.2, 0.2))
    assert np.isnan(chance_floor(scores[:, :1], [0, 0, 0])).all()


def test_chance_never_gives_a_dance_its_own_music():
    own = [0, 1, 2, 3, 4, 0]
    scores = np.random.default_rng(0).uniform(0.1, 0.3, (6, 5))
    scores[np.arange(6), own] = 1e6
    floor = chance_floor(scores, own, 500)
    assert 0.1 < floor.low < floor.mean < floor.high < 0.3
    assert floor == chance_floor(scores, own, 500)
    others = [scores[i, [s for s in range(5) if s != own[i]]].mean() for i in range(6)]
    assert floor.mean == pytest.approx(np.mean(others), abs=0.005)


def test_chance_leaves_out_songs_without_a_beat():
    scores = np.array([[1.0, 0.4, np.nan], [0.2, 1.0, np.nan], [0.3, 0.1, np.nan]])
    floor = chance_floor(scores, [0, 1, 2], 400)
    assert 0.1 <= floor.low <= floor.mean <= floor.high <= 0.4
    assert np.isnan(chance_floor(np.full((2, 2), np.nan), [0, 1], 10)).all()


def test_kinetic_features_by_hand():
    time = np.arange(50)[:, None, None] / 30
    steady = kinetic_features(np.tile(time * [3, 2, 4], (1, 24, 1)), 30.0)
    assert steady.reshape(24, 3) == pytest.approx(np.tile([25, 4, 0], (24, 1)), abs=1e-8)
    falling = kinetic_features(np.tile(time**2 * [0, -5, 0], (1, 24, 1)), 30.0)
    assert falling.reshape(24, 3)[:, 2] == pytest.approx(10)


def test_the_legacy_bracket_measures_where_the_dancer_is():
    still = np.zeros((20, 24, 3))
    still[:, 5] = [0.3, 0.0, 0.4]
    legacy = kinetic_features(still, variant="legacy").reshape(24, 3)
    assert legacy[5] == pytest.approx([0, 0, 3540 * 0.5])
    assert not kinetic_features(still).any()


STANDING = {
    "pelvis": (0, 1, 0), "l_hip": (0.1, 0.9, 0), "r_hip": (-0.1, 0.9, 0), "spine1": (0, 1.1, 0),
    "l_knee": (0.1, 0.5, 0), "r_knee": (-0.1, 0.5, 0), "spine2": (0, 1.2, 0),
    "l_ankle": (0.1, 0.1, 0), "r_ankle": (-0.1, 0.1, 0), "spine3": (0, 1.3, 0),
    "l_foot": (0.1, 0.02, 0.15), "r_foot": (-0.1, 0.02, 0.15), "neck": (0, 1.5, 0),
    "l_collar": (0.1, 1.45, 0), "r_collar": (-0.1, 1.45, 0), "head": (0, 1.6, 0),
    "l_shoulder": (0.2, 1.45, 0), "r_shoulder": (-0.2, 1.45, 0), "l_elbow": (0.22, 1.2, 0),
    "r_elbow": (-0.22, 1.2, 0), "l_wrist": (0.22, 0.95, 0.05), "r_wrist": (-0.22, 0.95, 0.05),
    "l_hand": (0.22, 0.87, 0.06), "r_hand": (-0.22, 0.87, 0.06),
}  # fmt: skip
"""Somebody who looks to +z."""


def posed(*frames):
    """Frames in which some joints are elsewhere."""
    return np.array([[(STANDING | frame)[name] for name in JOINTS] for frame in frames], np.float64)


def holding(*frames):
    return set(np.flatnonzero(geometric_features(posed(*frames))))


def test_somebody_who_stands_has_the_left_ankle_behind_a_plane_through_the_toes():
    assert holding({}, {}) == {15}


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        ({"r_wrist": (-0.22, 1.8, 0)}, 2),
        ({"l_wrist": (0.22, 1.8, 0)}, 3),
        ({"r_wrist": (-0.22, 1.4, 0.1)}, 6),
        ({"l_wrist": (0.22, 1.4, 0.1)}, 7),
        ({"r_wrist": (-0.9, 1.2, 0), "l_wrist": (0.9, 1.2, 0)}, 8),
        ({"r_ankle": (-0.1, 0.5, 0.05)}, 16),
        ({"l_ankle": (0.1, 0.5, 0.05)}, 17),
        ({"l_ankle": (0.2, 0.1, 0), "r_ankle": (-0.2, 0.1, 0)}, 18),
        ({"r_ankle": (-0.1, 0.45, -0.3)}, 19),
        ({"l_ankle": (0.1, 0.45, -0.3)}, 20),
        ({"r_elbow": (-0.45, 1.4, 0)}, 23),
        ({"l_elbow": (0.45, 1.4, 0)}, 24),
        ({"r_knee": (-0.1, 0.85, 0.4)}, 25),
        ({"l_knee": (0.1, 0.85, 0.4)}, 26),
        ({"pelvis": (0, 1, 0.2)}, 27),
        ({"pelvis": (0, 1.5, -0.5)}, 28),
        ({"r_wrist": (-0.22, 0.3, 0.05)}, 29),
        ({"l_wrist": (0.22, 0.3, 0.05)}, 30),
    ],
)
def test_a_pose_has_its_feature(change, feature):
    assert feature in holding(change, change)


def test_right_and_left_look_to_different_sides_as_in_published_code():
    ahead = ({"r_ankle": (-0.1, 0.1, 0.3)}, {"l_ankle": (0.1, 0.1, 0.3)})
    assert [holding(foot, foot) & {14, 15} for foot in ahead] == [{14, 15}, set()]
    forward = {"r_wrist": (-0.22, 0.95, 0.07), "l_wrist": (0.22, 0.95, 0.07)}
    assert holding({}, forward) & {0, 1} == {1}
    assert holding(forward, {}) & {0, 1} == {0}


def test_speeds_count_120_frames_a_second():
    # 2.5 lengths of the humerus a second are 5.35 mm a frame; 10.7 mm would be right at 60.
    for way, fast in ((0.005, False), (0.006, True)):
        shifted = {
            name: (x, y, z + way) for name, (x, y, z) in STANDING.items() if name.endswith("ankle")
        }
        assert (holding({}, shifted) >= {21, 22}) is fast
    moved = {name: (x + 0.005, y, z) for name, (x, y, z) in STANDING.items()}
    assert 31 in holding({}, moved)


def test_the_hand_is_never_looked_at_where_the_chest_moves():
    lifted = {"spine3": (0, 1.31, 0)}
    assert holding({}, lifted) >= {4, 5}
    assert not holding({}, {"r_wrist": (-0.22, 1.2, 0.05)}) & {4, 5}


def test_hands_that_part():
    apart = {"l_wrist": (0.24, 0.95, 0.05), "r_wrist": (-0.24, 0.95, 0.05)}
    assert 9 in holding({}, apart)
    assert 9 not in holding(apart, {})


def test_frechet_distance_by_hand():
    one = np.array([[0.0], [2.0]])
    assert frechet_distance(one, one) == pytest.approx(0)
    # Means 1 and 6, deviations √2 and √8.
    other = np.array([[4.0], [8.0]])
    assert frechet_distance(one, other) == pytest.approx(25 + 2)
    cloud = drawn(0, (50, 4))
    assert frechet_distance(cloud + np.array([3, 0, 4, 0]), cloud) == pytest.approx(25)
    assert frechet_distance(3 * cloud, cloud) == pytest.approx(
        4 * np.trace(np.cov(cloud, rowvar=False)) + 4 * (cloud.mean(axis=0) ** 2).sum()
    )


@pytest.mark.parametrize(
    ("n", "width", "floor"), [(40, 72, 48.5), (186, 72, 9.1), (40, 32, 8.9), (186, 32, 1.9)]
)
def test_few_clips_are_far_from_many(n, width, floor):
    assert frechet_floor(n, 1363, width, draws=3) == pytest.approx(floor, rel=0.06)


def test_diversity_by_hand():
    assert diversity(np.array([[0.0, 0], [3, 4], [0, 4]])) == pytest.approx((5 + 4 + 3) / 3)
    assert np.isnan(diversity(np.zeros((1, 2))))


def test_normalised_features_have_the_references_scale():
    reference = drawn(0, (30, 5)) * 7 + 3
    scaled = normalise(reference, reference)
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(5), abs=1e-9)
    assert scaled.std(axis=0) == pytest.approx(np.ones(5))
    flat = np.ones((4, 2))
    assert np.isfinite(normalise(flat, flat)).all()


def test_physical_foot_contact_by_hand():
    motion = posed(*[{}] * 4)
    motion[2, 0] += [0.3, 0.4, 0]  # accelerations (0.3, 0.4, 0), then (-0.6, -0.8 cut to 0, 0)
    for joint, way in ((7, 0.02), (10, 0.03), (8, 0.05), (11, 0.04)):
        motion[3, joint, 2] += way
    expected = 0.6 / 0.6 * 0.02 * 0.04 / 2 * 10000
    assert physical_foot_contact(motion) == pytest.approx(expected)
    motion[2, 7, 0] += 0.01  # moves in the frame before, in which the right foot does not
    motion[3, 7, 0] += 0.01
    assert physical_foot_contact(motion) == pytest.approx(expected)


def test_a_root_that_never_accelerates_has_no_foot_contact():
    assert np.isnan(physical_foot_contact(posed(*[{}] * 9)))


def test_foot_contact_depends_on_the_frame_rate():
    motion = MOTIONS["sliding"]()
    assert physical_foot_contact(motion[::2]) == pytest.approx(
        4 * physical_foot_contact(motion), rel=0.2
    )


def test_foot_sliding_by_hand():
    motion = posed(*[{}] * 5)
    motion[2:, [7, 10], 0] += 0.03  # the left foot jumps aside once
    assert foot_sliding_ratio(motion) == pytest.approx((1 / 5 + 0) / 2)
    motion[2:, [7, 10], 2] -= 0.03  # along the diagonal on which published code is blind
    assert foot_sliding_ratio(motion) == 0
    motion[1:, [7, 10], 1] += 0.2  # in the air it does not slide
    assert foot_sliding_ratio(motion) == 0


def test_heights_by_hand():
    motion = posed(*[{}] * 10)
    assert floor_height(motion) == pytest.approx(0.02)
    motion[0, :, 1] -= 0.05
    motion[1, :, 1] += 0.1
    motion[2, :, 1] -= 0.004  # forgiven
    assert penetration(motion, 0.02) == pytest.approx(50 / 10)
    assert floating(motion, 0.02) == pytest.approx(100 / 10)


def test_jerk_by_hand():
    time = np.arange(40)[:, None, None] / 30
    motion = np.tile(time**3 * [2, 0, 0], (1, 24, 1))
    assert jerk(motion, 30.0) == pytest.approx(12)
    assert jerk(np.tile(time**2 * [2, 0, 0], (1, 24, 1)), 30.0) == pytest.approx(0, abs=1e-7)


def test_bone_length_drift_by_hand():
    motion = posed(*[{}] * 2)
    assert bone_length_drift(motion) == 0
    bone = motion[1, 15] - motion[1, 12]
    motion[1, 15] += bone / 2  # the head: lengths 1 and 1.5, deviation 0.25, mean 1.25
    assert bone_length_drift(motion) == pytest.approx(20 / 23)
    assert np.isnan(bone_length_drift(np.zeros((3, 24, 3))))


METRICS = {
    "beat_alignment_score": lambda p: beat_alignment_score(p, np.array([0.3])),
    "beat_coverage": lambda p: beat_coverage(p, np.array([0.3])),
    "beat_hit_rate": lambda p: beat_hit_rate(p, np.array([0.3])),
    "kinetic_features": kinetic_features,
    "geometric_features": geometric_features,
    "physical_foot_contact": physical_foot_contact,
    "foot_sliding_ratio": foot_sliding_ratio,
    "floor_height": floor_height,
    "penetration": lambda p: penetration(p, 0.0),
    "floating": lambda p: floating(p, 0.0),
    "jerk": lambda p: jerk(p, 60.0),
    "bone_length_drift": bone_length_drift,
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_bad_motion_is_one_clear_error(metric):
    good = MOTIONS["noise"]()
    holey = good.copy()
    holey[3, 4, 1] = np.nan
    for bad, reason in (
        (good[:, :22], "expected"),
        (good[0], "expected"),
        (good[:0], "frames"),
        (holey, "NaN"),
    ):
        with pytest.raises(MotionError, match=reason) as error:
            metric(bad)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_tensors_are_taken_too(metric):
    motion = MOTIONS["sliding"]()
    tensor = torch.from_numpy(motion).requires_grad_()
    assert metric(tensor) == pytest.approx(metric(motion), nan_ok=True)


def test_beats_may_be_tensors():
    motion, beats = resting_at([40, 80]), np.array([40, 83]) / 60
    assert beat_alignment_score(motion, torch.from_numpy(beats)) == beat_alignment_score(
        motion, beats
    )


@pytest.mark.parametrize(
    ("metric", "shortest"),
    [("beat_alignment_score", 21), ("kinetic_features", 5), ("geometric_features", 2), ("jerk", 4)],
)
def test_a_motion_shorter_than_the_window_is_refused(metric, shortest):
    motion = MOTIONS["noise"]()
    METRICS[metric](motion[:shortest])
    with pytest.raises(MotionError, match=f"needs {shortest}"):
        METRICS[metric](motion[: shortest - 1])


def test_sets_that_cannot_be_compared_are_refused():
    with pytest.raises(MotionError, match="give 2 of each"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(MotionError, match="compare like ones"):
        frechet_distance(np.zeros((4, 3)), np.zeros((5, 2)))
