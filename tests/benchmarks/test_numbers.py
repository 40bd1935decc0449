"""The numbers in records and tables are what mir_eval says of the predictions."""

import warnings

import mir_eval
import numpy as np
import pandas as pd
import pytest

from motionbeat.data_modules.base import Beats

ROWS = [("logmel", "linear"), ("logmel", "mlp")]
ROWS += [(name, "reference") for name in ("chance", "oracle", "madmom")]
METRICS = {
    "f_measure": lambda *times: mir_eval.beat.f_measure(*times),
    "cemgil": lambda *times: mir_eval.beat.cemgil(*times)[0],
    "cmlt": lambda *times: mir_eval.beat.continuity(*times)[1],
    "amlt": lambda *times: mir_eval.beat.continuity(*times)[3],
    "information_gain": lambda *times: mir_eval.beat.information_gain(*times),
}


@pytest.fixture(scope="module")
def predictions(finished):
    """For each row the predictions and tracks, one list a seed."""
    left = iter(finished.scored)
    rows = {}
    for name, probe in ROWS:
        record = finished.record(name)
        seeds = 2 if record.kind in ("encoder", "floor") else 1
        rows[name, probe] = [[next(left) for _ in record.tracks] for _ in range(seeds)]
    assert next(left, None) is None
    return rows


def direct(metric, reference, estimated):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return METRICS[metric](*map(mir_eval.beat.trim_beats, (reference, estimated)))


@pytest.mark.parametrize("row", ROWS, ids="-".join)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["beat", "downbeat"])
@pytest.mark.parametrize("decoder", ["peaks", "dbn"])
def test_numbers_are_those_of_mir_eval(finished, predictions, row, metric, kind, decoder):
    name, probe = row
    record = finished.record(name)
    expected = []
    for seed in predictions[row]:
        expected.append([])
        for (prediction, track), track_id in zip(seed, record.tracks, strict=True):
            assert track.id == track_id
            beats, estimate = track.get(Beats), getattr(prediction, decoder)
            times = {"beat": (beats.times, estimate.beats)}
            times["downbeat"] = (beats.downbeats, estimate.downbeats)
            expected[-1].append(direct(metric, *times[kind]))
    column = f"{'dbn_' * (decoder == 'dbn')}{kind}_{metric}"
    np.testing.assert_allclose(record.results[probe].evidence[column], expected, atol=1e-6)
    assert record.results[probe].scores[column].mean == pytest.approx(np.mean(expected), abs=1e-6)
    table = pd.read_csv(finished.folder / "results" / "leaderboard_beat.csv")
    if column in table:
        line = table[(table["name"] == name) & (table["probe"] == probe)].iloc[0]
        assert line[column] == pytest.approx(np.mean(expected), abs=1e-6)
