from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conftest import alter
from tests.toys import HOP, RATE, Listening, Tiny

from motionbeat.audio import load_audio, resample
from motionbeat.data_modules.base import DatasetError
from motionbeat.encoding import encode
from motionbeat.features import resample_frames, segment_means


def batches(data):
    return {batch.tracks[0].id: batch for batch in data.test_dataloader()}


def test_frames_segments_and_other_rates_are_those_of_the_encoder(clicks, tmp_path):
    rate = RATE / HOP
    frames, segments, slower = (
        batches(clicks.embedded(Tiny(), cache=tmp_path, batch_size=1, **options))
        for options in ({}, {"segment_seconds": 4.0}, {"frame_rate": 4.0})
    )
    for track in clicks.tracks("test"):
        own = torch.from_numpy(encode(Tiny(), resample(*load_audio(track.audio_path), RATE)))
        stored = own.half()
        for batch, expected, hertz in (
            (frames, stored, rate),
            (segments, segment_means(stored, rate, 4.0).half(), rate / 40),
            (slower, resample_frames(stored.float(), rate, 4.0).half(), 4.0),
        ):
            found = batch[track.id]
            torch.testing.assert_close(found.features[0], expected, rtol=2e-3, atol=1e-3)
            assert found.frame_rate == pytest.approx(hertz)
            assert found.mask.all()


def test_what_is_stored_is_not_encoded_again(clicks, tmp_path):
    encoder = Listening()
    clicks.embedded(encoder, cache=tmp_path).prepare_data()
    assert encoder.asked == 9
    data = clicks.embedded(encoder, cache=tmp_path, segment_seconds=2.0)
    data.prepare_data()
    assert next(iter(data.train_dataloader())).features.ndim == 4
    assert encoder.asked == 9


def test_training_clips_overlap_where_they_shall(clicks, tmp_path):
    data = clicks.embedded(Tiny(), cache=tmp_path, clip_seconds=2.0, stride_seconds=0.5)
    starts = np.concatenate([batch.start for batch in data.train_dataloader()])
    assert set(np.diff(np.unique(starts)).round(6)) == {0.5}
    assert all(batch.features.shape[1] == 20 for batch in data.train_dataloader())


def test_audio_that_was_cut_off_is_named(clicks, tmp_path, monkeypatch):
    alter(monkeypatch, type(clicks), lambda track, _: replace(track, duration=14.0))
    with pytest.raises(DatasetError, match=r"cut off after 12.10 s of 14.00 s"):
        clicks.embedded(Tiny(), cache=tmp_path).prepare_data()
