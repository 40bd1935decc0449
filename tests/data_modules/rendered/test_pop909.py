"""POP909 from a look-alike of its archive, and the real one when there is one."""

import os
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.midi_sources import SONGS, WRITTEN, midi_track, save, write_pop909_zip

from motionbeat.data_modules.base import (
    SPLITS,
    Beats,
    DatasetError,
    Metre,
    Tempo,
)
from motionbeat.data_modules.rendered import pop909
from motionbeat.data_modules.rendered.pop909 import (
    Pop909,
    arrange,
    choose_excerpts,
    read_song,
    split_of,
)
from motionbeat.data_modules.rendered.synthesis.render import Note

DATA = os.environ.get("MOTIONBEAT_DATA")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The dataset's source."""
    return Pop909(data=write_pop909_zip(tmp_path_factory.mktemp("data"))).source


def test_beats_and_bars_are_the_annotated_ones(data, tmp_path, monkeypatch):
    monkeypatch.setattr(pop909, "_SONGS", SONGS)
    dataset = Pop909(cache=tmp_path, data=data.path.parent, seconds=12)
    dataset.prepare_data()
    splits = [dataset.tracks(split) for split in SPLITS]
    assert [[track.id for track in tracks] for tracks in splits] == [
        ["001-0", "002-0", "017-0", "018-0"], ["004-0"], ["034-0"]
    ]  # fmt: skip
    assert [track.group for track in splits[0]] == ["001", "002", "017", "017"]
    for track in (track for tracks in splits for track in tracks):
        song = track.id[:3]
        beats, written = track.get(Beats), WRITTEN[song]
        per_bar = 3 if song == "002" else 4
        count = len(beats.times)
        assert beats.positions.tolist() == [k % per_bar + 1 for k in range(count)]
        assert track.get(Metre).signature == f"{per_bar}/4"
        assert track.get(Tempo).bpm == pytest.approx(60 / np.median(np.diff(beats.times)), rel=0.05)
        (window,) = choose_excerpts(read_song(data, song), 12, 1)
        assert window.start in written.downbeats
        assert len(window) == count
        np.testing.assert_allclose(
            beats.times - beats.times[0],
            written.times[window.start : window.stop] - written.times[window.start],
            atol=1e-4,
        )


def test_notes_keep_their_places_between_the_beats(data):
    song = read_song(data, "001")
    (window,) = choose_excerpts(song, 30, 1)
    score = arrange("any", song, window)
    expected = WRITTEN["001"].times[window.start : window.stop]
    np.testing.assert_allclose(
        [note.start for note in score.parts[0].notes][::2],
        score.beats,
        atol=1e-4,
    )
    np.testing.assert_allclose(score.beats - score.beats[0], expected - expected[0], atol=1e-4)
    piano = score.parts[2].notes
    low = [note.start for note in piano if note.pitch < 52]
    np.testing.assert_allclose(low, score.beats[score.positions == 1], atol=1e-4)
    assert max(note.end for note in piano) <= score.duration - 0.6 + 0.01


def test_half_of_the_excerpts_have_a_band_on_the_beat(data):
    song = read_song(data, "002")
    (window,) = choose_excerpts(song, 20, 1)
    scores = [arrange(f"id{k}", song, window) for k in range(60)]
    banded = [score for score in scores if len(score.parts) == 5]
    assert 20 <= len(banded) <= 40
    assert {len(score.parts) for score in scores} == {3, 5}
    for score in banded:
        *_, drums, bass = score.parts
        eighths = np.interp(
            np.arange(2 * len(score.beats)) / 2, np.arange(len(score.beats)), score.beats
        )
        onsets = np.array([note.start for note in drums.notes if note.start < eighths[-1]])
        assert np.abs(onsets[:, None] - eighths).min(axis=1).max() < 0.01
        kicks = [note.start for note in drums.notes if note.pitch == 36]
        assert {note.start for note in bass.notes} <= set(kicks)
        downbeats = score.beats[score.positions == 1]
        first = [note for note in bass.notes if abs(note.start - downbeats[0]) < 0.01]
        assert (first[0].pitch - 40 - window.start % 3) % 12 == 0


