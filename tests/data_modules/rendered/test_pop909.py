"""POP909 from a look-alike of its archive, and the real one when there is one."""

import io
import os
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import librosa
import mido
import numpy as np
import pytest
import soundfile
from tests.command import motionbeat

from motionbeat.data_modules.base import (
    SPLITS,
    Beats,
    DatasetError,
    Metre,
    MotionFile,
    Tempo,
    check_splits,
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
TICKS = 480
SONGS = ("001", "002", "003", "004", "017", "018", "034")
USED = ("001", "002", "004", "017", "018", "034")  # the downbeats of 003 are a beat late


class Written:
    """A song: bars of some beats on a tempo a beat, first beats that belong to no bar.

    The piano plays a low note on every downbeat and a chord on every beat, the melody eighths.
    """

    def __init__(self, bars, bpms, pickup=0, late=0, sixes=False):
        count = pickup + sum(bars)
        self.bpms = (list(bpms) * count)[:count]
        self.times = np.cumsum([0.0, *(60 / bpm for bpm in self.bpms[:-1])])
        self.downbeats = (pickup + np.cumsum([0, *bars[:-1]])).tolist()
        self.marked = [beat + late for beat in self.downbeats][:: 2 if sixes else 1]
        self.simple = [beat + late for beat in self.downbeats] if sixes else range(0, count, 2)

    def beats(self):
        return "".join(
            f"{time} {float(beat in self.simple)} {float(beat in self.marked)}\n"
            for beat, time in enumerate(self.times.tolist())
        )

    def midi(self):
        tempo = mido.MidiTrack()
        for before, bpm in zip([None, *self.bpms], self.bpms, strict=False):
            same = bpm == before
            event = mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm), time=TICKS)
            tempo.append(mido.MetaMessage("marker", time=TICKS) if same else event)
        tempo[0].time = 0
        beats = range(len(self.bpms))
        notes = {
            "MELODY": [(beat + part, 72 + beat % 5) for beat in beats for part in (0, 0.5)],
            "BRIDGE": [(beat, 67) for beat in beats[::2]],
            "PIANO": [(beat, key) for beat in beats for key in (60, 64)]
            + [(beat, 40 + beat % 3) for beat in self.downbeats],
        }
        return save([tempo, *(track(name, some) for name, some in notes.items())])


def track(name, notes, length=0.4):
    """Notes of (beat, key), each of some beats."""
    events = sorted(
        event
        for beat, key in notes
        for event in (
            (round(beat * TICKS), 1, key),
            (round((beat + length) * TICKS), 0, key),
        )
    )
    written = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    for (before, _, _), (tick, onset, key) in pairwise([(0, 0, 0), *events]):
        kind = "note_on" if onset else "note_off"
        written.append(mido.Message(kind, note=key, velocity=90, time=tick - before))
    return written


def save(tracks):
    buffer = io.BytesIO()
    mido.MidiFile(type=1, ticks_per_beat=TICKS, tracks=tracks).save(file=buffer)
    return buffer.getvalue()


WRITTEN = {
    "001": Written([4] * 16, [100] * 32 + [110] * 32),
    "002": Written([3] * 16, [90], sixes=True),
    "003": Written([4] * 12, [120], late=1),
    "004": Written([4] * 7 + [2] + [4] * 8, [120]),
    "017": Written([4] * 12, [125]),
    "018": Written([4] * 12, [120]),
    "034": Written([4] * 10, [100], pickup=2),
}


def write_folder(data):
    for id, song in WRITTEN.items():
        folder = data / "POP909" / id
        folder.mkdir(parents=True)
        (folder / f"{id}.mid").write_bytes(song.midi())
        (folder / "beat_midi.txt").write_text(song.beats())
    return data


