"""What single tracks of each dataset are, worked out by hand from the tables of its copy."""

import unicodedata

import numpy as np
import pytest
from tests.lookalikes import dance, every, labels, rhythm

from motionbeat.data_modules.base import (
    SPLITS,
    Beats,
    DatasetError,
    Emotion,
    Genre,
    Instrument,
    Instruments,
    Labels,
    Pitch,
    Tags,
    Tempo,
)
from motionbeat.data_modules.published.asap import positions
from motionbeat.data_modules.published.emomusic import development
from motionbeat.data_modules.published.magnatagatune import TAGS
from motionbeat.data_modules.published.openmic2018 import OpenMIC2018

ETUDE = "Chopin/Etudes_op_10/3"
BRASS, SAX = "brass_synthetic_018-061-100", "I1-ord-C#4-ff-N-N"
HIP_HOP = "kthstreet_gLH_sFM_cAll_d0{}_mLH_ch01_thisisit_001"
FIRST, SECOND = labels.TWICE  # one recording of IRMAS under two numbers


def beats(first, step, places):
    """Evenly spaced beats, with one digit a beat for its place in the bar."""
    times = first + step * np.arange(len(places))
    return Beats(times, None if "?" in places else np.array([int(place) for place in places]))


def held(kind, *names):
    return kind(frozenset(names))


