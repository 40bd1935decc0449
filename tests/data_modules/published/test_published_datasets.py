"""What holds for every published dataset, on a tiny copy of it."""

import re
from dataclasses import fields

import numpy as np
import pytest
from tests.lookalikes import COPIES, every

from motionbeat.benchmarks.registry import DATASETS
from motionbeat.data_modules.base import SPLITS, Beats, DatasetCard, DatasetError, check_splits


@pytest.fixture(params=COPIES)
def copy(request, made):
    return lambda **options: made(request.param, **options)


def refused(call, match=None):
    with pytest.raises(DatasetError, match=match) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_complete_copy_keeps_the_promises_of_its_card(copy):
    dataset = copy()
    dataset.prepare_data()
    found = every(dataset)
    sizes = {split: len(dataset.tracks(split)) for split in SPLITS}
    assert len(found) == sum(sizes.values()) == dataset.count
    test_only = dataset.card.trained_on or dataset.card.name == "dance_with_melody"
    assert (sizes["train"] == sizes["validation"] == 0) if test_only else min(sizes.values()) > 0
    assert dataset.status() == "present"
    assert dataset.revision == dataset.card.revision
    check_splits([dataset.tracks(split) for split in SPLITS])
    again = every(copy())
    for id, track in found.items():
        assert track.audio_path.is_file()
        assert track.duration > 0
        assert all(track.has(kind) for kind in dataset.card.annotations)
        assert (again[id].group, again[id].duration) == (track.group, track.duration)
        if track.has(Beats):
            assert track.get(Beats).end <= track.duration + 0.5
            assert np.array_equal(track.get(Beats).times, again[id].get(Beats).times)


@pytest.mark.parametrize("name", COPIES)
def test_a_card_is_complete_and_its_links_have_checksums(name):
    kind = DATASETS.get(name)
    for fact in (field.name for field in fields(DatasetCard) if field.type == "str"):
        assert getattr(kind.card, fact) or fact == "renderer"
        assert "\n" not in getattr(kind.card, fact)
    assert kind.card.source.startswith("http")
    assert kind.card.data == "real"
    for remote in kind.remotes():
        assert len(remote.checksums) == len(remote.urls)
        for checksum in remote.checksums:
            algorithm, _, digest = checksum.partition(":")
            assert len(bytes.fromhex(digest)) == {"md5": 16, "sha1": 20, "sha256": 32}[algorithm]
        assert "/" not in remote.name
        assert all(url.startswith(("https://", "http://")) for url in remote.urls)


def test_missing_and_unreadable_audio_is_named_and_a_partial_copy_marked(copy):
    gone = copy().tracks("test")[0]
    gone.audio_path.write_bytes(b"\0" * 100)
    refused(lambda: copy().prepare_data(), re.escape(gone.audio_path.name))
    gone.audio_path.unlink()
    said = refused(lambda: copy().tracks("test"), re.escape(gone.audio_path.name))
    assert "partial" in said
    part = copy(partial=True)
    ids = every(part).keys()
    assert gone.id not in ids
    assert f"partial-{len(ids)}of{part.count}" in part.revision
    assert part.status() == f"partial ({len(ids)} of {part.count})"


def test_an_absent_dataset_says_how_to_get_it(copy, tmp_path):
    kind = type(copy())
    absent = kind(cache=tmp_path / "nothing", data=tmp_path / "nowhere")
    assert absent.status() == "absent"
    assert kind.card.how_to_get in refused(absent.prepare_data)


def test_tables_that_cannot_be_read_are_named(copy):
    tables = [
        path
        for path in copy().folder.rglob("*")
        if path.suffix in (".csv", ".tsv", ".json", ".txt") and path.is_file()
    ]
    for table in tables:
        table.write_bytes(b"\xff\xfe\x00broken \x81")
    if tables:
        assert copy().card.name in refused(lambda: copy().prepare_data())


JAMS = "giantsteps-tempo-dataset-0b7d47ba8cae59d3535a02e3db69e2cf6d0af5bb"
DEAM = "annotations/annotations averaged per song/song_level/static_annotations_averaged_songs_"
ETUDE = "Chopin/Etudes_op_10/1/Lin04_annotations.txt"
GTZAN = "gtzan_tempo_beat-main"
JAMENDO = "data/splits/split-0/autotagging_genre"
IRMAS = "IRMAS-TestingData-Part1/Part1/02. Song - No. 1-11.txt"
MICS = "openmic-2018-aggregated-labels.csv"
SOLOS = "annotation/Medley-solos-DB_metadata.csv"
TINY = "annotation/TinySOL_metadata.csv"
SMC = "SMC_MIREX/SMC_MIREX_Annotations_05_08_2014/"

