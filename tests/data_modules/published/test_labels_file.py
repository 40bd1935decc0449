import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.command import motionbeat
from tests.conftest import failed, record, run

from motionbeat.audio import load_audio
from motionbeat.benchmarks.registry import DATASETS, UnknownNameError
from motionbeat.data_modules.base import (
    SPLITS,
    Beats,
    DatasetError,
    Emotion,
    Genre,
    Moods,
    Tags,
    Tempo,
)

RATE = 8000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve files of 4 s; the level of a file tells its second."""
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        rng = np.random.default_rng(number)
        seconds = np.repeat([0.1, 0.2, 0.3, 0.4], RATE)
        tone = np.sin(2 * np.pi * (400 if number % 2 else 100) * np.arange(4 * RATE) / RATE)
        soundfile.write(f"{number}.wav", seconds * tone + 0.01 * rng.normal(size=4 * RATE), RATE)
    return tmp_path


def rows(**columns):
    return pd.DataFrame({"path": [f"{n}.wav" for n in range(12)]} | columns)


def dataset(table, name="mine.csv", **options):
    table.to_csv(name, index=False)
    return DATASETS.get(name)(**options)


def all_tracks(data):
    return [track for split in SPLITS for track in data.tracks(split)]


LABELS = ["low", "high"] * 6


def test_paths_and_labels_are_enough(folder):
    data = dataset(rows(label=LABELS))
    tracks = {track.id: track for track in all_tracks(data)}
    assert len(tracks) == 12
    assert all(data.tracks(split) for split in SPLITS)
    assert tracks["3.wav"].get(Genre).name == "high"
    assert tracks["3.wav"].duration == 4.0
    again = dataset(rows(label=LABELS).sample(frac=1, random_state=0))
    for split in SPLITS:
        assert {t.id for t in data.tracks(split)} == {t.id for t in again.tracks(split)}


def test_no_group_stands_in_two_splits(folder):
    data = dataset(rows(label=LABELS, group=[f"artist {n // 3}" for n in range(12)]))
    splits = {
        group: {split for split in SPLITS for t in data.tracks(split) if t.group == group}
        for group in (f"artist {n}" for n in range(4))
    }
    assert all(len(found) == 1 for found in splits.values())


def test_every_column(folder):
    (folder / "beats.txt").write_text("0.5 1\n1.0 2\n1.5 1\n")
    data = dataset(
        rows(
            genre="waltz", tags="loud | fast", moods="", tempo=120, valence=0.5, arousal=-1,
            beats="beats.txt", split=["train", "validation", "test"] * 4,
        )
    )  # fmt: skip
    track = data.tracks("test")[1]
    assert track.audio_path.name == "5.wav"
    assert track.get(Genre) == Genre("waltz")
    assert track.get(Tags) == Tags(frozenset({"loud", "fast"}))
    assert track.get(Moods) == Moods(frozenset())
    assert track.get(Tempo) == Tempo(120)
    assert track.get(Emotion) == Emotion(0.5, -1)
    np.testing.assert_array_equal(track.get(Beats).downbeats, [0.5, 1.5])
    assert set(data.card.annotations) == {Genre, Tags, Moods, Tempo, Emotion, Beats}


def test_segments_are_cut_and_their_beats_with_them(folder):
    (folder / "beats.txt").write_text("0.5\n1.5\n2.5\n3.5\n")
    table = pd.concat(
        [rows(label=LABELS, beats="beats.txt", start=s, end=s + 2) for s in (0.0, 1.0)]
    )
    data = dataset(table, cache=folder / "cache")
    tracks = {track.id: track for track in all_tracks(data)}
    assert len(tracks) == 24
    second = tracks["4.wav:1.0-3.0"]
    assert second.duration == 2.0
    np.testing.assert_allclose(second.get(Beats).times, [0.5, 1.5])
    assert second.group == tracks["4.wav:0.0-2.0"].group
    whole, _ = soundfile.read("4.wav", dtype="float32")
    cut, _ = soundfile.read(second.audio_path, dtype="float32")
    np.testing.assert_array_equal(cut, np.stack([whole[RATE : 3 * RATE]] * 2, axis=1))
    np.testing.assert_array_equal(load_audio(second.audio_path)[0], whole[RATE : 3 * RATE])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "no column that a task can use"),
        ({"label": ["", *LABELS[1:]]}, "track 0.wav"),
        ({"valence": 2, "arousal": 0}, "track 0.wav"),
        ({"tempo": "fast"}, "track 0.wav"),
        ({"beats": "none.txt"}, "none.txt"),
        ({"label": "a", "split": ["train", "dev"] * 6}, "line 3 has no split of"),
        ({"label": "a", "group": "all"}, "1 groups cannot be split"),
        ({"label": "a", "start": 1}, "start and end"),
        ({"label": "a", "start": 3, "end": 3}, "line 2"),
        ({"label": "a", "start": 5, "end": 6}, "begins after"),
        ({"label": "a", "id": "same"}, "ids stand twice, such as same"),
        ({"label": "a", "path": ["gone.wav"] + [f"{n}.wav" for n in range(11)]}, "gone.wav"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(folder, columns, words):
    with pytest.raises(DatasetError, match=words):
        all_tracks(dataset(rows(**columns)))


def test_a_name_that_is_taken_is_refused(folder):
    with pytest.raises(UnknownNameError, match="'gtzan', a name that is taken"):
        dataset(rows(label=LABELS), "gtzan.csv")


def test_bench_and_a_label_that_changes(folder):
    """A table that changes is another dataset, and nothing of the old one answers for it."""
    options = {"task": "genre", "dataset": "mine.csv", "encoder": "logmel"}
    table = rows(label=LABELS)
    dataset(table)
    assert run(folder, **options).code == 0
    first = record(folder, "logmel")
    assert "reused" in run(folder, **options).said
    dataset(table.assign(label=["high", *LABELS[1:]]))
    changed = run(folder, **options)
    assert changed.code == 0
    assert "reused" not in changed.said
    assert first.dataset_revision != DATASETS.get("mine.csv").card.revision


def test_one_line_where_there_is_no_such_file(folder):
    assert failed(motionbeat("bench", "--task", "genre", "--dataset", "none.csv"), "none.csv")
