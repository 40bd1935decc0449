"""Tasks as plain LightningModules, in a Trainer of one's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger
from tests.clicks import Clicks
from tests.toys import Tiny, Tones, shaped

from motionbeat.audio import load_audio, resample
from motionbeat.data_modules.base import Batch, Beats, Clips, Example, Tempo, Track, collate
from motionbeat.encoding import encode
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.beat_tracking import BeatTracking
from motionbeat.tasks.emotion import EmotionRegression
from motionbeat.tasks.front_end import FrontEnd
from motionbeat.tasks.genre import GenreClassification

TINY = "tests.toys:Tiny"
TASKS = [(BeatTracking, Clicks), (GenreClassification, Tones), (EmotionRegression, Tones)]


def trainer_in(folder, **options):
    return Trainer(
        accelerator="cpu",
        devices=1,
        default_root_dir=folder,
        logger=CSVLogger(folder, name="log"),
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 2, "log_every_n_steps": 1} | options,
    )


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize(("kind", "dataset"), TASKS, ids=lambda one: getattr(one, "name", ""))
def test_fit_validate_test_predict_save_and_load(kind, dataset, embedded, tmp_path):
    """Clicks are loaded by processes of their own."""
    workers = 2 if dataset is Clicks else 0
    data = dataset(cache=tmp_path / "data", num_workers=workers, clip_seconds=2.0)
    data.prepare_data()
    if embedded:
        data = data.embedded(Tiny(), cache=tmp_path / "embeddings")
    task = kind(TINY, "mlp", learning_rate=0.01)
    trainer = trainer_in(tmp_path)
    trainer.fit(task, datamodule=data)
    log = pd.read_csv(Path(trainer.logger.log_dir) / "metrics.csv")
    assert {"train/loss", task.monitor} <= set(log.columns)
    [validated] = trainer.validate(task, datamodule=data, verbose=False)
    assert validated[task.monitor] == pytest.approx(log[task.monitor].dropna().iloc[-1], abs=1e-6)
    [tested] = trainer.test(task, datamodule=data, verbose=False)
    assert set(tested) >= {f"test/{metric}" for metric in task.headline}
    predictions = [one for batch in trainer.predict(task, datamodule=data) for one in batch]
    scores = kind.score_all(predictions, data.tracks("test"))
    pd.testing.assert_frame_equal(pd.DataFrame(scores), pd.DataFrame(task.test_scores))
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    loaded = kind.load_from_checkpoint(tmp_path / "task.ckpt")
    assert trainer.test(loaded, datamodule=data, verbose=False) == [tested]
    path = data.tracks("test")[0].audio_path
    again = kind.load_from_checkpoint(tmp_path / "task.ckpt")
    assert str(loaded.predict(path)) == str(again.predict(path))


@pytest.fixture
def clicks(clicks):
    """Clicks at the sample rate of the encoder."""
    return Clicks(cache=clicks.cache, sample_rate=Tiny.card.sample_rate)


def test_features_of_audio_are_those_that_are_stored(clicks, tmp_path):
    """A task that hears audio and one that is given features come to the same outputs."""
    task = BeatTracking(TINY)
    task.prepare(clicks.tracks("train"))
    stored = clicks.embedded(TINY, cache=tmp_path)
    task.front_end.gather_statistics(stored.train_dataloader())
    task.eval()
    with torch.no_grad():
        for heard, read in zip(clicks.test_dataloader(), stored.test_dataloader(), strict=True):
            (one, mask), (other, other_mask) = task(heard), task(read)
            assert torch.equal(mask, other_mask)
            torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-3)


def test_slow_frames_of_audio_are_interpolated_to_the_steps_of_a_task(clicks):
    """A dance has 30 steps a second, and some encoders fewer frames."""
    batch = next(iter(clicks.test_dataloader()))
    (own, mask), (steps, steps_mask) = (
        FrontEnd(Tiny(), target_rate=rate).features(batch) for rate in (None, 30.0)
    )
    assert torch.equal(steps_mask[:, ::3], mask)
    torch.testing.assert_close(steps[:, ::3], own)
    torch.testing.assert_close(steps[:, 1:-3:3], own[:, :-1].lerp(own[:, 1:], 1 / 3))


@pytest.mark.parametrize("embedded", [False, True])
def test_statistics_are_those_of_the_whole_split(clicks, tmp_path, embedded):
    front_end = BeatTracking(TINY).front_end
    data = clicks.embedded(TINY, cache=tmp_path, clip_seconds=1.3) if embedded else clicks
    front_end.gather_statistics(data.train_dataloader())
    waveforms = [
        resample(*load_audio(track.audio_path), Tiny.card.sample_rate)
        for track in clicks.tracks("train")
    ]
    whole = np.concatenate([encode(Tiny(), one) for one in waveforms]).astype(np.float64)
    np.testing.assert_allclose(front_end.feature_mean, whole.mean(axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(front_end.feature_std, whole.std(axis=0), rtol=1e-3, atol=1e-4)


def test_constant_features_are_centred_but_not_blown_up():
    front_end = BeatTracking(shaped(10.0)).front_end
    batch = collate([Example(None, 0.0, torch.full((4, 1, 3), 7.0))], 10.0)
    front_end.gather_statistics([batch])
    assert (front_end.feature_std == 1).all()
    assert front_end(batch)[0].eq(0).all()


def test_a_task_without_a_head_says_so(clicks, tmp_path):
    with pytest.raises(RuntimeError, match="no head yet; fit it or load a checkpoint"):
        BeatTracking(TINY).predict(clicks.tracks("test")[0].audio_path)
    with pytest.raises(ValueError, match="beat has no head 'knn'; choose from linear, mlp"):
        BeatTracking(TINY, "knn")
    with pytest.raises(MotionBeatError, match=r"call trainer\.fit"):
        trainer_in(tmp_path).fit(
            BeatTracking(TINY), clicks.train_dataloader(), clicks.val_dataloader()
        )


def numbers(track, start, stop):
    return torch.arange(start, stop, dtype=torch.float16)[:, None, None]


def test_clips_cover_every_step_once_and_are_padded_at_the_end():
    clips = Clips(["a", "b"], [5, 3], 2.0, numbers, clip=3)
    batch = collate([clips[index] for index in range(len(clips))], 2.0)
    assert batch.tracks == ["a", "a", "b"]
    assert batch.start.tolist() == [0, 1.5, 0]
    assert batch.mask.tolist() == [[True] * 3, [True, True, False], [True] * 3]
    assert batch.features[batch.mask].flatten().tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert [len(example.values) for example in map(clips.whole().__getitem__, (0, 1))] == [5, 3]
    overlapping = Clips(["a", "b"], [6, 3], 2.0, numbers, clip=4, stride=1)
    assert [part for _, *part in overlapping.clips] == [[0, 4], [1, 5], [2, 6], [0, 3]]


def test_batches_move_and_meet_in_full_precision():
    rows = [torch.ones(2, 1, 1, dtype=torch.float16), torch.full((2, 1, 1), 1e6)]
    batch = collate([Example("a", 0.0, row) for row in rows], 2.0)
    assert batch.features.flatten().tolist() == [1, 1, 1e6, 1e6]
    moved = batch.to("meta")
    assert {moved.features.device.type, moved.mask.device.type} == {"meta"}
    assert moved.start.device.type == "cpu", "it is read on the host"


def test_targets_of_a_clip_are_those_of_its_part_of_the_track():
    task = BeatTracking(shaped(10.0))
    track = Track("a", Path(), 12.0, "a", (Beats(np.array([1.0, 5.0, 6.2])),))
    batch = Batch(None, None, torch.ones(2, 30), [track, track], torch.tensor([0.0, 4.0]), 10.0)
    beats = task.targets(batch, 30)["beats"][..., 0]
    assert [row.nonzero().flatten().tolist() for row in beats] == [[10], [10, 22]]


def test_the_order_of_clips_follows_from_the_seed_and_the_epoch_alone(clicks, tmp_path):
    def order(seed, epoch):
        data = clicks.embedded(TINY, cache=tmp_path, shuffle_seed=seed, clip_seconds=2.0)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return list(loader.sampler)

    assert sorted(order(0, 0)) == list(range(len(order(0, 0))))
    assert order(0, 1) == order(0, 1) != order(0, 0) != order(1, 0)


def test_predicted_tracks_carry_what_is_visible_alone(clicks, tmp_path):
    for data, visible in (
        (clicks, []),
        (clicks.embedded(TINY, cache=tmp_path, visible=(Tempo,)), [Tempo]),
    ):
        for batch in data.predict_dataloader():
            assert [type(one) for one in batch.tracks[0].annotations] == visible


def test_decoders_see_no_annotation_in_test_steps_either(clicks, tmp_path):
    seen = []

    class Watched(BeatTracking):
        def decode(self, outputs, track):
            seen.append(track.annotations)
            return super().decode(outputs, track)

    task = Watched(TINY)
    task.prepare(clicks.tracks("train"))
    trainer_in(tmp_path).test(task, datamodule=clicks.embedded(TINY, cache=tmp_path))
    assert seen == [(), (), ()]


DDP = """
import json, sys
from pathlib import Path
from lightning import Trainer
from tests.toys import Tones
from motionbeat.tasks.genre import GenreClassification

