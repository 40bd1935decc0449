"""The metrics agree with numbers that published code gave for stored motions and sets."""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.dancing import danced

from motionbeat.data_modules.base import MotionFile
from motionbeat.data_modules.published.dance_with_melody import DanceWithMelody
from motionbeat.tasks.metrics.dance_alignment import beat_alignment_score, motion_beats
from motionbeat.tasks.metrics.dance_distances import diversity, frechet_distance, normalise
from motionbeat.tasks.metrics.dance_features import geometric_features, kinetic_features
from motionbeat.tasks.metrics.dance_physics import foot_sliding_ratio, physical_foot_contact

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
    half, beats = motion[::2], np.arange(7, len(motion), 29) / 60
    late = np.arange(4, len(half) + 60, 15) / 30
    cases = {"fact": (motion, beats), "bailando": (motion, beats), "edge30": (half, late)}
    for variant, (dance, times) in cases.items():
        moves = motion_beats(dance, variant)
        found = beat_alignment_score(moves, len(dance), times, variant=variant)
        assert found == pytest.approx(numbers[variant], abs=1e-4)
    moves = motion_beats(motion)
    found = beat_alignment_score(moves[moves >= 30], len(motion), beats[beats >= 0.5])
    assert found == pytest.approx(numbers["fact_seed"], abs=1e-4), "30 frames were given"


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


def agree(generated, reference, numbers):
    found = frechet_distance(generated, reference)
    assert found == pytest.approx(numbers["frechet_mint"], abs=1e-4)
    assert found == pytest.approx(numbers["frechet_bailando"], abs=1e-4)
    assert diversity(generated) == pytest.approx(numbers["diversity"], abs=1e-4)


@pytest.mark.parametrize("sizes", [(90, 60, 24), (12, 40, 32)], ids=["many", "fewer than wide"])
def test_distances_are_those_of_published_code(sizes):
    agree(*sets(*sizes), REFERENCES["sets"]["x".join(map(str, sizes))])


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
    agree(normalise(waltzes, every), normalise(every, every), REFERENCES["captured sets"][name])
