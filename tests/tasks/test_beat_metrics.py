import mir_eval
import numpy as np
import pytest

from motionbeat.tasks.metrics.beat import beat_scores, f_measures, tempo_scores

REFERENCE = np.array([6.0, 7.0, 8.0, 9.0])
EARLY = np.arange(0.5, 5.0, 0.5)


@pytest.mark.parametrize(
    ("reference", "estimated", "expected"),
    [
        (REFERENCE, [6.05, 7.2, 8.0, 9.0, 10.0], 2 * 3 / (5 + 4)),
        (REFERENCE, REFERENCE + 0.069, 1),
        (REFERENCE, REFERENCE + 0.071, 0),
        (np.append(EARLY, REFERENCE), REFERENCE, 1),
        (REFERENCE, np.append(EARLY, REFERENCE), 1),
        (REFERENCE, [], 0),
    ],
)
def test_f_measure_by_hand(reference, estimated, expected):
    """Hits are within 70 ms, and the first five seconds do not count."""
    scores = beat_scores(reference, np.array(estimated))
    assert scores["f_measure"] == pytest.approx(expected)


def test_half_the_tempo_is_right_at_another_level_only():
    reference = np.arange(5.0, 25.0, 0.5)
    assert set(beat_scores(reference, reference).values()) == {1.0}
    scores = beat_scores(reference, reference[::2])
    assert (scores["cmlt"], scores["amlt"]) == (0, 1)


@pytest.mark.filterwarnings("ignore:Estimated beats are empty")
def test_f_measures_of_thresholds_are_those_of_mir_eval():
    """Also where windows overlap, so that a peak may be matched to several references."""
    rng = np.random.default_rng(0)
    thresholds = np.linspace(0.1, 0.95, 18)
    for case in range(200):
        spread = rng.choice([0.3, 1.0, 30.0])
        reference, times = (
            np.sort(rng.uniform(5 - 0.2 * spread, 5 + spread, rng.integers(60)).round(case % 3 + 1))
            for _ in range(2)
        )
        values = rng.uniform(0, 1, len(times)).round(2)
        true, late = mir_eval.beat.trim_beats(reference), times >= 5
        expected = [
            mir_eval.beat.f_measure(true, times[late & (values > threshold)])
            if len(true) > 1
            else np.nan
            for threshold in thresholds
        ]
        assert np.array_equal(f_measures(reference, times, values, thresholds), expected, True)


@pytest.mark.parametrize("reference", [[], [1.0, 2.0, 3.0, 6.0]])
def test_fewer_than_two_reference_beats_are_undefined(reference):
    scores = beat_scores(np.array(reference), REFERENCE)
    assert len(scores) == 7
    assert np.isnan(list(scores.values())).all()


@pytest.mark.parametrize(
    ("estimated", "acc1", "acc2"),
    [
        *[(104, 1, 1), (96, 1, 1), (104.1, 0, 0), (208, 0, 1), (208.1, 0, 0), (300, 0, 1)],
        *[(400, 0, 0), (52, 0, 1), (33.4, 0, 1), (25, 0, 0), (float("nan"), 0, 0)],
    ],
)
def test_tempo_within_4_percent_and_octaves(estimated, acc1, acc2):
    assert tempo_scores(100.0, float(estimated)) == {"acc1": acc1, "acc2": acc2}
    assert np.isnan(list(tempo_scores(float("nan"), estimated).values())).all()
