"""Baseline, upper bound and dedicated system of the beat table."""

from collections.abc import Sequence

import numpy as np

from motionbeat.audio import load_audio, resample
from motionbeat.data_modules.base import Beats, Track
from motionbeat.tasks.contract import Baseline
from motionbeat.tasks.decoders import (
    BeatEstimate,
    BeatPrediction,
    decode,
    interval_tempo,
)
from motionbeat.tasks.madmom import MADMOM_SAMPLE_RATE, madmom_beats

ORACLE_RATE = 50.0


class Chance(Baseline):
    """A regular grid at the median tempo of the training split, random phase, four beats a bar."""

    name = "chance"
    kind = "baseline"

    def fit(self, tracks: Sequence[Track]) -> None:
        """Take the median tempo over the tracks."""
        self.tempo = float(np.nanmedian([interval_tempo(t.get(Beats).times) for t in tracks]))

    def predict(self, track: Track, seed: int) -> BeatPrediction:
        """A grid over the track; the phase depends on the seed and the track id."""
        rng = np.random.default_rng([seed, *track.id.encode()])
        period = 60 / self.tempo
        beats = np.arange(rng.random() * period, track.duration, period)
        estimate = BeatEstimate(beats, beats[rng.integers(4) :: 4], self.tempo)
        return BeatPrediction(*estimate, dbn=estimate)


class Oracle(Baseline):
    """The annotations as activations at 50 Hz: the upper bound of the decoders."""

    name = "oracle"
    kind = "upper bound"

    def predict(self, track: Track, seed: int) -> BeatPrediction:
        """Decode the annotated beats of the track."""
        beats = track.get(Beats)
        activations = np.zeros((int(track.duration * ORACLE_RATE) + 1, 2))
        for column, times in enumerate((beats.times, beats.downbeats)):
            if times is not None:
                frames = np.round(times * ORACLE_RATE).astype(int)
                activations[frames[frames < len(activations)], column] = 1
        return decode(activations, ORACLE_RATE, (0.5, 0.5))


class Madmom(Baseline):
    """madmom's recurrent networks with its dynamic Bayesian network, a dedicated system.

    Its networks were trained on common beat tracking datasets.
    """

    name = "madmom"
    kind = "dedicated"
    revision = "0.17"
    licence = "CC BY-NC-SA 4.0"

    def predict(self, track: Track, seed: int) -> BeatPrediction:
        """Beats by madmom's own decoder, which is reported for both decoders of the table."""
        waveform = resample(*load_audio(track.audio_path), MADMOM_SAMPLE_RATE)
        estimate = madmom_beats(waveform)
        return BeatPrediction(*estimate, dbn=estimate)
