"""Toys that meet the contracts: an encoder, a dataset of tones, and tasks on whole clips."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import soundfile
import torch
from torch.nn import functional

from motionbeat.benchmarks.store import EmbeddingStore, extract
from motionbeat.data_modules.base import (
    Beats,
    DataModule,
    DatasetCard,
    Emotion,
    Genre,
    Split,
    Track,
)
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.tasks.base import Reference, Task
from motionbeat.tasks.probe import Probe

RATE = 8000
HOP = 800


def card(name="tiny", **changes):
    facts = {
        "revision": "1",
        "sample_rate": RATE,
        "frame_rate": RATE / HOP,
        "layers": 2,
        "width": 6,
        "parameters": 0,
        "licence": "none",
        "training_data": (),
        "source": "tests",
    }
    return EncoderCard(name=name, **(facts | changes))


class Tiny(Encoder):
    """Six bands of the spectrum around each frame, as logarithms and as they are."""

    card = card()
    context = 0.1

    def forward(self, waveform):
        padded = functional.pad(waveform, (HOP // 2, HOP // 2))
        padded = functional.pad(padded, (0, max(0, HOP - padded.shape[1])))
        frames = torch.fft.rfft(padded.unfold(1, HOP, HOP)).abs()[..., 1:25]
        bands = frames.unflatten(-1, (6, 4)).mean(dim=-1)
        return torch.stack([torch.log1p(bands), bands / HOP], dim=1)


class Listening(Tiny):
    """Counts how often it is asked."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def forward(self, waveform):
        self.asked += 1
        return super().forward(waveform)


def fill(root: Path, tracks: list[Track]) -> None:
    """Fill a store; what a second process does in the tests."""
    extract([Tiny()], tracks, EmbeddingStore(root), None, lambda _: None)


