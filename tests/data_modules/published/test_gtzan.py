"""GTZAN: lists of the splits, formats, clips without annotation or bars."""

import numpy as np
import pytest
from tests.lookalikes import gtzan, place

from motionbeat.data_modules.base import SPLITS, Beats, DatasetError, Genre
from motionbeat.data_modules.published.gtzan import GENRES, Gtzan, GtzanRhythm


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return place(gtzan, tmp_path, monkeypatch)


def made(kind, folder):
    return kind(cache=folder.parent.parent / "cache", data=folder.parent)


def test_the_lists_decide_the_split(folder):
    dataset = made(Gtzan, folder)
    for number, split in enumerate(SPLITS):
        tracks = dataset.tracks(split)
        assert {track.id for track in tracks} == {f"{genre}.{number:05d}" for genre in GENRES}
        assert {track.get(Genre).name for track in tracks} == set(GENRES)


@pytest.mark.parametrize("kind", [Gtzan, GtzanRhythm])
def test_either_format_is_taken(folder, kind):
    tracks = {t.id: t for split in SPLITS for t in made(kind, folder).tracks(split)}
    assert tracks["rock.00000"].audio_path.suffix == ".au"
    assert tracks["rock.00001"].audio_path.suffix == ".wav"


def test_an_unreadable_clip_tells_of_the_broken_one(folder):
    (folder / "gtzan_genre/genres/jazz/jazz.00002.wav").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"jazz\.00002\.wav is unreadable .* jazz\.00054"):
        made(Gtzan, folder).prepare_data()


def test_an_au_file_without_header_is_refused(folder):
    (folder / "gtzan_genre/genres/rock/rock.00000.au").write_bytes(b"\0" * 100)
    with pytest.raises(DatasetError, match=r"rock\.00000\.au is unreadable \(it has no header"):
        made(Gtzan, folder).prepare_data()


def test_an_unknown_genre_is_named(folder):
    with (folder / "test_filtered.txt").open("a") as file:
        file.write("polka/polka.00007.wav\n")
    with pytest.raises(DatasetError, match=r"track polka\.00007 has the unknown genre 'polka'"):
        made(Gtzan, folder).tracks("test")


def test_beats_have_positions_where_bars_are_known(folder):
    tracks = {track.id: track for track in made(GtzanRhythm, folder).tracks("test")}
    assert "reggae.00086" not in tracks
    assert tracks["jazz.00001"].get(Beats).positions is None
    assert tracks["rock.00002"].get(Beats).positions.tolist() == [1, 2, 3, 4]
    assert np.allclose(tracks["rock.00002"].get(Beats).downbeats, [0.113])


@pytest.mark.parametrize("text", ["1.0\t1\n0.5\t2\n", "1.0\tone\n", ""])
def test_bad_beats_are_named(folder, text):
    (folder / "gtzan_tempo_beat-main/beats/gtzan_pop_00001.beats").write_text(text)
    with pytest.raises(DatasetError, match=r"track pop\.00001") as error:
        made(GtzanRhythm, folder).tracks("test")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "fast", "-1", "nan"])
def test_a_bad_tempo_is_named(folder, text):
    (folder / "gtzan_tempo_beat-main/tempo/gtzan_pop_00001.bpm").write_text(text)
    with pytest.raises(DatasetError, match=r"track pop\.00001"):
        made(GtzanRhythm, folder).tracks("test")


def test_missing_annotations_are_named(folder):
    (folder / "gtzan_tempo_beat-main/tempo/gtzan_pop_00001.bpm").unlink()
    with pytest.raises(DatasetError, match=r"gtzan_pop_00001\.bpm is missing"):
        made(GtzanRhythm, folder).tracks("test")
    (folder / "gtzan_tempo_beat-main/beats/gtzan_pop_00001.beats").unlink()
    with pytest.raises(DatasetError, match=r"gtzan_pop_00001\.beats is missing"):
        made(GtzanRhythm, folder).tracks("test")
