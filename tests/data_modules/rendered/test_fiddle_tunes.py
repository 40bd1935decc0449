"""Fiddle tunes: bars counted by hand, playing that keeps to its labels, and an honest choice."""

import numpy as np
import pytest

from motionbeat.data_modules.base import (
    DatasetError,
)
from motionbeat.data_modules.rendered import fiddle_tunes
from motionbeat.data_modules.rendered.fiddle_tunes import (
    DANCES,
    FiddleTunes,
    Source,
    choose,
    perform,
    read_sources,
    read_tune,
)

FIELDS = {"2/4": "1/16", "2/2": "1/8", "4/4": "1/8", "6/8": "1/8", "9/8": "1/8"}


def source(notes: str, dance: str = "jig", metre: str = "6/8", id: str = "Test") -> Source:
    abc = f"X:1\nT:{id} -- {dance}\nR:{dance}\nM:{metre}\nL:{FIELDS[metre]}\nK:G\n{notes}\n"
    return Source(id, abc, id.lower(), dance, metre)


JIG = source("D | GGG AAA | B2z G2 :|")


def test_a_jig_with_an_upbeat_is_counted_in_dotted_quarters():
    tune = read_tune(JIG)
    third = 1 / 3
    d, g, a, b = 62, 67, 69, 71
    once = [(-third, d), (0, g), (third, g), (2 * third, g), (1, a), (1 + third, a)]
    once += [(1 + 2 * third, a), (2, b), (3, g)]
    expected = once + [(onset + 4, key) for onset, key in once]  # the repeat, upbeat and all
    assert [key for _, _, key in tune.notes] == [key for _, key in expected]
    np.testing.assert_allclose([note[0] for note in tune.notes], [onset for onset, _ in expected])
    np.testing.assert_allclose([tune.notes[7][1], tune.notes[8][1]], [2 * third, 2 * third])
    assert (tune.start, tune.end) == pytest.approx((-third, 8 - third))
    on = [onset for onset, _, _ in tune.melody(12)][18:21]  # and on, from the upbeat
    np.testing.assert_allclose(on, [8 - third, 8, 8 + third])
    assert (tune.tonic, tune.mode) == (7, "major")


@pytest.mark.parametrize(
    ("notes", "dance", "metre", "first", "positions"),
    [
        ("AAA | GGG AAA | GGG :|", "jig", "6/8", -1, [2, 1, 2, 1]),
        ("ccc BBB | GGG AAA BBB | c3 B3 A3 | G3 :|", "slip jig", "9/8", -2, [2, 3, 1, 2]),
        ("GABc | dBGB dBGB | G4 :: dBGB | GABc dBGB | G4 :|", "reel", "2/4", -1, [2, 1, 2, 1]),
        ("GA | BGBd gdBG | AFDE F2 :|", "hornpipe", "2/2", -0.5, [1, 2, 1, 2]),
        ("D | G>AB>c d2e2 | B2G2 A2 G :|", "strathspey", "4/4", -0.5, [1, 2, 3, 4, 1]),
        ("z2 D2 G4 | A4 B4 | c4 d4 :|", "reel", "2/2", 0.5, [2, 1, 2, 1]),
    ],
)
def test_positions_in_the_bar_follow_the_upbeat(notes, dance, metre, first, positions):
    tune = read_tune(source(notes, dance, metre))
    assert tune.notes[0][0] == pytest.approx(first)
    _, labels = perform(tune, np.random.default_rng(0))
    assert labels["positions"][: len(positions)] == positions


@pytest.mark.parametrize(
    "notes",
    [
        "GGG AAA | BBB | GGG AAA | BBB GGG :|",  # half a bar too little
        "D | GGG AAA | BBB GGG | GGG AAA |",  # upbeat without counterpart, and short
        "GGG AAA | [M:2/4] B2 G2 | GGG AAA :|",
    ],
)
def test_tunes_whose_bars_do_not_add_up_are_refused(notes):
    assert read_tune(source(notes)) is None


