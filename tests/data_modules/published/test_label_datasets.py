"""Rules of the datasets with genres, tags, instruments and emotions."""

import unicodedata

import pytest
from tests.lookalikes import every, labels

from motionbeat.data_modules.base import (
    SPLITS,
    Emotion,
    Genre,
    Instrument,
    Instruments,
    Labels,
    Pitch,
    Tags,
)
from motionbeat.data_modules.published.emomusic import development
from motionbeat.data_modules.published.fma_small import FmaSmall
from motionbeat.data_modules.published.magnatagatune import TAGS
from motionbeat.data_modules.published.openmic2018 import OpenMIC2018


def groups(dataset):
    return {split: {track.group for track in dataset.tracks(split)} for split in SPLITS}


def test_deam_reads_both_tables_and_knows_an_artist_however_written(made):
    found = every(made("deam"))
    assert (found["2"].get(Emotion).valence, found["2"].get(Emotion).arousal) == (-1, 1)
    late = found["2001"].get(Emotion)
    assert (late.valence, late.arousal) == pytest.approx(((7.67 - 5) / 4, (2.33 - 5) / 4))
    group = {id: track.group for id, track in found.items()}
    assert group["5"] == group["10"] == group["1010"] == "artist choir 3"
    assert group["3"] == group["8"] == group["2001"] == "artist choir 1"
    assert group["2004"] == "song 2004"