def write_zip(data):
    folder = write_folder(data / "unpacked")
    with zipfile.ZipFile(data / "pop909.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    return data


@pytest.fixture(autouse=True)
def few_songs(monkeypatch):
    monkeypatch.setattr(pop909, "_SONGS", SONGS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_zip(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    dataset = Pop909(cache=tmp_path_factory.mktemp("cache"), data=data, seconds=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pop909, "_SONGS", SONGS)
        dataset.prepare_data()
    return dataset


def everything(dataset):
    return [track for split in SPLITS for track in dataset.tracks(split)]


def contents(dataset):
    return {
        path.name: path.read_bytes()
        for path in dataset.folder.iterdir()
        if path.suffix in (".flac", ".npz")
    }


def test_tracks_have_splits_by_song_and_every_label(made):
    splits = [made.tracks(split) for split in SPLITS]
    check_splits(splits)
    assert [[track.id for track in tracks] for tracks in splits] == [
        ["001-0", "002-0", "017-0", "018-0"], ["004-0"], ["034-0"]
    ]  # fmt: skip
    assert [track.group for track in splits[0]] == ["001", "002", "017", "017"]
    for track in everything(made):
        info = soundfile.info(track.audio_path)
        assert info.duration == pytest.approx(track.duration, abs=1e-4)
        assert 8 < track.duration <= 12
        motion = track.get(MotionFile).motion
        assert motion.duration == pytest.approx(track.duration, abs=0.02)


def test_beats_and_bars_are_the_annotated_ones(made, data):
    for track in everything(made):
        song = track.id[:3]
        beats, written = track.get(Beats), WRITTEN[song]
        per_bar = 3 if song == "002" else 4
        count = len(beats.times)
        assert beats.positions.tolist() == [k % per_bar + 1 for k in range(count)]
        assert track.get(Metre).signature == f"{per_bar}/4"
        assert track.get(Tempo).bpm == pytest.approx(60 / np.median(np.diff(beats.times)), rel=0.05)
        (window,) = choose_excerpts(read_song(data / "pop909.zip", song), 12, 1)
        assert window.start in written.downbeats
        assert len(window) == count
        np.testing.assert_allclose(
            beats.times - beats.times[0],
            written.times[window.start : window.stop] - written.times[window.start],
            atol=1e-4,
        )


def test_the_audio_sounds_on_the_downbeats(made):
    for track in everything(made):
        sound, rate = soundfile.read(track.audio_path)
        starts = librosa.onset.onset_strength(y=sound, sr=rate, hop_length=441)
        frames = np.rint(track.get(Beats).downbeats[:, None] * 100).astype(int) + range(-1, 4)
        assert starts[frames].max(axis=1).mean() > 2 * starts.mean(), track.id


def test_notes_keep_their_places_between_the_beats(data):
    song = read_song(data / "pop909.zip", "001")
    (window,) = choose_excerpts(song, 30, 1)
    score = arrange("any", song, window)
    expected = WRITTEN["001"].times[window.start : window.stop]
    np.testing.assert_allclose(
        [note.start for note in score.voices[0].part.notes][::2],
        score.beats,
        atol=1e-4,
    )
    np.testing.assert_allclose(score.beats - score.beats[0], expected - expected[0], atol=1e-4)
    piano = score.voices[2].part.notes
    low = [note.start for note in piano if note.pitch < 52]
    np.testing.assert_allclose(low, score.beats[score.positions == 1], atol=1e-4)
    assert max(note.end for note in piano) <= score.duration - 0.6 + 0.01


def test_half_of_the_excerpts_have_a_band_on_the_beat(data):
    song = read_song(data / "pop909.zip", "002")
    (window,) = choose_excerpts(song, 20, 1)
    scores = [arrange(f"id{k}", song, window) for k in range(60)]
    banded = [score for score in scores if len(score.voices) == 5]
    assert 20 <= len(banded) <= 40
    assert {len(score.voices) for score in scores} == {3, 5}
    for score in banded:
        *_, drums, bass = score.voices
        eighths = np.interp(
            np.arange(2 * len(score.beats)) / 2, np.arange(len(score.beats)), score.beats
        )
        onsets = np.array([note.start for note in drums.part.notes if note.start < eighths[-1]])
        assert np.abs(onsets[:, None] - eighths).min(axis=1).max() < 0.01
        kicks = [note.start for note in drums.part.notes if note.pitch == 36]
        assert {note.start for note in bass.part.notes} <= set(kicks)
        downbeats = score.beats[score.positions == 1]
        first = [note for note in bass.part.notes if abs(note.start - downbeats[0]) < 0.01]
        assert (first[0].pitch - 40 - window.start % 3) % 12 == 0


def test_bars_of_other_lengths_and_uneven_beats_are_avoided(data):
    song = read_song(data / "pop909.zip", "004")
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
        window.start for window in read_song(data / "pop909.zip", "034").windows(10.5)
    )


def test_songs_whose_notes_contradict_the_annotation_are_left_out(data):
    source = data / "pop909.zip"
    assert choose_excerpts(read_song(source, "003"), 12, 1) == []  # downbeats a beat late
    song = read_song(source, "017")
    off = {
        name: tuple(Note(n.start + 0.05, n.end + 0.05, n.pitch, n.velocity) for n in notes)
        for name, notes in song.tracks.items()
    }
    assert choose_excerpts(song, 12, 1)
    assert choose_excerpts(replace(song, tracks=off), 12, 1) == []
    silent = dict.fromkeys(song.tracks, ())
    assert choose_excerpts(replace(song, tracks=silent), 12, 1) == []


def test_excerpts_do_not_overlap_and_more_keep_the_first(made, data, tmp_path):
    more = Pop909(cache=tmp_path, data=data, seconds=12, excerpts=3)
    more.prepare_data()
    one, many = contents(made), contents(more)
    assert len(one) == 2 * len(USED)
    assert len(many) > len(one)
    assert {name: many[name] for name in one} == one
    windows = sorted(
        choose_excerpts(read_song(data / "pop909.zip", "001"), 12, 3), key=lambda w: w.start
    )
    assert len(windows) >= 2
    assert all(first.stop <= second.start for first, second in pairwise(windows))


def test_archive_and_folder_give_the_same(made, tmp_path):
    other = Pop909(cache=tmp_path / "cache", data=write_folder(tmp_path), seconds=12)
    other.prepare_data()
    assert contents(other) == contents(made)


def test_versions_of_a_song_are_in_one_split():
    for song, other in (("017", "018"), ("101", "103"), ("492", "666")):
        assert split_of(song) == split_of(other)
    splits = [split_of(f"{number:03}") for number in range(1, 701)]
    assert [splits.count(split) for split in SPLITS] == [536, 92, 72]


def test_the_revision_tells_contents_apart(tmp_path):
    options = [{}, {"seconds": 15}, {"excerpts": 2}]
    assert len({Pop909(cache=tmp_path, **some).revision for some in options}) == 3


def test_embeds_from_the_command_line(data, tmp_path):
    ended = motionbeat(
        "embed", "--dataset", "pop909", "--encoder", "logmel", "--dataset_options",
        "{seconds: 8}", "--data", data, "--cache", tmp_path,
    )  # fmt: skip
    assert ended.code == 0, ended.said
    assert "pop909: 6 tracks" in ended.said


def fails(dataset, match):
    with pytest.raises(DatasetError, match=match) as caught:
        dataset.prepare_data()
    assert "\n" not in str(caught.value)


BEATS, MIDI = "002/beat_midi.txt", "002/002.mid"
SOUND = "0 1 1\n0.5 0 0\n"


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        (BEATS, None, f"{BEATS} is missing|{BEATS} cannot be read"),
        (BEATS, b"", f"{BEATS} is malformed"),
        (BEATS, b"0 1\n0.5 0\n", f"{BEATS} is malformed"),
        (BEATS, b"0 1 1\n0.5 0\n", f"{BEATS} is malformed"),
        (BEATS, b"0 1 1\nhalf 0 0\n", f"{BEATS} is malformed"),
        (BEATS, b"0 1 1\nnan 0 0\n", f"{BEATS} is malformed"),
        (BEATS, b"0 1 1\n0.5 0 0\n0.4 0 1\n", f"{BEATS} is malformed"),
        (BEATS, b"-1 1 1\n0.5 0 0\n1 0 1\n", f"{BEATS} is malformed"),
        (BEATS, b"\xff\xfe", f"{BEATS} is malformed"),
        (BEATS, b"0 1 1\n0.5 0 0\n1 0 0\n", f"{BEATS} has no bars"),
        (BEATS, b"0 1 1\n0.5 1 1\n1 1 1\n", f"{BEATS} has no bars"),
        (MIDI, None, f"{MIDI} is missing|{MIDI} cannot be read"),
        (MIDI, b"MThd no", f"{MIDI} is corrupt"),
        (MIDI, WRITTEN["002"].midi()[:300], f"{MIDI} is corrupt"),
        (MIDI, save([track("MELODY", [(0, 60)])]), f"{MIDI} has no notes of BRIDGE, PIANO"),
    ],
)
@pytest.mark.parametrize("archived", [True, False])
def test_broken_data_is_one_clear_error(tmp_path, name, content, match, archived):
    files = {"002/002.mid": WRITTEN["002"].midi(), BEATS: WRITTEN["002"].beats().encode()}
    files[name] = content
    files = {f"POP909/{name}": content for name, content in files.items() if content is not None}
    if archived:
        with zipfile.ZipFile(tmp_path / "pop909.zip", "w") as archive:
            for member, text in files.items():
                archive.writestr(member, text)
    else:
        for member, text in files.items():
            (tmp_path / member).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / member).write_bytes(text)
    source = tmp_path / ("pop909.zip" if archived else "POP909")
    with pytest.raises(DatasetError, match=match) as caught:
        read_song(source, "002")
    assert "\n" not in str(caught.value)
    assert "get the dataset again" in str(caught.value)


