"""What clip tasks learn from, predict and score."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.toys import shaped
from torch.nn import functional

from motionbeat.data_modules.base import (
    DatasetError,
    Emotion,
    Genre,
    Instruments,
    Moods,
    Tags,
    Track,
)
from motionbeat.tasks.clip_task import ClipPrediction, Prior
from motionbeat.tasks.emotion import EmotionRegression
from motionbeat.tasks.genre import GenreClassification
from motionbeat.tasks.instrument import InstrumentTagging
from motionbeat.tasks.metrics.per_track import arrays
from motionbeat.tasks.neighbours import knn_predict
from motionbeat.tasks.tagging import Tagging


def track(id, *annotations):
    return Track(str(id), Path(), 30.0, str(id), annotations)


def task(kind, tracks):
    one = kind(shaped(0.1))
    one.prepare(tracks)
    return one


def loss(one, outputs, tracks, real=2):
    """Of two steps a track, of which so many are real."""
    targets = torch.stack([one.track_targets(t, 2)["target"] for t in tracks])
    mask = (torch.arange(2) < real).expand(len(tracks), 2)
    return one.loss(outputs, {"target": targets}, mask)


GENRES = [track(0, Genre("rock")), track(1, Genre("pop")), track(2, Genre("rock"))]


def test_a_track_is_the_mean_over_its_segments():
    one = task(GenreClassification, GENRES)
    assert one.names == ("pop", "rock")
    outputs = np.log(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))
    prediction = one.decode(outputs, GENRES[0])
    np.testing.assert_allclose(prediction.values, [0.55, 0.45], atol=1e-6)
    assert GenreClassification.score(prediction, GENRES[0]) == {"true": "rock", "predicted": "pop"}


def test_class_loss_by_hand_leaves_padding_out():
    outputs = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    found = loss(task(GenreClassification, GENRES), outputs, GENRES, real=1)
    expected = functional.cross_entropy(outputs[:, 0], torch.tensor([1, 0, 1]))
    torch.testing.assert_close(found, expected)


def test_a_class_the_train_split_lacks_is_a_miss_and_said():
    prediction = ClipPrediction(np.array([0.9, 0.1]), ("pop", "rock"))
    tracks = [track(i, Genre(genre)) for i, genre in enumerate(("pop", "jazz"))]
    rows = GenreClassification.score_all([prediction] * 2, tracks)
    found = GenreClassification.metrics_of(rows)
    assert found["accuracy"] == 0.5
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    [warning] = GenreClassification.warnings(arrays([rows]), prediction.names)
    assert warning.startswith("1 test tracks are of a class the train split lacks")


def test_what_nobody_knows_is_neither_learned_nor_scored():
    tracks = [
        track(0, Instruments(frozenset({"flute"}), frozenset({"piano"}))),
        track(1, Instruments(frozenset({"piano"}))),
    ]
    one = task(InstrumentTagging, tracks)
    assert one.names == ("flute", "piano")
    outputs = torch.zeros(2, 2, 2, requires_grad=True)
    found = loss(one, outputs, tracks)
    assert found.item() == pytest.approx(np.log(2))
    found.backward()
    assert outputs.grad[0, :, 1].tolist() == [0, 0], "no gradient where nobody knows"
    assert (outputs.grad[1] != 0).all()
    values = ClipPrediction(np.array([0.8, 0.3]), one.names)
    assert np.isnan(InstrumentTagging.score(values, tracks[0])["true/piano"])


def test_tags_without_positives_are_left_out_and_named():
    names = ("calm", "loud", "rare")
    tracks = [track(i, Tags(frozenset({"calm"} if i % 2 else {"loud"}))) for i in range(6)]
    predictions = [ClipPrediction(np.array([i % 2, 0.5, 0.1]), names) for i in range(6)]
    rows = Tagging.score_all(predictions, tracks)
    found = Tagging.metrics_of(rows)
    assert (found["classes"], found["roc_auc/calm"], found["roc_auc"]) == (2, 1, 0.75)
    assert np.isnan([found["roc_auc/rare"], found["average_precision/rare"]]).all()
    [warning] = Tagging.warnings(arrays([rows]), names)
    assert warning.endswith(": rare")


def test_emotion_is_learned_in_deviations_and_predicted_in_its_own_scale():
    tracks = [track(i, Emotion(valence=0.1 * i, arousal=-0.2 * i)) for i in range(5)]
    one = task(EmotionRegression, tracks)
    centre = one.decode(np.zeros((3, 2), np.float32), tracks[0])
    assert centre.names == ("arousal", "valence")
    np.testing.assert_allclose(centre.values, [-0.4, 0.2], atol=1e-6)
    assert loss(one, torch.zeros(5, 2, 2), tracks).item() == pytest.approx(1, abs=1e-5)
    right = [ClipPrediction(one.target(t, one.names), one.names) for t in tracks]
    found = EmotionRegression.metrics_of(EmotionRegression.score_all(right, tracks))
    assert list(found.values()) == pytest.approx([1] * len(found))
    assert found.keys() >= EmotionRegression.headline.keys()


def test_chance_draws_classes_as_often_as_they_stand_in_training():
    chance = Prior(GenreClassification)
    chance.fit(GENRES)
    drawn, other = (
        [chance.predict(track(i), seed).values.argmax() for i in range(300)] for seed in (0, 1)
    )
    assert 0.58 < np.mean([chance.names[one] == "rock" for one in drawn]) < 0.75
    assert drawn != other
    moods = Prior(Tagging)
    moods.fit([track(0, Tags(frozenset({"a", "b"}))), track(1, Tags(frozenset({"a"})))])
    assert moods.predict(track(2), 0).values.tolist() == [1, 0.5]


def test_neighbours_by_hand():
    known = np.array([[1.0, 0], [0, 1], [-1, 0]])
    targets = np.array([[1.0, np.nan], [0, 1], [0, 0]])
    found = knn_predict(known, targets, np.array([[1.0, 0]]))
    # cosines 1, 0 and -1: the second and third have next to no weight
    assert found[0, 0] == pytest.approx(1, abs=1e-5)
    assert found[0, 1] == pytest.approx(0.5, abs=0.01), "where the nearest is unknown, the next say"
    assert knn_predict(known, np.full((3, 1), 0.25), known).tolist() == [[0.25]] * 3


def test_a_train_split_without_any_tag_is_one_clear_error():
    with pytest.raises(DatasetError, match="no training track has anything for tagging"):
        task(Tagging, [track(0, Tags(frozenset()))])
    with pytest.raises(DatasetError, match="has no Tags annotation"):
        Tagging.target(track(0, Moods(frozenset({"calm"}))), ("calm",))
