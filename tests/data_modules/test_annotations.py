from pathlib import Path

import numpy as np
import pytest

from motionbeat.data_modules.base import (
    Beats,
    DatasetError,
    Emotion,
    Genre,
    Tags,
    Tempo,
    Track,
)


def track(annotation):
    return Track("song", Path("song.wav"), 10.0, "artist", (annotation,))


def test_lists_are_taken():
    beats = Beats([0.5, 1.0, 1.5], [2.0, 1.0, 2.0])
    track(beats)
    assert beats.times.dtype == np.float64
    assert beats.positions.dtype == np.int64
    np.testing.assert_array_equal(beats.downbeats, [1.0])


def test_beats_before_the_recording_are_dropped_with_their_positions():
    beats = Beats([-0.4, 0.1, 0.6], [4, 1, 2])
    np.testing.assert_array_equal(beats.times, [0.1, 0.6])
    np.testing.assert_array_equal(beats.positions, [1, 2])


@pytest.mark.parametrize(
    ("times", "where"),
    [
        ([0.5, 1.0, 1.0], "beat 3 lies at 1 s after one at 1 s"),
        ([0.5, 2.0, 1.0], "beat 3 lies at 1 s after one at 2 s"),
        ([0.5, np.nan], "beat 2 lies at nan s"),
        ([np.inf], "beat 1 lies at inf s"),
    ],
)
def test_times_that_are_refused_are_named(times, where):
    with pytest.raises(DatasetError, match=f"track song: {where}"):
        track(Beats(times))


@pytest.mark.parametrize("positions", [[1, 2, 0], [1, 2, 1.1], [1, 2, np.nan], [1, 2, -1]])
def test_positions_are_counted_from_1(positions):
    with pytest.raises(DatasetError, match=r"track song: the beat at 1.5 s .* count from 1"):
        track(Beats([0.5, 1.0, 1.5], positions))


@pytest.mark.parametrize(
    "beats", [("soon",), ([[1.0]],), (3.0,), ([1.0, 2.0], [1])], ids=["text", "2-D", "one", "fewer"]
)
def test_beats_that_are_no_row_of_numbers(beats):
    with pytest.raises(DatasetError, match="beats"):
        Beats(*beats)


@pytest.mark.parametrize(
    "annotation",
    [
        Genre(" "),
        Tags(frozenset({"loud", ""})),
        Tags(frozenset({"loud"}), unknown=frozenset({"loud"})),
        Tempo(0.0),
        Tempo(float("nan")),
        Emotion(0.0, 1.5),
        Emotion(float("nan"), 0.0),
    ],
)
def test_an_annotation_at_fault_is_refused_with_its_track(annotation):
    with pytest.raises(DatasetError, match=r"^track song: "):
        track(annotation)
