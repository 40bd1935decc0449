import numpy as np
import pytest

from motionbeat.discrimination import rhythm_discrimination


def test_every_impostor_of_similar_tempo_counts_by_hand():
    #                  0      1      2      3      4      5
    tempo = np.array([100.0, 100.0, 103.0, 102.0, 104.2, 140.0])
    piece = np.array([0, 0, 1, 2, 3, 4])
    similarity = np.eye(6) * 0.5
    similarity[0, 2] = 0.6  # another piece of similar tempo is nearer
    similarity[0, 1] = similarity[0, 5] = 0.9  # the same piece, and another tempo, do not count
    similarity[3, 2] = 0.5  # a tie counts against
    earlier = np.array([0.4, 0.5, 0.6, 0.1, 0.1, 0.1])
    found = rhythm_discrimination(similarity, earlier, np.full(6, 0.2), piece, tempo)
    assert found["shift"].tolist() == [1, 0.5, 0.5, 1, 1, 1]
    # Of 0: 2 and 3; of 3: 0, 1, 2 and 4; of 5: none.
    assert found["impostor"].tolist() == pytest.approx([0.5, 1, 1, 0.75, 1, np.nan], nan_ok=True)
    both = (found["shift"] + found["impostor"]) / 2
    np.testing.assert_array_equal(found["discrimination"], both)


def test_random_similarities_are_at_chance():
    rng = np.random.default_rng(0)
    similarity = rng.standard_normal((600, 600))
    shifted = rng.standard_normal((2, 600))
    tempo = rng.uniform(80, 160, 600)
    found = rhythm_discrimination(similarity, *shifted, np.arange(600) // 2, tempo)
    assert all(np.nanmean(values) == pytest.approx(0.5, abs=0.04) for values in found.values())
