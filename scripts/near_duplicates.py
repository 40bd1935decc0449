"""Which recordings of datasets are the same music?

    python scripts/near_duplicates.py --datasets game_music,free_music

cuts recordings into fragments of 30 s and looks for each of them at every moment of every other
recording, at several speeds and transpositions, by the cosine similarity of chroma over time. The
similarity of two recordings is the median over the fragments of one, the larger of both ways round.
Deformed copies of some recordings say what to expect of copies, all pairs what to expect by chance.
The table ``near_duplicates.csv`` has the most similar pairs, and the copies with their originals.
Chroma are kept in the cache.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from torch import Tensor
from torch.nn import functional

from motionbeat.audio import Waveform, load_audio, resample
from motionbeat.benchmarks.deformations import amplify, change_tempo, compress
from motionbeat.benchmarks.digests import file_digest
from motionbeat.benchmarks.evaluator import Folders
from motionbeat.cache import default_cache, digest
from motionbeat.console import bar, say
from motionbeat.data_modules.base import SPLITS, Track
from motionbeat.encoding import encode, make_encoder
from motionbeat.files import replacing, write_atomically

FRAME_RATE = 2.0
"""Chroma vectors a second, in Hz."""

FRAGMENT_SECONDS = 30.0
THRESHOLD = 0.5
"""Similarity from which two recordings count as the same music; copies have .6 and more, and of
42,195 pairs of ``game_music`` and ``free_music`` 99.9 % have less than .43."""

LISTED = 100
"""Rows of each kind that are written: the most similar ones."""

COLUMNS = ["track", "other", "kind", "similarity"]

_PITCH_CLASSES = slice(40, 52)  # of the encoder mfcc_chroma
_FORMAT = 1  # changes whenever the chroma of the same recording change
_LENGTH = round(FRAGMENT_SECONDS * FRAME_RATE)


class Change(NamedTuple):
    """A speed relative to the original, and a transposition in semitones."""

    speed: float
    semitones: int


CHANGES = (
    *(Change(1.03**step, 0) for step in range(-5, 6)),
    *(Change(2 ** (semitones / 12), semitones) for semitones in (-2, -1, 1, 2)),
)
"""What is tried: other tempi, and other speeds of playback."""


def chroma(waveform: Waveform, rate: int) -> Tensor:
    """Pitch-class energies (frames, 12) at ``FRAME_RATE`` of a recording (samples,)."""
    encoder = make_encoder("mfcc_chroma")
    frames = encode(encoder, resample(waveform, rate, encoder.card.sample_rate))[:, 0]
    together = round(encoder.card.frame_rate / FRAME_RATE)
    whole = len(frames) // together * together
    classes = frames[:whole, _PITCH_CLASSES].reshape(-1, together, 12)
    return torch.from_numpy(classes.mean(axis=1))


def kept_chroma(path: Path, cache: Path) -> Tensor:
    """Chroma (frames, 12) of the recording in a file, from the cache or computed and stored."""
    stored = cache / "chroma" / f"{digest(format=_FORMAT, audio=file_digest(path))}.npy"
    if not stored.is_file():
        with replacing(stored) as unfinished, unfinished.open("wb") as file:
            np.save(file, chroma(*load_audio(path)).numpy())
    return torch.from_numpy(np.load(stored))


def windows(chroma: Tensor, step: int = 1) -> Tensor:
    """Stretches of ``FRAGMENT_SECONDS`` of (frames, 12), (n, 12 x frames) of mean 0 and norm 1.

    The mean over time of each pitch class is taken off, so that the same key is no similarity.
    """
    if len(chroma) < _LENGTH:
        return torch.zeros(0, 12 * _LENGTH)
    cut = chroma.unfold(0, _LENGTH, step)
    return functional.normalize((cut - cut.mean(dim=-1, keepdim=True)).flatten(1), dim=-1)


def fragments(chroma: Tensor, change: Change) -> Tensor:
    """Consecutive windows of (frames, 12) as they would be after a change."""
    length = round(len(chroma) / change.speed)
    moved = functional.interpolate(chroma.T[None], length, mode="linear", align_corners=False)
    return windows(moved[0].T.roll(change.semitones, dims=1), step=_LENGTH)


def similarities(sought: Mapping[str, Tensor], among: Mapping[str, Tensor]) -> pd.DataFrame:
    """Similarity of chroma (frames, 12) by name: rows are sought among columns.

    NaN where the one sought is shorter than a fragment, or the other one is.
    """
    table = np.full((len(sought), len(among)), np.nan, np.float32)
    everywhere = [windows(one) for one in among.values()]
    for change in CHANGES:
        cut = [fragments(one, change) for one in sought.values()]
        owners = np.repeat(np.arange(len(cut)), [len(one) for one in cut])
        stack = torch.cat(cut)
        best = np.full((len(stack), len(everywhere)), np.nan, np.float32)
        for column, places in enumerate(everywhere):
            if len(places) and len(stack):
                best[:, column] = (stack @ places.T).amax(dim=1).numpy()
        for row in np.unique(owners):
            table[row] = np.fmax(table[row], np.median(best[owners == row], axis=0))
    return pd.DataFrame(table, list(sought), list(among))


def similar(known: Mapping[str, Tensor]) -> "pd.Series[float]":
    """The similarity of each pair of recordings, the larger of both ways round."""
    table = similarities(known, known)
    names = list(known)
    both = np.fmax(table.to_numpy(), table.to_numpy().T)
    pairs = {
        (names[row], names[column]): float(both[row, column])
        for row, column in zip(*np.triu_indices(len(names), 1), strict=True)
    }
    return pd.Series(pairs).dropna()


def _played(waveform: Waveform, rate: int, speed: float, rng: np.random.Generator) -> Waveform:
    """Play it faster, which raises the pitch."""
    return resample(waveform, round(rate * speed), rate)


COPIES: dict[str, Callable[[Waveform, int], Waveform]] = {
    name: partial(change, **{option: strength}, rng=np.random.default_rng(0))
    for name, change, option, strength in (
        ("mp3 40 kbps", compress, "kbps", 40),
        ("gain -24 dB", amplify, "gain", -24),
        ("tempo 1.05 x", change_tempo, "factor", 1.05),
        ("tempo 0.9 x", change_tempo, "factor", 0.9),
        ("speed 1.06 x", _played, "speed", 1.06),
        ("speed 1.03 x", _played, "speed", 1.03),
    )
}
"""Deformed copies, of which the start is cut off as well."""

CUT = 5.3
"""Seconds cut off the start of copies."""


def near_duplicates(
    datasets: str = "game_music,free_music",
    copied: int = 20,
    output: Path = Path("results"),
    cache: Path | None = None,
    data: Path | None = None,
) -> None:
    """Compare all recordings of some datasets, and write the table.

    Args:
        datasets: names, separated by commas.
        copied: recordings of which deformed copies are made.
        output: folder for ``near_duplicates.csv``.
        cache: folder for generated data (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    folders = Folders(cache or default_cache(), data=data)
    tracks: dict[str, Track] = {}
    for name in datasets.split(","):
        module = folders.datamodule(name)
        module.prepare_data()
        tracks |= {f"{name}/{t.id}": t for split in SPLITS for t in module.tracks(split)}
    drawn = np.random.default_rng(0).permutation(list(tracks))[:copied]
    known: dict[str, Tensor] = {}
    copies: dict[str, tuple[str, str, Tensor]] = {}
    with bar("recordings") as progress:
        for name in progress.track(tracks, description="chroma"):
            known[name] = kept_chroma(tracks[name].audio_path, folders.cache)
            if name in drawn:
                waveform, rate = load_audio(tracks[name].audio_path)
                cut = waveform[round(CUT * rate) :]
                copies |= {
                    f"{kind}: {name}": (name, kind, chroma(change(cut, rate), rate))
                    for kind, change in COPIES.items()
                }
    pairs = similar(known)
    control = similarities({name: one for name, (_, _, one) in copies.items()}, known)
    found = pd.concat([
        pd.DataFrame([(*pair, "pair", value) for pair, value in pairs.items()], columns=COLUMNS),
        pd.DataFrame(
            [(name, other, kind, control.loc[name, other])
             for name, (other, kind, _) in copies.items()],
            columns=COLUMNS,
        ),
    ])  # fmt: skip
    for kind, group in found.groupby("kind"):
        at = group["similarity"].quantile([0, 0.5, 0.99, 0.999, 1])
        share = (group["similarity"].dropna() >= THRESHOLD).mean()
        said = " ".join(f"{value:.3f}" for value in at)
        say(f"{len(group)} of kind {kind}: {said}; {share:.3%} from {THRESHOLD} on")
    top = found.sort_values("similarity", ascending=False).groupby("kind").head(LISTED)
    content = top.to_csv(index=False, float_format="%.3f")
    write_atomically(output / "near_duplicates.csv", content.encode())


if __name__ == "__main__":
    auto_cli(near_duplicates)
