"""What clip tasks learn from, predict and score."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from motionbeat.benchmarks.statistics import once
from motionbeat.data_modules.base import (
    DatasetError,
    Emotion,
    Genre,
    Instruments,
    Moods,
    Tags,
    Track,
)
from motionbeat.tasks.clip import ClipPrediction, Prior
from motionbeat.tasks.emotion import EmotionTask
from motionbeat.tasks.features import Batch
from motionbeat.tasks.genre import GenreTask
from motionbeat.tasks.instrument import InstrumentsTask
from motionbeat.tasks.neighbours import neighbours_say
from motionbeat.tasks.probe import Member
from motionbeat.tasks.tagging import TaggingTask


class Source:
    rate, layers, width = 0.1, 2, 3


def track(id, *annotations):
    return Track(str(id), Path(), 30.0, str(id), annotations)


def task(kind, tracks):
    return kind(Source(), tracks, probe="linear", members=[Member(0, 0.01)])


def batch(one, tracks, steps=2, real=2):
    targets = [one.targets(t, steps)["target"] for t in tracks]
    mask = torch.arange(steps) < torch.tensor([real] * len(tracks))[:, None]
    features = torch.zeros(len(tracks), steps, 2, 3)
    return Batch(features, mask, torch.arange(len(tracks)), {}, {"target": torch.stack(targets)})


GENRES = [track(0, Genre("rock")), track(1, Genre("pop")), track(2, Genre("rock"))]


def test_a_track_is_the_mean_over_its_segments():
    one = task(GenreTask, GENRES)
    assert one.names == ("pop", "rock")
    outputs = np.log(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))
    prediction = one.decoder(one.typed_probes[0])(outputs, GENRES[0])
    np.testing.assert_allclose(prediction.values, [0.55, 0.45], atol=1e-6)
    assert GenreTask.score(prediction, GENRES[0]) == {"true": 1.0, "predicted": 0.0}


def test_class_loss_by_hand_leaves_padding_out():
    one = task(GenreTask, GENRES)
    outputs = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    found = one.loss(one.typed_probes[0], outputs, batch(one, GENRES, real=1))
    expected = functional.cross_entropy(outputs[:, 0], torch.tensor([1, 0, 1]))
    torch.testing.assert_close(found, expected)


def test_a_class_the_train_split_lacks_is_a_miss_and_said():
    prediction = ClipPrediction(np.array([0.9, 0.1]), ("pop", "rock"))
    rows = [GenreTask.score(prediction, track(i, Genre(g))) for i, g in enumerate(("pop", "jazz"))]
    evidence = {name: np.array([[row[name] for row in rows]]) for name in rows[0]}
    metrics = once(evidence, GenreTask.summarise)
    assert metrics["accuracy"][0] == 0.5
    assert metrics["macro_f1"][0] == pytest.approx((2 / 3 + 0) / 2)
    assert GenreTask.confusion(evidence, 2).tolist() == [[1, 0], [0, 0]]
    [remark] = GenreTask.remarks(evidence)
    assert remark.startswith("1 test tracks are of a class the train split lacks")


def test_confusion_by_hand():
    evidence = {"true": np.array([[0.0, 1, 1]]), "predicted": np.array([[0.0, 1, 0]])}
    assert GenreTask.confusion(evidence, 2).tolist() == [[1, 0], [0.5, 0.5]]
    metrics = once(evidence, GenreTask.summarise)
    assert metrics["accuracy"][0] == pytest.approx(2 / 3)
    assert metrics["macro_f1"][0] == pytest.approx(2 / 3)


def test_what_nobody_knows_is_neither_learned_nor_scored():
    tracks = [
        track(0, Instruments(frozenset({"flute"}), frozenset({"piano"}))),
        track(1, Instruments(frozenset({"piano"}))),
    ]
    one = task(InstrumentsTask, tracks)
    assert one.names == ("flute", "piano")
    assert np.isnan(one.target(tracks[0], one.names)).tolist() == [False, True]
    outputs = torch.zeros(2, 2, 2, requires_grad=True)
    loss = one.loss(one.typed_probes[0], outputs, batch(one, tracks))
    assert loss.item() == pytest.approx(np.log(2))
    loss.backward()
    assert outputs.grad[0, :, 1].tolist() == [0, 0], "no gradient where nobody knows"
    assert (outputs.grad[1] != 0).all()
    values = ClipPrediction(np.array([0.8, 0.3]), one.names)
    assert np.isnan(InstrumentsTask.score(values, tracks[0])["true/piano"])


def test_tags_without_positives_are_left_out_and_named():
    names = ("calm", "loud", "rare")
    tracks = [track(i, Tags(frozenset({"calm"} if i % 2 else {"loud"}))) for i in range(6)]
    rows = [
        TaggingTask.score(ClipPrediction(np.array([i % 2, 0.5, 0.1]), names), t)
        for i, t in enumerate(tracks)
    ]
    evidence = {name: np.array([[row[name] for row in rows]]) for name in rows[0]}
    metrics = once(evidence, TaggingTask.summarise)
    assert metrics["classes"][0] == 2
    assert metrics["roc_auc/calm"][0] == 1
    assert metrics["roc_auc"][0] == pytest.approx(0.75)
    assert np.isnan(metrics["roc_auc/rare"][0])
    assert np.isnan(metrics["average_precision/rare"][0])
    [remark] = TaggingTask.remarks(evidence)
    assert remark.endswith(": rare")


def test_areas_are_those_of_each_fold_averaged():
    """Two folds that rank perfectly, one with all its scores below the other's."""
    evidence = {
        "true/calm": np.array([[0.0, 1, 0, 1]]),
        "score/calm": np.array([[0.1, 0.2, 0.8, 0.9]]),
    }
    assert once(evidence, TaggingTask.summarise)["roc_auc"][0] == 0.75
    evidence["fold"] = np.array([[0.0, 0, 1, 1]])
    assert once(evidence, TaggingTask.summarise)["roc_auc"][0] == 1


