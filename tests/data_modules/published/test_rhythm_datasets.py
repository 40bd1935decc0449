"""Rules of the datasets with beats or tempi: positions, groups, splits, what is left out."""

import numpy as np
import pytest
from tests.lookalikes import every, rhythm

from motionbeat.data_modules.base import SPLITS, Beats, DatasetError, Genre, Tempo
from motionbeat.data_modules.published.asap import positions
from motionbeat.data_modules.published.ballroom import Ballroom


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("b d b b d b", [3, 1, 2, 3, 1, 2]),
        ("d b d b b d", [1, 2, 1, 2, 3, 1]),
        ("b b b d b d", [2, 2, 2, 1, 2, 1]),  # an upbeat longer than the bar starts none
        ("b d b b", [3, 1, 2, 3]),
        ("d", [1]),
    ],
)
def test_asap_counts_beats_from_the_start_of_their_bar(kinds, expected):
    starts = np.array([kind == "d" for kind in kinds.split()])
    assert positions(starts).tolist() == expected


def test_asap_reads_all_kinds_of_beats_and_groups_by_composition(made):
    found = every(made("asap"))
    beats = found["Chopin/Etudes_op_10/3/Lin04"].get(Beats)
    assert np.allclose(beats.times, 0.5 + np.arange(6) / 3)
    assert beats.positions.tolist() == [3, 1, 2, 3, 1, 2]
    groups = {found[f"Chopin/Etudes_op_10/7/{player}"].group for player in ("Lin04", "Zhou01")}
    assert groups == {"Chopin Etudes_op_10_7"}
    assert "Bach/Fugue/bwv_874/BianF01" not in found  # cut at a wrong place


def test_ballroom_leaves_replicas_out_and_groups_by_album(made):
    dataset = made("ballroom")
    found = every(dataset)
    assert dataset.loaded.keys() - found.keys() == rhythm.REPLICAS.keys()
    assert found["Albums-Latin_Jam3-04"].group == "Albums-Latin_Jam3"
    assert found["Media-105904"].group == "Media-1059"
    for split in SPLITS:
        assert {track.get(Genre).name for track in dataset.tracks(split)} == {*Ballroom.classes}


def test_beatles_without_position_get_one_and_two_discs_are_one_album(made):
    found = every(made("beatles"))
    assert found["0101"].get(Beats).positions.tolist() == [1, 2, 3, 4, 1, 2, 3]
    assert {found["10101"].group, found["10201"].group} == {"The_Beatles"}
    assert "10212" not in found


def test_rwc_positions_follow_from_ticks_and_groups_are_singers(made):
    dataset = made("rwc_popular")
    beats = every(dataset)["RM-P001"].get(Beats)
    assert beats.positions.tolist() == [3, 4, 1, 2, 3, 4, 1, 2, 3]
    assert np.allclose(beats.downbeats, [1.2, 3.2])
    assert {track.group for track in every(dataset).values()} == set(rhythm.SINGERS)
    (dataset.folder / "metadata-master/rwc-p.csv").unlink()
    with pytest.raises(DatasetError, match=r"rwc_popular: .*(missing|not found)"):
        made("rwc_popular").tracks("test")


def test_candombe_is_split_by_session(made):
    groups = {split: {t.group for t in made("candombe").tracks(split)} for split in SPLITS}
    assert groups["test"] == {"csic.1995_cuareim"}
    assert all(one.startswith("proyecto.1992") for one in groups["validation"])


def test_giantsteps_reads_folds_and_the_tempo_most_people_tapped(made):
    dataset, tempi = made("giantsteps_genre"), made("giantsteps_tempo")
    assert [len(dataset.tracks(split)) for split in SPLITS] == [18, 6, 6]
    assert {int(track.id[:-5]) % 10_000 for track in dataset.tracks("test")} == {6952, 7952}
    found = every(dataset)
    assert every(tempi).keys() == found.keys()
    assert found["28952.LOFI"].get(Tempo).bpm == 120  # and not 60, which a quarter tapped
    assert found["29952.LOFI"].get(Tempo).bpm == 122
    assert found["28952.LOFI"].get(Genre).name == "trance"
    assert "3041381.LOFI" not in found  # nobody heard a tempo


def test_gtzan_follows_its_lists_and_takes_either_format(made):
    dataset = made("gtzan")
    for number, split in enumerate(SPLITS):
        listed = {f"{genre}.{number:05d}": genre for genre in rhythm.GENRES}
        assert {track.id: track.get(Genre).name for track in dataset.tracks(split)} == listed
    for name in ("gtzan", "gtzan_rhythm"):
        assert every(made(name))["rock.00000"].audio_path.suffix == ".au"
        assert every(made(name))["rock.00001"].audio_path.suffix == ".wav"
    (dataset.folder / "gtzan_genre/genres/rock/rock.00000.au").write_bytes(b"\0" * 100)
    with pytest.raises(DatasetError, match=r"rock\.00000\.au: unreadable audio"):
        made("gtzan").prepare_data()


def test_gtzan_beats_have_positions_where_bars_are_known(made):
    found = every(made("gtzan_rhythm"))
    assert "reggae.00086" not in found
    assert found["jazz.00001"].get(Beats).positions is None
    assert found["rock.00002"].get(Beats).positions.tolist() == [1, 2, 3, 4]
    assert np.allclose(found["rock.00002"].get(Beats).downbeats, [0.113])


def test_smc_reads_the_corrected_beats(made):
    dataset = made("smc")
    found = every(dataset)["SMC_011"].get(Beats)
    assert np.allclose(found.times, [0.3, 0.9, 1.5])
    assert found.positions is None
    beats = dataset.folder / "SMC_MIREX/SMC_MIREX_Annotations_05_08_2014"
    (beats / "SMC_021_9_9_9_z.txt").write_text("0.5\n")
    with pytest.raises(DatasetError, match="stand twice, such as SMC_021"):
        made("smc").tracks("test")