TRACKS = [  # dataset, id, split, group, some of its annotations
    ("asap", f"{ETUDE}/Lin04", "train", "Chopin Etudes_op_10_3", beats(0.5, 1 / 3, "312312")),
    ("asap", f"{ETUDE}/Zhou01", "train", "Chopin Etudes_op_10_3"),
    ("ballroom", "Media-105904", "train", "Media-1059", Genre("rumba"), Tempo(120.0)),
    ("ballroom", "Media-100610", "validation", "Media-1006", beats(0.1, 0.5, "1231")),
    ("ballroom", "Albums-Latin_Jam3-04", "test", "Albums-Latin_Jam3", Genre("rumba")),
    ("beatles", "0101", "train", "Please_Please_Me", beats(0.2, 0.5, "1234123")),
    ("beatles", "10101", "train", "The_Beatles"),  # two discs are one album
    ("beatles", "10201", "train", "The_Beatles"),
    ("candombe", "zavala.muniz.2014_01", "train", "zavala.muniz.2014", beats(0.2, 0.5, "12341")),
    ("candombe", "proyecto.1992_lobo_02", "validation", "proyecto.1992_lobo"),
    ("candombe", "csic.1995_cuareim_01", "test", "csic.1995_cuareim"),
    # Not 60 beats a minute, which a quarter of the people tapped.
    ("giantsteps_genre", "28952.LOFI", "train", "28952.LOFI", Genre("trance"), Tempo(120.0)),
    ("giantsteps_genre", "36952.LOFI", "test", "36952.LOFI", Genre("trance"), Tempo(136.0)),
    ("giantsteps_tempo", "28952.LOFI", "test", "28952.LOFI", Tempo(120.0)),
    ("gtzan", "rock.00001", "validation", "rock.00001", Genre("rock")),
    ("gtzan_rhythm", "jazz.00001", "test", "jazz.00001", beats(0.113, 0.5, "????"), Tempo(136.0)),
    ("gtzan_rhythm", "rock.00002", "test", "rock.00002", beats(0.113, 0.5, "1234"), Tempo(149.0)),
    ("hainsworth", "hains001", "train", "hains001", beats(0.47, 0.5, "234")),
    ("rwc_popular", "RM-P001", "train", "Hiromi Yoshii", beats(0.2, 0.5, "341234123")),
    ("smc", "SMC_011", "test", "SMC_011", beats(0.3, 0.6, "???")),  # of the corrected file
    ("deam", "2", "train", "artist choir 0", Emotion(-1.0, 1.0)),
    ("deam", "5", "test", "artist choir 3", Emotion(-0.75, 0.75)),  # however it is written
    ("deam", "1010", "test", "artist choir 3"),
    ("deam", "2001", "train", "artist choir 1", Emotion((7.67 - 5) / 4, (2.33 - 5) / 4)),
    ("deam", "2004", "train", "song 2004"),
    ("emomusic", "135", "train", "135", Emotion(-1.0, 1.0)),
    ("emomusic", "2", "test", "2", Emotion(1.0, -1.0)),
    ("fma_small", "2", "train", "artist 00", Genre("Electronic")),
    ("fma_small", "48810", "validation", "artist 12", Genre("Electronic")),
    ("irmas", f"{FIRST}__1", "train", FIRST, held(Instruments, "acoustic guitar")),
    ("irmas", f"{SECOND}__1", "train", FIRST, held(Instruments, "electric guitar")),
    ("irmas", "2", "test", "02. Song - No. 1", held(Instruments, "flute", "acoustic guitar")),
    ("irmas", "6", "test", labels.ACCENTED.removesuffix("-3"), held(Instruments, "voice")),
    ("magnatagatune", "2", "train", "some_choir-an_album-0-a_song", held(Tags, *TAGS[1::2])),
    ("mtg_jamendo_genre", "track_0000241", "train", "artist_000000", held(Tags, "60s", "jazz")),
    ("nsynth", "bass_synthetic_000-060-025", "train", "bass_synthetic_000", Pitch("60")),
    ("nsynth", BRASS, "test", BRASS, Instrument("brass"), Pitch("61")),
    ("openmic2018", labels.SHARED, "test", labels.SHARED),
    ("tinysol", SAX, "test", SAX, Instrument("Alto Saxophone"), Pitch("61")),
    ("aistpp", "gHO_sBM_cAll_d21_mHO1_ch04", "train", "mHO1", Genre("house"), Tempo(115.0)),
    ("aistpp", "gKR_sBM_cAll_d30_mKR2_ch01", "test", "mKR2", Genre("krump"), Tempo(100.0)),
    ("finedance", "001", "train", "001", Genre("popping")),
    ("finedance", "012", "test", "012", Genre("tai")),  # which its label spells Dai
    ("motorica", "kthjazz_gTP_sFM_sngl_d02_014", "train", "vintage jazz", Genre("tap")),
    ("motorica", "kthstreet_gKR_sFM_cAll_d01_mKR1_ch01", "test", "song KR1", Genre("krump")),
    ("motorica", HIP_HOP.format(1), "test", "song thisisit", Genre("hip_hop")),
    ("motorica", HIP_HOP.format(2), "test", "song thisisit", Genre("hip_hop")),
]


@pytest.mark.parametrize(
    ("name", "id", "split", "group", "annotations"), [(*t[:4], t[4:]) for t in TRACKS]
)
def test_a_track_is_what_the_tables_say(made, name, id, split, group, annotations):
    [track] = [track for track in made(name).tracks(split) if track.id == id]
    assert track.group == group
    for expected in annotations:
        found = track.get(type(expected))
        for fact, value in vars(expected).items():
            if isinstance(value, float | np.ndarray):
                np.testing.assert_allclose(getattr(found, fact), value, atol=1e-6)
            else:
                assert getattr(found, fact) == value


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("aistpp", set(dance.AIST_IGNORED)),
        ("asap", {"Bach/Fugue/bwv_874/BianF01"}),  # cut at a wrong place
        ("ballroom", rhythm.REPLICAS.keys()),
        ("beatles", {"10212"}),  # without beats
        ("finedance", {"116"}),
        ("fma_small", {"20", "99134"}),  # of another subset, and empty
        ("giantsteps_genre", {"3041381.LOFI"}),  # nobody heard a tempo
        ("gtzan_rhythm", {"reggae.00086"}),  # not annotated
        ("magnatagatune", {"35644"}),  # unreadable
    ],
)
def test_some_tracks_are_left_out(made, name, ids):
    assert not ids & every(made(name)).keys()


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("b d b b d b", [3, 1, 2, 3, 1, 2]),
        ("d b d b b d", [1, 2, 1, 2, 3, 1]),
        ("b b b d b d", [2, 2, 2, 1, 2, 1]),  # an upbeat longer than the bar starts none
        ("d", [1]),
    ],
)
def test_asap_counts_beats_from_the_start_of_their_bar(kinds, expected):
    starts = np.array([kind == "d" for kind in kinds.split()])
    assert positions(starts).tolist() == expected


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