def test_emotion_is_learned_in_deviations_and_predicted_in_its_own_scale():
    tracks = [track(i, Emotion(valence=0.1 * i, arousal=-0.2 * i)) for i in range(5)]
    one = task(EmotionTask, tracks)
    centre = one.decoder(one.typed_probes[0])(np.zeros((3, 2), np.float32), tracks[0])
    assert centre.names == ("arousal", "valence")
    np.testing.assert_allclose(centre.values, [-0.4, 0.2], atol=1e-6)
    loss = one.loss(one.typed_probes[0], torch.zeros(5, 2, 2), batch(one, tracks))
    assert loss.item() == pytest.approx(1, abs=1e-5)
    rows = [EmotionTask.score(ClipPrediction(one.target(t, one.names), one.names), t)
            for t in tracks]  # fmt: skip
    evidence = {name: np.array([[row[name] for row in rows]]) for name in rows[0]}
    metrics = once(evidence, EmotionTask.summarise)
    assert all(metrics[name][0] == pytest.approx(1) for name in metrics)
    assert metrics.keys() >= EmotionTask.headline.keys()


def test_floor_draws_classes_as_often_as_they_stand_in_training():
    floor = Prior(GenreTask)
    floor.fit(GENRES)
    drawn = [
        floor.names[floor.predict(track(i, Genre("pop")), 0).values.argmax()] for i in range(300)
    ]
    assert 0.58 < np.mean(np.array(drawn) == "rock") < 0.75
    assert [floor.predict(track(i), 1).values.argmax() for i in range(300)] != drawn
    moods = Prior(TaggingTask)
    moods.fit([track(0, Tags(frozenset({"a", "b"}))), track(1, Tags(frozenset({"a"})))])
    assert moods.predict(track(2), 0).values.tolist() == [1, 0.5]


def test_neighbours_by_hand():
    known = np.array([[1.0, 0], [0, 1], [-1, 0]])
    targets = np.array([[1.0, np.nan], [0, 1], [0, 0]])
    found = neighbours_say(known, targets, np.array([[1.0, 0]]))
    # cosines 1, 0 and -1: the second and third have next to no weight
    assert found[0, 0] == pytest.approx(1, abs=1e-5)
    assert found[0, 1] == pytest.approx(0.5, abs=0.01), "where the nearest is unknown, the next say"
    assert neighbours_say(known, np.full((3, 1), 0.25), known).tolist() == [[0.25]] * 3


def test_a_train_split_without_any_tag_is_one_clear_error():
    with pytest.raises(DatasetError, match="no training track has anything for tagging"):
        task(TaggingTask, [track(0, Tags(frozenset()))])


def test_moods_and_tags_are_tasks_of_their_own():
    calm = track(0, Moods(frozenset({"calm"})))
    with pytest.raises(DatasetError):
        TaggingTask.target(calm, ("calm",))
