"""Parts of the work by hand, and several tasks in one call."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command import motionbeat
from tests.conftest import failed, run

from motionbeat.benchmarks.cluster import pieces_of
from motionbeat.benchmarks.extraction import Recording
from motionbeat.benchmarks.records import read_records
from motionbeat.benchmarks.sharding import Part
from motionbeat.data_modules.base import Track

QUICK = ("--heads", "linear")
TOYS = {"dataset": "tests.toys:Tones", "encoder": "tests.toys:Tiny,tests.toys:Noise"}

tracks = st.lists(st.tuples(st.integers(0, 30), st.floats(0.1, 1e4)), min_size=1, max_size=20).map(
    lambda files: [
        Track(f"{number}", Path(f"{file}.wav"), seconds, "group")
        for number, (file, seconds) in enumerate(files)
    ]
)


def recording(number, seconds):
    return Recording(f"{number}", Path(f"{number}.wav"), f"{number}", seconds, (0,))


@given(tracks, st.integers(1, 40))
def test_each_track_is_in_one_part_with_all_of_its_file(tracks, count):
    parts = [Part(number, count).tracks(tracks) for number in range(1, count + 1)]
    assert sorted(t.id for part in parts for t in part) == sorted(t.id for t in tracks)
    files = [{track.audio_path for track in part} for part in parts]
    assert sum(map(len, files)) == len(set().union(*files))


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=20), st.integers(1, 40))
def test_each_recording_is_in_one_piece(seconds, count):
    recordings = [recording(number, length) for number, length in enumerate(seconds)]
    pieces = pieces_of(recordings, count)
    assert [one for piece in pieces for one in piece] == recordings
    assert all(pieces)
    assert len(pieces) <= count


def test_pieces_are_of_like_length_and_parts_of_like_number():
    recordings = [recording(number, 60.0 if number < 10 else 1.0) for number in range(610)]
    seconds = [sum(one.seconds for one in piece) for piece in pieces_of(recordings, 4)]
    assert seconds == pytest.approx([300.0] * 4, abs=60)
    tracks = [Track(one.name, one.path, one.seconds, "group") for one in recordings]
    assert [len(Part(n, 4).tracks(tracks)) for n in (1, 2, 3, 4)] == [153, 153, 152, 152]


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1/0", "3", "a/3", "-1/3", "1/3/5", "1.5/3"])
@pytest.mark.parametrize("command", ["bench", "embed"])
def test_a_shard_that_does_not_exist_is_one_line(tmp_path, monkeypatch, command, shard):
    monkeypatch.chdir(tmp_path)
    assert failed(motionbeat(command, f"--shard={shard}", "--cache", "cache"), shard)
    assert not list(tmp_path.iterdir())


def test_parts_of_a_grid_together_are_the_grid(tmp_path):
    """Each in a folder of its own, as machines have them that share nothing."""
    whole = run(tmp_path / "whole", *QUICK, task="genre", **TOYS)
    assert whole.code == 0, whole.said
    expected = {one.label: one for one in read_records(tmp_path / "whole" / "results")}
    found = []
    for number in (1, 2, 3, 4):
        ended = run(tmp_path / f"{number}", *QUICK, f"--shard={number}/4", task="genre", **TOYS)
        assert ended.code == 0, ended.said
        found.append(list(read_records(tmp_path / f"{number}" / "results")))
    assert [[one.label for one in part] for part in found] == [["tiny"], ["noise"], ["chance"], []]
    assert "shard 4/4 is empty" in ended.said
    for [one] in found[:3]:
        same = expected[one.label]
        assert one.key == same.key
        assert {h: r.scores for h, r in one.results.items()} == {
            h: r.scores for h, r in same.results.items()
        }


def test_parts_of_the_tracks_together_fill_the_store(tmp_path, monkeypatch):
    options = ("--dataset", "tests.clicks:Clicks", "--encoder", "tests.toys:Tiny")
    options += ("--cache", tmp_path / "cache")
    said = [motionbeat("embed", *options, f"--shard={n}/2").said for n in (1, 2)]
    assert [word for one in said for word in one.split() if word.isdigit()] == ["5", "4"]
    monkeypatch.setattr("motionbeat.benchmarks.extraction.extract", None)
    assert motionbeat("embed", *options).code == 0


def test_several_tasks_are_asked_each_of_the_datasets_that_serve_it(tmp_path, short_training):
    options = {"encoder": "tests.toys:Tiny", "dataset": "tests.toys:Tones,tests.clicks:Clicks"}
    ended = run(tmp_path, *QUICK, "--learning_rates", "[0.01]", task="genre,tempo", **options)
    assert ended.code == 0, ended.said
    pairs = {(one.task, one.dataset) for one in read_records(tmp_path / "results")}
    assert pairs == {("genre", "tones"), ("tempo", "clicks")}
    assert "genre · tones" in ended.printed
    assert "tempo · clicks" in ended.printed
    served = {**options, "dataset": "tests.toys:Tones"}
    assert failed(run(tmp_path, task="genre,beat", **served), "nothing for beat")
