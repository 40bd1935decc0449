"""groovebox: music arranged, performed and danced to by this project, with exact labels."""

import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from motionbeat.data_modules.base import (
    Annotation,
    Beats,
    DatasetCard,
    DatasetError,
    Emotion,
    Genre,
    Instruments,
    Metre,
    MotionFile,
    Split,
    Tags,
    Tempo,
)
from motionbeat.data_modules.generated import Piece, Recipe
from motionbeat.data_modules.rendered.rendering import Rendered, perform
from motionbeat.data_modules.rendered.synthesis.affect import affect
from motionbeat.data_modules.rendered.synthesis.arranger import compose, generator
from motionbeat.data_modules.rendered.synthesis.soundfonts import find
from motionbeat.data_modules.rendered.synthesis.styles import STYLES


class GrooveBox(Rendered):
    """Pieces in 26 dance styles, made on the first :meth:`prepare_data` and kept in the cache.

    Splits share no groove, progression, melody rhythm, instrument program or drum kit. A piece is
    the same whatever the size of the dataset.

    Args:
        train: pieces of each style to train on.
        validation: pieces of each style to validate on.
        test: pieces of each style to test on.
        seconds: about how long a piece is.
        styles: which of ``STYLES`` to make; None makes all.
        seed: another seed is another dataset.
        soundfonts: further General MIDI soundfonts, as files (.sf2, .sf3) or names
            (``fluid_r3_mono``, ``opl3``), which are fetched on first use; each training piece is
            played with one of them or the usual one.
        options: of every dataset.

    Raises:
        DatasetError: a size below 1, less than 4 seconds, no or an unknown style, a negative seed,
            an unknown soundfont.
    """

    card = DatasetCard(
        name="groovebox",
        revision="1",
        annotations=(Beats, Tempo, Metre, Genre, Instruments, Tags, Emotion, MotionFile),
        licence="CC0-1.0; rendered with the soundfont TimGM6mb.sf2 (Tim Brechbill, GPL-2.0)",
        citation="MotionBeat Bench, groovebox; emotion labels are rule-derived from the cues of "
        "Eerola, Friberg & Bresin (2013), https://doi.org/10.3389/fpsyg.2013.00487",
        size="182 pieces of 24 s in 26 styles (74 minutes), each with a dance; about 300 MB",
        how_to_get="nothing to get: made on this machine on first use",
        data="synthetic",
        renderer="motionbeat",
    )

    def __init__(
        self,
        *,
        train: int = 4,
        validation: int = 1,
        test: int = 2,
        seconds: float = 24.0,
        styles: Sequence[str] | None = None,
        seed: int = 0,
        soundfonts: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.styles = list(STYLES) if styles is None else list(dict.fromkeys(styles))
        self.seconds = float(seconds)
        self.seed = seed
        self.soundfonts = [find(soundfont, self.cache) for soundfont in soundfonts]
        if unknown := [style for style in self.styles if style not in STYLES]:
            raise DatasetError(f"groovebox has no style {unknown}; choose from {', '.join(STYLES)}")
        if not self.styles or min(self.sizes.values()) < 1 or seconds < 4 or seed < 0:
            raise DatasetError(
                "groovebox needs a style, 1 piece a style and split, 4 seconds and a seed from 0"
            )

    @property
    def revision(self) -> str:
        """The card's revision, seed, sizes, length, soundfonts and styles if any were chosen."""
        sizes = "x".join(str(size) for size in self.sizes.values())
        revision = f"{self.card.revision}-seed{self.seed}-{sizes}-{self.seconds}s"
        if self.soundfonts:
            content = "".join(soundfont.sha256 for soundfont in self.soundfonts)
            revision += f"-{len(self.soundfonts)}soundfonts-{zlib.crc32(content.encode()):08x}"
        if self.styles == list(STYLES):
            return revision
        chosen = zlib.crc32(" ".join(self.styles).encode())
        return f"{revision}-{len(self.styles)}styles-{chosen:08x}"

    def prepare_data(self) -> None:
        """Fetch the soundfonts, and render the pieces that are missing or damaged.

        Raises:
            DatasetError: a soundfont cannot be had, or the folder cannot be written.
        """
        for soundfont in self.soundfonts:
            soundfont.fetch()
        super().prepare_data()

    def recipes(self) -> dict[str, Recipe]:
        """The pieces, split by split and style by style."""
        return {
            f"{split}-{style}-{index}": partial(
                _make,
                self.seed,
                self.seconds,
                [one.path for one in self.soundfonts] if split == "train" else (),
                style,
                split,
                index,
            )
            for split, size in self.sizes.items()
            for style in self.styles
            for index in range(size)
        }

    def describe(self, id: str, labels: dict[str, Any]) -> tuple[Split, str, Sequence[Annotation]]:
        """The split, the groove, and style, instruments, tags and emotion."""
        annotations = [
            Genre(labels["style"]),
            Instruments(frozenset(labels["instruments"])),
            Tags(frozenset(labels["tags"])),
            Emotion(labels["valence"], labels["arousal"]),
        ]
        return cast(Split, id.partition("-")[0]), labels["used"]["groove"], annotations


def _make(
    seed: int,
    seconds: float,
    soundfonts: Sequence[Path],
    style: str,
    split: Split,
    index: int,
    folder: Path,
) -> Piece:
    """Arrange, render and dance one piece; write its audio and its motion."""
    score = compose(style, split, index, seed, seconds)
    mixing, dancing, choice = (generator(seed, split, style, index, stage) for stage in (1, 2, 3))
    valence, arousal = affect(score.cues)
    return perform(
        folder,
        f"{split}-{style}-{index}",
        score,
        style,
        mixing,
        dancing,
        soundfont=[None, *soundfonts][int(choice.integers(len(soundfonts) + 1))],
        instruments=sorted({part.family for part in score.parts}),
        tags=sorted(score.tags),
        valence=valence,
        arousal=arousal,
    )