@pytest.mark.parametrize("seed", range(12))
def test_players_keep_to_the_labels(seed):
    tune = read_tune(JIG)
    (lead, *accompaniment), labels = perform(tune, np.random.default_rng(seed))
    beats = np.array(labels["beats"])  # the upbeat is shorter than one: the first is the downbeat
    onsets = np.array([onset for onset, _, _ in tune.melody(len(beats))])
    counted = np.interp(onsets, np.arange(len(beats)), beats)
    starts = np.array([note.start for note in lead.notes])
    inside = (onsets >= 0) & (onsets <= len(beats) - 1)
    assert np.abs(starts - counted)[inside].max() < 0.0125
    for part in accompaniment:
        nearest = np.array([np.abs(note.start - beats).min() for note in part.notes])
        assert np.sum(nearest < 0.0125) >= len(beats)
    slow, fast = DANCES["jig"].tempo
    tempi = 60 / np.diff(beats)
    assert slow * 0.96 < tempi.min() <= labels["bpm"] <= tempi.max() < fast * 1.04
    assert 24 < beats[-1] < labels["duration"] - 1.5 < 28


def test_accompaniment_takes_the_chord_of_the_bar():
    tune = read_tune(source("GBdG BdGB | ADFA DFAD | GBdG BdGB :|", "reel", "2/2"))
    played = (perform(tune, np.random.default_rng(seed)) for seed in range(30))
    parts, labels = next(one for one in played if one[1]["accompaniment"] == "piano")
    bars = np.array(labels["beats"])[np.array(labels["positions"]) == 1] - 0.02
    for bar, chord in ((0, {7, 11, 2}), (1, {2, 6, 9})):
        assert chord == {
            note.pitch % 12 for note in parts[1].notes if bars[bar] < note.start < bars[bar + 1]
        }


def test_dance_types_take_turns_and_no_tune_stands_twice():
    melodies = {
        "A": "GGG AAA | B2z G2z | AAA GGG",
        "B": "GAB ABc | BAG AGF | GAB ABc",
        "C": "G3 B3 | d3 B3 | GBd cAF",
    }
    jigs = [source(f"{notes} :|", id=f"Jig{id}") for id, notes in melodies.items()]
    reels = [
        source(f"{notes} :|", "reel", "2/2", id=id)
        for id, notes in (
            ("One", "GABc dcBA | GABc G4 | F4 A4"),
            ("Two", "GABc dcBA | GABc G4 | A8"),
        )
    ]
    broken = source("GGG AAA | BBB | GGG AAA :|", id="Broken")
    tunes = choose([*jigs, *reels, broken], 4, seed=0)
    assert [tune.source.dance for tune in tunes] == ["reel", "jig", "jig", "jig"]
    assert {tune.source.id for tune in tunes} > {"JigA", "JigB", "JigC"}
    with pytest.raises(DatasetError, match="5 tunes wanted, 4 usable"):
        choose([*jigs, *reels, broken], 5, seed=0)


def test_the_collection_is_read_by_its_headers(tmp_path):
    (tmp_path / "HopJig.abc").write_text(
        "X:1\nT:The Hop -- Jig\nR: jig\nM: 9/8\nT:(a remark)\nK:G\nG9|"
    )
    (tmp_path / "Cut.abc").write_text("X:1\nT:Cut -- Reel\nR:REEL\nM:C|\nK:G\nG8|")
    (tmp_path / "Odd.abc").write_text("X:1\nT:Odd\nR:jig\nM:2/4\nK:G\nG4|")
    facts = [(each.id, each.family, each.dance, each.metre) for each in read_sources(tmp_path)]
    assert facts == [("Cut", "cut", "reel", "2/2"), ("HopJig", "thehop", "slip jig", "9/8")]
    with pytest.raises(DatasetError, match="music21"):
        read_sources(tmp_path / "nowhere")


def test_a_finished_dataset_is_only_verified(tmp_path, monkeypatch):
    dataset = FiddleTunes(cache=tmp_path, train=1, validation=1, test=1)
    dataset.prepare_data()
    monkeypatch.setattr(fiddle_tunes, "read_tune", None)
    dataset.prepare_data()