def test_emomusic_is_on_the_plane_and_split_as_published(made):
    dataset = made("emomusic")
    points = {id: track.get(Emotion) for id, track in every(dataset).items()}
    assert (points["2"].arousal, points["2"].valence) == (-1, 1)
    assert (points["135"].arousal, points["135"].valence) == (1, -1)
    assert [track.id for track in dataset.tracks("test")] == ["2", "30", "58", "86", "114"]
    learned, validated = (
        {labels.ARTISTS[(int(track.id) - 2) // 7 % 5] for track in dataset.tracks(split)}
        for split in ("train", "validation")
    )
    assert learned | validated == set(labels.ARTISTS)
    assert not learned & validated


@pytest.mark.parametrize(
    ("artist", "split"),
    [
        # as parted in the published list of the probes of Jukebox
        ("the  new mystikal troubadours!", "validation"),
        ("Sláinte", "validation"),
        ("Advent Chamber Orchestra-Dvorak", "train"),
        ("Vieux Farka Touré", "train"),
        ("…And You Will Know Us By The Trail Of Dead", "train"),
        ("Circus Marcus-Aux puces nº1", "train"),
    ],
)
def test_the_development_set_of_emomusic_is_parted_as_published(artist, split):
    assert development(artist) == split


def test_fma_small_has_official_splits_and_no_empty_clips(made):
    dataset = made("fma_small")
    for number, split in enumerate(SPLITS):
        found = dataset.tracks(split)
        assert [track.get(Genre).name for track in found] == list(FmaSmall.classes)
        assert {track.group[:8] for track in found} == {f"artist {number}"}
    assert not every(dataset).keys() & {"20", "99134"}


def test_irmas_groups_recordings_and_songs(made):
    dataset = made("irmas")
    tested = dataset.tracks("test")
    assert tested[1].get(Instruments).names == {"flute", "acoustic guitar"}
    assert tested[0].group == "02. Song - No. 0"
    assert tested[-1].group == labels.ACCENTED.removesuffix("-3")
    first, second = labels.TWICE  # one recording under two numbers
    found = every(dataset)
    assert found[f"{first}__1"].group == found[f"{second}__1"].group == first
    assert found[f"{second}__1"].get(Instruments).names == {"electric guitar"}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_irmas_may_be_spelled_as_it_was_unpacked(made, form):
    garbled = labels.ACCENTED.encode().decode("cp437")
    folder = made("irmas").folder / "IRMAS-TestingData-Part1/Part1"
    for suffix in (".wav", ".txt"):
        name = unicodedata.normalize(form, labels.ACCENTED) + suffix
        (folder / f"{garbled}{suffix}").rename(folder / name)
    assert made("irmas").tracks("test")[-1].get(Instruments).names == {"voice"}


def test_magnatagatune_is_split_by_folder_and_keeps_clips_without_a_tag(made):
    dataset = made("magnatagatune")
    folders = {s: {t.audio_path.parent.name for t in dataset.tracks(s)} for s in SPLITS}
    assert folders == {"train": set("0123456789ab"), "validation": {"c"}, "test": set("def")}
    assert groups(dataset)["validation"] == {"some_choir-an_album-c-a_song"}
    found = every(dataset)
    assert "35644" not in found
    assert found["2"].get(Tags).names == set(TAGS[1::2])  # though it has rare ones too
    table = dataset.folder / "annotations_final.csv"
    lines = table.read_text().splitlines()
    lines[2] = lines[2].replace('"1"', '"0"')
    table.write_text("\n".join(lines))
    assert every(made("magnatagatune"))["5"].get(Tags).names == frozenset()


def test_medley_solos_groups_by_song(made):
    songs = {"train": {"song 001"}, "validation": {"song 002"}, "test": {"song 000"}}
    assert groups(made("medley_solos_db")) == songs


@pytest.mark.parametrize("subset", ["genre", "instrument", "moodtheme", "top50"])
def test_every_tag_of_jamendo_is_in_every_split(made, subset):
    dataset = made(f"mtg_jamendo_{subset}")
    listed = labels.JAMENDO["top50tags" if subset == "top50" else subset]
    for split in SPLITS:
        held = {tag for track in dataset.tracks(split) for tag in track.get(Labels).names}
        assert held == {tag.partition("---")[2] for tag in listed}


def test_jamendo_groups_by_artist_and_tells_low_quality(made):
    dataset = made("mtg_jamendo_genre")
    artists = [track.group for track in dataset.tracks("test")[:4]]
    assert artists == ["artist_000008"] * 2 + ["artist_000009"] * 2
    for path in (dataset.folder / "audio").glob("*/*.mp3"):
        path.rename(path.with_suffix(".low.mp3"))
    low = made("mtg_jamendo_genre")
    assert low.revision == "1-low"
    assert {track.audio_path.suffixes[0] for track in low.tracks("test")} == {".low"}
    assert made("mtg_jamendo_genre", partial=True).revision.endswith("-low")


def test_nsynth_groups_training_instruments_alone(made):
    dataset = made("nsynth")
    track = dataset.tracks("test")[1]
    assert track.id == track.group == "brass_synthetic_018-061-100"
    assert (track.get(Instrument).name, track.get(Pitch).name) == ("brass", "61")
    assert dataset.tracks("train")[0].group == "bass_synthetic_000"


def test_openmic_knows_what_nobody_was_asked_about(made):
    dataset = made("openmic2018")
    answers, listed = dataset.tracks("train")[0].get(Instruments), OpenMIC2018.classes
    assert answers.unknown == {listed[0], listed[8], listed[16]}
    assert {listed[1], listed[4]} <= answers.names  # relevances 0.6 and 0.5
    assert listed[3] not in answers.names | answers.unknown  # 0.17
    assert groups(dataset) == {
        "train": {f"artist {labels.openmic_artist('train')}"},
        "validation": {f"artist {labels.openmic_artist('validation')}"},
        "test": {"artist 1000", labels.SHARED},  # an artist on both sides of the partition
    }
    lifted = {remote.name: remote.lifted for remote in dataset.remotes()}
    assert lifted["openmic-2018-v1.0.0.tgz"] == ("openmic-2018",)


def test_folds_of_tinysol_are_splits(made):
    dataset = made("tinysol")
    for split, dynamics in (("train", "pp"), ("validation", "mf"), ("test", "ff")):
        assert {track.id.split("-")[3] for track in dataset.tracks(split)} == {dynamics}
    track = dataset.tracks("test")[1]
    assert track.id == "I1-ord-C#4-ff-N-N"
    assert (track.get(Instrument).name, track.get(Pitch).name) == ("Alto Saxophone", "61")