def test_gtzan_takes_either_format(made):
    for name in ("gtzan", "gtzan_rhythm"):
        assert every(made(name))["rock.00000"].audio_path.suffix == ".au"
    every(made("gtzan"))["rock.00000"].audio_path.write_bytes(b"\0" * 100)
    with pytest.raises(DatasetError, match=r"rock\.00000\.au: unreadable audio"):
        made("gtzan").prepare_data()


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
    table = dataset.folder / "annotations_final.csv"
    lines = table.read_text().splitlines()
    lines[2] = lines[2].replace('"1"', '"0"')
    table.write_text("\n".join(lines))
    assert every(made("magnatagatune"))["5"].get(Tags).names == frozenset()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("medley_solos_db", ("_training-", "_validation-", "_test-")),
        ("tinysol", ("-pp-", "-mf-", "-ff-")),
        ("gtzan", (".00000.", ".00001.", ".00002.")),
    ],
)
def test_official_parts_are_splits(made, name, parts):
    for split, part in zip(SPLITS, parts, strict=True):
        assert all(part in track.audio_path.name for track in made(name).tracks(split))


@pytest.mark.parametrize("subset", ["genre", "instrument", "moodtheme", "top50"])
def test_every_tag_of_jamendo_is_in_every_split(made, subset):
    dataset = made(f"mtg_jamendo_{subset}")
    listed = labels.JAMENDO["top50tags" if subset == "top50" else subset]
    for split in SPLITS:
        held = {tag for track in dataset.tracks(split) for tag in track.get(Labels).names}
        assert held == {tag.partition("---")[2] for tag in listed}


def test_jamendo_tells_low_quality(made):
    dataset = made("mtg_jamendo_genre")
    for path in (dataset.folder / "audio").glob("*/*.mp3"):
        path.rename(path.with_suffix(".low.mp3"))
    low = made("mtg_jamendo_genre")
    assert low.revision == "1-low"
    assert {track.audio_path.suffixes[0] for track in low.tracks("test")} == {".low"}
    assert made("mtg_jamendo_genre", partial=True).revision.endswith("-low")


def test_openmic_knows_what_nobody_was_asked_about(made):
    dataset = made("openmic2018")
    answers, listed = dataset.tracks("train")[0].get(Instruments), OpenMIC2018.classes
    assert answers.unknown == {listed[0], listed[8], listed[16]}
    assert {listed[1], listed[4]} <= answers.names  # relevances 0.6 and 0.5
    assert listed[3] not in answers.names | answers.unknown  # 0.17
    for split in ("train", "validation"):
        groups = {track.group for track in dataset.tracks(split)}
        assert groups == {f"artist {labels.openmic_artist(split)}"}
    lifted = {remote.name: remote.lifted for remote in dataset.remotes()}
    assert lifted["openmic-2018-v1.0.0.tgz"] == ("openmic-2018",)


def test_two_files_of_beats_for_one_excerpt_are_refused(made):
    folder = made("smc").folder / "SMC_MIREX/SMC_MIREX_Annotations_05_08_2014"
    (folder / "SMC_021_9_9_9_z.txt").write_text("0.5\n")
    with pytest.raises(DatasetError, match="stand twice, such as SMC_021"):
        made("smc").tracks("test")
