"""Emotify: excerpts of four genres with the emotions that listeners felt, on the GEMS-9 scale."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from motionbeat.data_modules.base import DatasetCard, DatasetError, Genre, Moods, Split
from motionbeat.data_modules.published.collection import Published, Row, names

GENRES = ("classical", "rock", "electronic", "pop")

EMOTIONS = names(
    "amazement, solemnity, tenderness, nostalgia, calmness, power, joyful_activation, tension, "
    "sadness"
)

WHOLE = 400
"""Tracks as first published, whose artists are unknown."""

_Track = tuple[str, str, str, str, list[float]]  # id, audio, group, genre, shares that felt each


class Emotify(Published):
    """Genre and moods of real recordings, tested in five folds that share no artist.

    A folder with ``data.csv`` in place of ``labels.csv`` holds the excerpts as first published; no
    table names their artists, so artists may stand in two splits, and the revision tells.

    A mood of a track is an emotion that as large a share of its listeners felt as in the top
    quarter of all listed tracks, those that tie with the last of them included.

    Args:
        fold: that is tested on, from 0 to 4; the next one is validated on.
        options: of every published dataset.
    """

    card = DatasetCard(
        name="emotify",
        annotations=(Genre, Moods),
        licence="none stated; for research, not commercial, citing the paper",
        citation=(
            "Aljanaki, Wiering, Veltkamp. Studying emotion induced by music through a "
            "crowdsourcing game. 2016. https://doi.org/10.1016/j.ipm.2015.03.004"
        ),
        size=(
            "282 excerpts of 30 s by 100 artists, 2.4 h; or 400 of a minute, 6.7 h, as first "
            "published"
        ),
        how_to_get=(
            "put labels.csv and audio/*.ogg (282 excerpts with artists) into "
            "MOTIONBEAT_DATA/emotify/; or, for the 400 excerpts as first published, unpack "
            "emotifymusic.zip beside data.csv there, both from the source, which publishes no "
            "checksums"
        ),
        source="http://www2.projects.science.uu.nl/memotion/emotifydata/",
        splits=(
            "ours: five folds; artists, or tracks where they are unknown, in the order of a hash, "
            "each into the fold with the fewest tracks of its genre; a fold is tested on, the next "
            "validated on"
        ),
        when_gone="ask the authors for emotifymusic.zip and data.csv",
    )
    count = 282
    folds: ClassVar[int] = 5
    classes = (*GENRES, *EMOTIONS)

    def __init__(self, *, fold: int = 0, **options: Any) -> None:
        super().__init__(**options)
        if fold not in range(self.folds):
            raise DatasetError(f"emotify has the folds 0 to {self.folds - 1}, not {fold}")
        self.fold = fold
        answers, listed = self.folder / "data.csv", self.folder / "labels.csv"
        self._whole = answers.is_file() and not listed.is_file()
        if self._whole:
            self.count = WHOLE  # the one dataset with two publications

    @property
    def revision(self) -> str:
        """The card's revision, which of the two publications this is, and the fold."""
        whole = "-whole" if self._whole else ""
        fold = f"-fold{self.fold}" if self.fold else ""
        return super().revision + whole + fold

    def rows(self) -> Iterable[Row]:
        """Every track, in the order of ``labels.csv`` or of the numbers in ``data.csv``."""
        tracks = list(self._answered() if self._whole else self._listed_tracks())
        felt = np.array([shares for *_, shares in tracks]).reshape(len(tracks), len(EMOTIONS))
        if not ((felt >= 0) & (felt <= 1)).all():
            raise self.error("a rating is not from 0 to 1")
        moods = (felt >= np.quantile(felt, 0.75, axis=0)) & (felt > 0) if tracks else felt
        folds = parted([(group, genre) for _, _, group, genre, _ in tracks], self.folds)
        for (id, audio, group, genre, _), holds in zip(tracks, moods, strict=True):
            held = frozenset(np.array(EMOTIONS)[holds].tolist())
            place = (folds[group] - self.fold) % self.folds
            split: Split = "test" if place == 0 else "validation" if place == 1 else "train"
            yield Row(split, id, audio, group, (Genre(genre), Moods(held)))

    def _listed_tracks(self) -> Iterable[_Track]:
        """The tracks of ``labels.csv``, where their artists are known."""
        types = {"track": int, "genre": str, "artist": str} | dict.fromkeys(EMOTIONS, float)
        table = self.table("labels.csv", list(types), dtype=types, keep_default_na=False)
        for track, genre, artist, *shares in table[list(types)].itertuples(index=False):
            group = f"artist {artist.strip()}"
            yield str(track), f"audio/{track:03d}.ogg", group, genre, shares

    def _answered(self) -> Iterable[_Track]:
        """The tracks of ``data.csv``, where each row is what one listener felt (1) or did not."""
        types = {"track id": int, "genre": str} | dict.fromkeys(EMOTIONS, float)
        answers = self.table("data.csv", list(types), dtype=types, skipinitialspace=True)
        felt = {"genre": "first"} | dict.fromkeys(EMOTIONS, "mean")
        means = answers.groupby("track id", as_index=False).agg(felt)
        for track, genre, *shares in means.itertuples(index=False):
            # Tracks are numbered through all genres, files from 1 to 100 in each of them.
            audio = f"emotifymusic/{genre}/{(track - 1) % 100 + 1}.mp3"
            yield str(track), audio, f"track {track}", genre, shares


def parted(tracks: Iterable[tuple[str, str]], folds: int) -> dict[str, int]:
    """A fold for each group of (group, genre) tracks, the genres spread evenly over the folds."""
    genres: dict[str, Counter[str]] = defaultdict(Counter)
    for group, genre in tracks:
        genres[group][genre] += 1
    filled = [Counter[str]() for _ in range(folds)]
    parted: dict[str, int] = {}
    for group in sorted(genres, key=lambda group: (zlib.crc32(group.encode()), group)):
        own = max(sorted(genres[group]), key=genres[group].__getitem__)
        fold = min(range(folds), key=lambda n: (filled[n][own], filled[n].total()))
        filled[fold].update(genres[group])
        parted[group] = fold
    return parted