def write_noise(path: Path, seconds: float, rate: int = RATE, seed: int = 0) -> Track:
    """A track of noise that says nothing of its content."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate))
    soundfile.write(path, samples, rate)
    return Track(path.stem, path, seconds, path.stem)


class Tones(DataModule):
    """Tones whose pitch is their genre and arousal and whose loudness is their valence."""

    card = DatasetCard(
        name="tones",
        revision="1",
        annotations=(Genre, Emotion),
        licence="Apache-2.0",
        citation="none",
        size="36 tracks",
        how_to_get="made by the tests",
    )
    genres = ("low", "middle", "high")

    def prepare_data(self):
        for split in ("train", "validation", "test"):
            for track in self.tracks(split):
                track.audio_path.parent.mkdir(parents=True, exist_ok=True)
                emotion = track.get(Emotion)
                frequency, height = 100 + 100 * emotion.arousal, 0.1 + 0.8 * emotion.valence
                times = np.arange(round(track.duration * RATE)) / RATE
                soundfile.write(
                    track.audio_path, height * np.sin(2 * np.pi * frequency * times), RATE
                )

    def tracks(self, split: Split) -> list[Track]:
        sizes = {"train": 18, "validation": 6, "test": 12}
        seed = list(sizes).index(split)
        rng = np.random.default_rng(seed)
        tracks = []
        for index in range(sizes[split]):
            name = f"{split}{index:02d}"
            kind = index % 3
            emotion = Emotion(rng.uniform(0, 1), (kind + rng.uniform(0.2, 0.8)) / 3)
            path = self.cache / "tones" / f"{name}.wav"
            annotations = (Genre(self.genres[kind]), emotion)
            tracks.append(Track(name, path, 1.0 + 0.25 * (index % 4), name, annotations))
        return tracks


class Guess(Reference):
    """The most common answer."""

    name = "guess"
    kind = "floor"

    def predict(self, track, seed):
        return "low"


class BestClass(NamedTuple):
    """The class with the largest mean logit."""

    classes: list[str]

    def __call__(self, outputs, track):
        return self.classes[outputs.mean(axis=0).argmax()]


class ToyGenre(Task):
    """One class for a whole clip."""

    name = "toy_genre"
    version = 1
    needs = (Genre,)
    primary = "accuracy"
    headline: ClassVar = {"accuracy": "accuracy", "macro_f1": "macro F1"}
    monitor = "val/accuracy"
    pooling = 0.5
    window = 10.0
    batch_size = 6
    max_steps = 120
    check_every = 30

    def prepare(self, tracks):
        self.classes = sorted({track.get(Genre).name for track in tracks})

    def configure_probe(self, layers, width, kind, seed):
        return Probe(layers, width, len(self.classes), kind == "mlp", seed)

    def targets(self, track, steps):
        return {"class": torch.full((steps,), self.classes.index(track.get(Genre).name))}

    def loss(self, probe, outputs, batch):
        return functional.cross_entropy(outputs[batch.mask], batch.targets["class"][batch.mask])

    def validate(self, probe, outputs, tracks):
        decode = self.decoder(probe)
        pairs = zip(outputs, tracks, strict=True)
        return np.mean([decode(one, track) == track.get(Genre).name for one, track in pairs])

    def decoder(self, probe):
        return BestClass(self.classes)

    @classmethod
    def score(cls, prediction, track):
        number = Tones.genres.index
        return {"predicted": number(prediction), "true": number(track.get(Genre).name)}

    @classmethod
    def summarise(cls, evidence, weights):
        predicted, true = evidence["predicted"], evidence["true"]
        f1 = []
        for number in range(len(Tones.genres)):
            both = ((predicted == number) & (true == number)) @ weights.T
            either = (predicted == number) @ weights.T + (true == number) @ weights.T
            f1.append(2 * both / np.maximum(either, 1))
        accuracy = (predicted == true) @ weights.T / weights.sum(axis=-1)
        return {"accuracy": accuracy, "macro_f1": np.mean(f1, axis=0)}

    @classmethod
    def references(cls):
        return (Guess(),)


def mean_point(outputs, track):
    """Valence and arousal, averaged over the steps."""
    return outputs.mean(axis=0)


class ToyEmotion(Task):
    """Two numbers for a whole clip; the monitor is an error, so it shall be small."""

    name = "toy_emotion"
    version = 1
    needs = (Emotion,)
    primary = "arousal_r2"
    headline: ClassVar = {"arousal_r2": "R² arousal", "valence_r2": "R² valence"}
    monitor = "val/error"
    mode = "min"
    pooling = 0.5
    window = 10.0
    batch_size = 6
    max_steps = 120
    check_every = 40

    def configure_probe(self, layers, width, kind, seed):
        return Probe(layers, width, 2, kind == "mlp", seed)

    def targets(self, track, steps):
        emotion = track.get(Emotion)
        return {"point": torch.tensor([emotion.valence, emotion.arousal]).expand(steps, 2)}

    def loss(self, probe, outputs, batch):
        return functional.mse_loss(outputs[batch.mask], batch.targets["point"][batch.mask])

    def validate(self, probe, outputs, tracks):
        emotions = [track.get(Emotion) for track in tracks]
        true = np.array([(emotion.valence, emotion.arousal) for emotion in emotions])
        points = [mean_point(one, track) for one, track in zip(outputs, tracks, strict=True)]
        return float(np.mean((points - true) ** 2))

    def decoder(self, probe):
        return mean_point

    @classmethod
    def score(cls, prediction, track):
        true = track.get(Emotion)
        valence, arousal = map(float, prediction)
        return {
            "valence_predicted": valence,
            "valence_true": true.valence,
            "arousal_predicted": arousal,
            "arousal_true": true.arousal,
        }

    @classmethod
    def summarise(cls, evidence, weights):
        metrics = {}
        share = weights.T / weights.sum(axis=-1)
        for axis in ("valence", "arousal"):
            true, predicted = evidence[f"{axis}_true"], evidence[f"{axis}_predicted"]
            error = (true - predicted) ** 2 @ share
            metrics[f"{axis}_r2"] = 1 - error / (true**2 @ share - (true @ share) ** 2)
        return metrics


class TowerProbe(Probe):
    """A projection of the features, and a tower for what they shall be matched with."""

    def __init__(self, layers, width, hidden, seed):
        super().__init__(layers, width, 4, hidden, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.tower = torch.nn.Sequential(
                torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)
            )


def both_embeddings(outputs, track):
    """Embedding of the audio and of what belongs to it, averaged over the steps."""
    return outputs.mean(axis=0).reshape(2, 4)


class ToyMatching(Task):
    """Which point on the plane of emotions belongs to a clip? Two towers, trained by contrast."""

    name = "toy_matching"
    version = 1
    needs = (Emotion,)
    shown = (Emotion,)
    probes = ("towers",)
    primary = "reciprocal_rank"
    headline: ClassVar = {"reciprocal_rank": "MRR"}
    monitor = "val/reciprocal_rank"
    pooling = 10.0
    window = 10.0
    batch_size = 18
    max_steps = 200
    check_every = 50

    def configure_probe(self, layers, width, kind, seed):
        return TowerProbe(layers, width, False, seed)

    def inputs(self, track, steps):
        emotion = track.get(Emotion)
        return {"point": torch.tensor([emotion.valence, emotion.arousal]).expand(steps, 2)}

    def targets(self, track, steps):
        return {}

    def output(self, probe, mixed, batch):
        towers = probe(mixed), probe.tower(batch.inputs["point"])
        return torch.cat([functional.normalize(one, dim=-1) for one in towers], dim=-1)

    def loss(self, probe, outputs, batch):
        audio, point = outputs[batch.mask].chunk(2, dim=-1)
        return functional.cross_entropy(audio @ point.T / 0.1, torch.arange(len(audio)))

    def validate(self, probe, outputs, tracks):
        scores = self.score_split(
            [both_embeddings(*one) for one in zip(outputs, tracks, strict=True)], tracks
        )
        return np.mean([score["reciprocal_rank"] for score in scores])

    def decoder(self, probe):
        return both_embeddings

    @classmethod
    def score_split(cls, predictions, tracks):
        audio, points = np.stack(predictions, axis=1)
        similarity = audio @ points.T
        ranks = np.sum(similarity >= np.diag(similarity)[:, None], axis=1)
        return [{"reciprocal_rank": 1 / rank} for rank in ranks]


class FoldedTones(Tones):
    """The tones of all splits gone through in three folds."""

    card = replace(Tones.card, name="folded_tones")
    folds = 3

    def __init__(self, cache: Path, data: Path | None = None, *, fold: int = 0) -> None:
        super().__init__(cache, data)
        self.fold = fold

    def tracks(self, split: Split) -> list[Track]:
        every = [
            t
            for part in ("train", "validation", "test")
            for t in super(FoldedTones, self).tracks(part)
        ]
        place = {"test": 0, "validation": 1, "train": 2}[split]
        return [t for i, t in enumerate(every) if (i // 3 - self.fold) % self.folds == place]

    def prepare_data(self):
        Tones(self.cache).prepare_data()


class Both(Tones):
    """Tones with beats, so that a task on frames can be asked of them too."""

    card = replace(Tones.card, name="both", annotations=(*Tones.card.annotations, Beats))

    def tracks(self, split: Split) -> list[Track]:
        beats = Beats(np.arange(0.1, 0.9, 0.2))
        return [replace(t, annotations=(*t.annotations, beats)) for t in super().tracks(split)]


class Learner(Tiny):
    """The bands sent through one layer of each kind that can be adapted, and one that cannot."""

    card = card("learner", width=8, layers=1, parameters=600)

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.linear = torch.nn.Linear(12, 8)
            self.attention = torch.nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
            self.pointwise = torch.nn.Conv1d(8, 8, 1)
            self.wide = torch.nn.Conv1d(8, 8, 3, padding=1)
        self.eval().requires_grad_(False)

    def forward(self, waveform):
        bands = super().forward(waveform).movedim(1, 2).flatten(2)
        states = self.linear(bands)
        states = states + self.attention(states, states, states, need_weights=False)[0]
        return self.wide(self.pointwise(states.mT).relu()).mT[:, None]


class Stiff(Tiny):
    """One weight, in no layer."""

    card = card("stiff", parameters=1)

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