folder = Path(sys.argv[1])
data = Tones(cache=folder / "data").embedded("tests.toys:Tiny", cache=folder / "embeddings")
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, max_epochs=2,
                  enable_progress_bar=False, enable_checkpointing=False)
trainer.fit(GenreClassification("tests.toys:Tiny"), datamodule=data)
task = GenreClassification.load_from_checkpoint(folder / "task.ckpt")
[found] = trainer.test(task, datamodule=data, verbose=False)
if trainer.is_global_zero:
    (folder / "found.json").write_text(json.dumps([trainer.world_size, found, task.test_scores]))
"""


def test_two_processes_come_to_the_scores_of_one(tmp_path):
    module = Tones(cache=tmp_path / "data")
    data = module.embedded(TINY, cache=tmp_path / "embeddings", batch_size=3)
    task = GenreClassification(TINY, learning_rate=0.01)
    trainer = trainer_in(tmp_path, max_epochs=5)
    trainer.fit(task, datamodule=data)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    [expected] = trainer.test(task, datamodule=data, verbose=False)
    (tmp_path / "script.py").write_text(DDP)
    ended = subprocess.run(
        [sys.executable, tmp_path / "script.py", tmp_path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    processes, found, scores = json.loads((tmp_path / "found.json").read_text())
    assert processes == 2
    assert found == pytest.approx(expected, abs=1e-6)
    assert scores == task.test_scores