def test_bars_of_other_lengths_and_uneven_beats_are_avoided(data):
    song = read_song(data, "004")
    odd = range(28, 30)
    windows = song.windows(10.5)
    assert windows
    for window in windows:
        assert window.stop <= odd.start or window.start >= odd.stop
    beats = song.beats.copy()
    beats[10:] += 0.2
    for window in replace(song, beats=beats).windows(10.5):
        assert 9 not in window
    assert WRITTEN["034"].marked[0] == min(
        window.start for window in read_song(data, "034").windows(10.5)
    )


def test_songs_whose_notes_contradict_the_annotation_are_left_out(data):
    assert choose_excerpts(read_song(data, "003"), 12, 1) == []  # downbeats a beat late
    song = read_song(data, "017")
    off = {
        name: tuple(Note(n.start + 0.05, n.end + 0.05, n.pitch, n.velocity) for n in notes)
        for name, notes in song.tracks.items()
    }
    assert choose_excerpts(song, 12, 1)
    assert choose_excerpts(replace(song, tracks=off), 12, 1) == []
    silent = dict.fromkeys(song.tracks, ())
    assert choose_excerpts(replace(song, tracks=silent), 12, 1) == []


def test_excerpts_do_not_overlap(data):
    windows = sorted(choose_excerpts(read_song(data, "001"), 12, 3), key=lambda w: w.start)
    assert len(windows) >= 2
    assert all(first.stop <= second.start for first, second in pairwise(windows))


def test_versions_of_a_song_are_in_one_split():
    for song, other in (("017", "018"), ("101", "103"), ("492", "666")):
        assert split_of(song) == split_of(other)
    splits = [split_of(f"{number:03}") for number in range(1, 701)]
    assert [splits.count(split) for split in SPLITS] == [536, 92, 72]


SOUND = "0 1 1\n0.5 0 0\n"


BEATS, MIDI = "002/beat_midi.txt", "002/002.mid"


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        (BEATS, None, f"{BEATS} is missing"),
        (BEATS, b"0 1 1\n0.5 0\n", f"{BEATS} is malformed"),
        (BEATS, b"0 1 1\nnan 0 0\n", f"{BEATS} is malformed"),
        (BEATS, b"0 1 1\n0.5 0 0\n0.4 0 1\n", f"{BEATS} is malformed"),
        (BEATS, b"\xff\xfe", f"{BEATS} is malformed"),
        (BEATS, b"0 1 1\n0.5 0 0\n1 0 0\n", f"{BEATS} has no bars"),
        (BEATS, b"0 1 1\n0.5 1 1\n1 1 1\n", f"{BEATS} has no bars"),
        (MIDI, None, f"{MIDI} is missing"),
        (MIDI, b"MThd no", f"{MIDI} is corrupt"),
        (MIDI, save([midi_track("MELODY", [(0, 60)])]), f"{MIDI} has no notes of BRIDGE, PIANO"),
    ],
)
def test_broken_data_is_one_clear_error(tmp_path, name, content, match):
    files = {"002/002.mid": WRITTEN["002"].midi(), BEATS: WRITTEN["002"].beats().encode()}
    files[name] = content
    with zipfile.ZipFile(tmp_path / "pop909.zip", "w") as archive:
        for member, text in files.items():
            if text is not None:
                archive.writestr(f"POP909/{member}", text)
    source = Pop909(data=tmp_path).source
    with pytest.raises(DatasetError, match=match) as caught:
        read_song(source, "002")
    assert "\n" not in str(caught.value)
    assert "get the dataset again" in str(caught.value)


@pytest.mark.skipif(not DATA, reason="needs the real dataset: set MOTIONBEAT_DATA")
def test_real_notes_lie_on_the_beats():
    songs = [read_song(Pop909(data=Path(str(DATA))).source, id) for id in ("001", "004", "009")]
    assert [len(choose_excerpts(song, 30, 1)) for song in songs] == [1, 1, 0]
    for song in songs[:2]:
        sixteenths = song.places() * 4
        assert np.median(np.abs(sixteenths - np.rint(sixteenths))) / 4 < 0.01