WRONG = [  # dataset, file, what it says (None for all of it), what instead (None for no file), said
    ("aistpp", "splits/crossmodal_test.txt", "gLH_s", "gXX_s", "genre 'XX'"),
    ("asap", ETUDE, None, "0.5\t0.5\tdb\n0.4\t0.4\tb\n", "Lin04.*strictly increasing"),
    ("asap", ETUDE, None, "0.5\t0.5\tdb\n0.9\t0.9\tbeat\n", "unknown kind of beat 'beat'"),
    ("asap", ETUDE, None, "0.5\t0.5\tb\n", "Lin04 has no downbeat"),
    ("candombe", "candombe_index_1.0.json", '"csic.1995_cuareim_01"', '"x_01"', "session 'x'"),
    ("deam", f"{DEAM}1_2000.csv", "\n2,1.00,", "\n2,0,", "track 2 has the rating 0.0"),
    ("deam", "metadata/metadata_2014.csv", "Artist", "Band", "metadata_2014.csv is unreadable"),
    ("deam", "metadata/metadata_2013.csv", None, None, "metadata_2013.csv is missing"),
    ("emomusic", "annotations/songs_info.csv", "evaluation", "extra", "track 2 .*set 'extra'"),
    ("emomusic", "annotations/static_annotations.csv", "\n2,1,", "\n2,,", "track 2.*rating nan"),
    ("emotify", "labels.csv", "rock", "roll", "track 101 has the unknown genre 'roll'"),
    ("finedance", "label_json/012.json", None, '{"style1": "Modern"}', r"012\.json is unreadable"),
    ("fma_small", "fma_metadata/tracks.csv", "subset", "part", "unreadable .*subset"),
    ("fma_small", "fma_metadata/tracks.csv", "small,Folk", "small,Blues", "genre 'Blues'"),
    ("giantsteps_genre", f"{JAMS}/splits/fold01.txt", "28952", "1", "28952.LOFI has the unknown"),
    ("gtzan_rhythm", f"{GTZAN}/beats/gtzan_pop_00001.beats", None, "1\t1\n0\t2\n", r"pop.00001"),
    ("gtzan_rhythm", f"{GTZAN}/beats/gtzan_pop_00001.beats", None, None, "beats is missing"),
    ("gtzan_rhythm", f"{GTZAN}/tempo/gtzan_pop_00001.bpm", None, "nan", r"pop.00001"),
    ("irmas", IRMAS, None, "\n", "no instrument"),
    ("magnatagatune", "annotations_final.csv", '"woman"', '"women"', "no column woman"),
    ("magnatagatune", "annotations_final.csv", '"1"\t"0"', '"1"\t"2"', "a tag neither"),
    ("medley_solos_db", SOLOS, "validation", "evaluation", "track .*'evaluation'"),
    ("mtg_jamendo_genre", f"{JAMENDO}-train.tsv", "\t1.5\t", "\n", "not the published one"),
    ("nsynth", "nsynth-valid/examples.json", '"pitch"', '"height"', "is unreadable .*pitch"),
    ("nsynth", "nsynth-train/examples.json", None, "[]", "examples.json is unreadable"),
    ("openmic2018", MICS, ",0.6,", ",1.6,", r"track 000000_3840.*1\.6"),
    ("openmic2018", "partitions/split01_test.csv", "000020_3840\n", "", "000020_3840 lacks"),
    ("smc", f"{SMC}SMC_021*", None, "0.5\n0.4\n", "SMC_021.*strictly increasing"),
    ("smc", f"{SMC}SMC_021*", None, "0.5\nend\n", "SMC_021.* is unreadable"),
    ("tinysol", TINY, "C4,60", "C4,260", "pitch '260'"),
    ("tinysol", TINY, "I3-ord-C4-ff", "I3-ord-C4-fff", "does not list track I3-ord-C4-fff"),
]


@pytest.mark.parametrize(("name", "file", "old", "new", "said"), WRONG)
def test_what_a_table_says_wrongly_is_named(made, name, file, old, new, said):
    [path] = made(name).folder.glob(file)
    if new is None:
        path.unlink()
    else:
        text = path.read_bytes().decode().replace("\r\n", "\n")
        assert old is None or old in text
        path.write_text(new if old is None else text.replace(old, new, 1))
    assert name in refused(lambda: made(name).prepare_data(), said)


def test_another_recording_of_the_same_name_is_refused(made):
    audio = made("ballroom").tracks("test")[0].audio_path
    audio.write_bytes(audio.read_bytes()[:-4] + b"\1\2\3\4")
    refused(lambda: made("ballroom").prepare_data(), f"{audio.name}: its md5 is")


@pytest.mark.parametrize("name", ["beatles", "rwc_popular", "hainsworth"])
def test_a_copy_of_ones_own_is_accepted(made, name):
    index = next(made(name).folder.glob("*_index_*.json"))
    other = re.sub(r'(audio": \[[^]]*")[0-9a-f]{32}"', rf'\g<1>{"0" * 32}"', index.read_text())
    index.write_text(other)
    assert len(every(made(name))) == made(name).count
