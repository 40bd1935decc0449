"""Groove MIDI from a look-alike of its archive, and the real one when there is one."""

import os
from pathlib import Path

import numpy as np
import pytest
from tests.midi_sources import TABLE, USED, groove, write_groove_folder, write_groove_zip
from tests.midi_sources import groove_midi as midi_of

from motionbeat.data_modules.base import (
    SPLITS,
    Beats,
    DatasetError,
    Genre,
    Metre,
    Tempo,
)
from motionbeat.data_modules.rendered.groove_midi import (
    GrooveMidi,
    arrange,
    read_info,
    read_strokes,
)

DATA = os.environ.get("MOTIONBEAT_DATA")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return GrooveMidi(data=write_groove_zip(tmp_path_factory.mktemp("data"))).source


def test_beats_are_the_metronomes(source, tmp_path):
    dataset = GrooveMidi(cache=tmp_path, data=source.path.parent, seconds=15)
    dataset.prepare_data()
    splits = [dataset.tracks(split) for split in SPLITS]
    groups = [[track.group for track in tracks] for tracks in splits]
    assert groups == [USED[:2], [USED[2]], [USED[3]]]
    tracks = {track.group: track for tracks in splits for track in tracks}
    assert [tracks[id].get(Genre).name for id in USED] == ["rock", "funk", "rock", "latin"]
    for id, _, bpm, _, metre, _, _ in TABLE[:4]:
        beats = tracks[id].get(Beats)
        period = 60 / bpm * (1.5 if metre == "6-8" else 1)
        np.testing.assert_allclose(np.diff(beats.times), period, rtol=1e-6)
        assert tracks[id].get(Tempo).bpm == pytest.approx(60 / period)
        assert tracks[id].get(Metre).signature == metre.replace("-", "/")
        per_bar = {"4-4": 4, "3-4": 3, "6-8": 2}[metre]
        assert beats.positions.tolist() == [k % per_bar + 1 for k in range(len(beats.times))]
    # Bar 1 is silent; of 96 quarters a minute in 5 bars, 4 are played, the last up to its snare.
    assert len(tracks[USED[1]].get(Beats).times) == 3 * 4 + 2


def test_strokes_keep_their_times_on_general_midi_keys(source):
    recording = read_info(source)[1]
    strokes = read_strokes(source, recording)
    assert {pitch for _, pitch, _ in strokes} == {36, 38, 42}
    score = arrange("any", recording, strokes, 1, 2)
    notes = score.parts[0].notes
    kicks = [note.start for note in notes if note.pitch == 36]
    np.testing.assert_allclose(kicks, score.beats[score.positions == 1], atol=1e-6)
    early = [(quarter - 0.1, *rest) for quarter, *rest in strokes]  # of the same beat all the same
    np.testing.assert_allclose(
        [note.start for note in arrange("any", recording, early, 1, 2).parts[0].notes],
        [note.start - 0.1 * 60 / 96 for note in notes],
        atol=1e-5,
    )
    with pytest.raises(DatasetError, match="no strokes in bars 8 to 9"):
        arrange("any", recording, strokes, 7, 2)


def test_half_of_the_excerpts_are_accompanied_on_the_beat(source):
    recording = read_info(source)[0]
    strokes = read_strokes(source, recording)
    scores = [arrange(f"id{k}", recording, strokes, 0, 26) for k in range(60)]
    accompanied = [score for score in scores if len(score.parts) == 3]
    assert 20 <= len(accompanied) <= 40
    assert {len(score.parts) for score in scores} == {1, 3}
    for score in accompanied:
        for part in score.parts[1:]:
            onsets = np.array([note.start for note in part.notes])
            assert np.abs(onsets[:, None] - score.beats).min(axis=1).max() < 0.016


def test_excerpts_do_not_overlap(source):
    recording = read_info(source)[0]
    starts, bars = recording.bars(15, 9)
    assert len(starts) == 4
    assert min(np.diff(sorted(starts))) >= bars
    assert min(starts) >= 0
    assert max(starts) + bars <= 26


def change(old, new):
    def edit(folder):
        path = folder / "info.csv"
        path.write_text(path.read_text().replace(old, new))

    return edit


MIDI = "drummer1/session1/2_funk_96_beat_4-4.mid"


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (change("midi_filename", "file"), r"info\.csv is unsound.*midi_filename"),
        (change(",96,", ",fast,"), r"info\.csv is unsound.*fast"),
        (change(MIDI, "../secret.mid"), r"\.\./secret\.mid is missing"),
        (lambda folder: (folder / MIDI).unlink(), f"{MIDI} is missing"),
        (lambda folder: (folder / MIDI).write_bytes(b"MThd no"), f"{MIDI} is corrupt"),
        (
            lambda folder: (folder / MIDI).write_bytes(midi_of(99, groove("4-4", 5))),
            f"{MIDI} has not the tempo of info.csv",
        ),
    ],
)
def test_broken_data_is_one_clear_error(tmp_path, edit, match):
    edit(write_groove_folder(tmp_path))
    (tmp_path / "secret.mid").write_bytes(midi_of(96, groove("4-4", 5)))
    with pytest.raises(DatasetError, match=match) as caught:
        GrooveMidi(cache=tmp_path / "cache", data=tmp_path).prepare_data()
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not DATA, reason="needs the real dataset: set MOTIONBEAT_DATA")
def test_real_drumming_keeps_to_the_beats():
    source = GrooveMidi(data=Path(str(DATA))).source
    recordings = read_info(source)
    assert [sum(one.split == split for one in recordings) for split in SPLITS] == [312, 44, 75]
    errors = []
    for recording in recordings[::20]:
        strokes = read_strokes(source, recording)
        sixteenths = 4 * np.array([at for at, key, _ in strokes if key in (36, 37, 38, 40)])
        away = np.abs(sixteenths - np.round(sixteenths)) / 4 * 60 / recording.bpm
        errors.append(np.median(away))
    assert np.median(errors) < 0.025