def test_missing_data_says_how_to_get_it(tmp_path):
    for folder in (None, tmp_path):
        fails(Pop909(cache=tmp_path, data=folder), r"pop909 is missing; put .*MOTIONBEAT_DATA")


def test_archives_that_are_none_and_evil_names_are_one_clear_error(tmp_path):
    path = tmp_path / "pop909.zip"
    path.write_bytes(b"not a zip")
    fails(
        Pop909(cache=tmp_path, data=tmp_path),
        r"pop909\.zip: POP909/\d+/beat_midi\.txt cannot be read",
    )
    with zipfile.ZipFile(path, "w") as archive:
        for prefix in ("..", "/etc", "POP909/.."):
            archive.writestr(f"{prefix}/POP909/001/beat_midi.txt", WRITTEN["001"].beats())
    fails(
        Pop909(cache=tmp_path, data=tmp_path), r"pop909\.zip: POP909/\d+/beat_midi\.txt is missing"
    )
    assert not (tmp_path.parent / "POP909").exists()


def test_members_that_unpack_to_too_much_are_refused(data, monkeypatch):
    monkeypatch.setattr(pop909, "_LARGEST", 10)
    with pytest.raises(DatasetError, match="bytes when unpacked"):
        read_song(data / "pop909.zip", "001")


