"""The numbers in records and tables are what mir_eval says of the predictions."""

import warnings
from itertools import product

import mir_eval
import numpy as np
import pandas as pd
import pytest

from motionbeat.benchmarks.records import NO_HEAD
from motionbeat.data_modules.base import Beats

ENTRIES = [("logmel", "linear"), ("logmel", "mlp")]
ENTRIES += [(name, NO_HEAD) for name in ("chance", "oracle", "madmom")]
METRICS = {
    "f_measure": mir_eval.beat.f_measure,
    "cemgil": lambda *times: mir_eval.beat.cemgil(*times)[0],
    "cmlt": lambda *times: mir_eval.beat.continuity(*times)[1],
    "amlt": lambda *times: mir_eval.beat.continuity(*times)[3],
    "information_gain": mir_eval.beat.information_gain,
}


@pytest.fixture(scope="module")
def predictions(finished):
    """For each entry the predictions and tracks, one list a seed."""
    left = iter(finished.scored)
    found = {}
    for name, head in ENTRIES:
        record = finished.record(name)
        seeds = len(record.results[head].per_track["beat_f_measure"])
        found[name, head] = [[next(left) for _ in record.tracks] for _ in range(seeds)]
    assert next(left, None) is None
    return found


def direct(metric, reference, estimated):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return METRICS[metric](*map(mir_eval.beat.trim_beats, (reference, estimated)))


@pytest.mark.parametrize("entry", ENTRIES, ids="-".join)
def test_numbers_are_those_of_mir_eval(finished, predictions, entry):
    name, head = entry
    record = finished.record(name)
    table = pd.read_csv(finished.folder / "results" / "leaderboard_beat.csv")
    [line] = table[(table["entry"] == name) & (table["head"] == head)].to_dict("records")
    for metric, kind, decoder in product(METRICS, ("beat", "downbeat"), ("peaks", "dbn")):
        expected = []
        for seed in predictions[entry]:
            expected.append([])
            for prediction, track in seed:
                beats, estimate = track.get(Beats), getattr(prediction, decoder)
                times = {"beat": (beats.times, estimate.beats)}
                times["downbeat"] = (beats.downbeats, estimate.downbeats)
                expected[-1].append(direct(metric, *times[kind]))
        column = f"{'dbn_' * (decoder == 'dbn')}{kind}_{metric}"
        result = record.results[head]
        np.testing.assert_allclose(result.per_track[column], expected, atol=1e-8)
        assert result.scores[column].mean == pytest.approx(np.mean(expected))
        if column in line:
            assert line[column] == pytest.approx(np.mean(expected), abs=1e-6)