@pytest.mark.parametrize("options", [{"seconds": 7.9}, {"seconds": float("inf")}, {"excerpts": 0}])
def test_options_out_of_range_are_one_clear_error(tmp_path, options):
    with pytest.raises(DatasetError, match="8 seconds or more"):
        Pop909(cache=tmp_path, **options)


def test_tracks_before_preparation_say_what_to_do(data, tmp_path):
    with pytest.raises(DatasetError, match="prepare_data"):
        Pop909(cache=tmp_path, data=data).tracks("train")


@pytest.mark.skipif(not DATA, reason="needs the real dataset: set MOTIONBEAT_DATA")
def test_real_notes_lie_on_the_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(pop909, "_SONGS", ("001", "203", "009", "004", "034"))
    dataset = Pop909(cache=tmp_path, data=Path(str(DATA)))
    dataset.prepare_data()
    tracks = everything(dataset)
    check_splits([dataset.tracks(split) for split in SPLITS])
    assert sorted(track.id[:3] for track in tracks) == ["001", "004", "034", "203"]
    away = []
    for track in tracks:
        song = read_song(dataset.source, track.id[:3])
        sixteenths = song.places() * 4
        away.append(np.median(np.abs(sixteenths - np.rint(sixteenths))) / 4)
    assert max(away) < 0.01
