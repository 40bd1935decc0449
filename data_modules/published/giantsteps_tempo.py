"""GiantSteps tempo: previews of electronic dance music with the genres and tempi people gave."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from motionbeat.data_modules.base import DatasetCard, Genre, Split, Tempo
from motionbeat.data_modules.published.collection import Row, names
from motionbeat.data_modules.published.mirdata import MirData

WITHOUT_TEMPO = ("1327052.LOFI", "3041381.LOFI", "3041383.LOFI")
"""Previews that people heard no tempo in."""

_FOLDS = "giantsteps-tempo-dataset-0b7d47ba8cae59d3535a02e3db69e2cf6d0af5bb/splits"


class GiantStepsGenre(MirData):
    """Genre, and main tempo, of real recordings; artists are not told, so each preview is a group.

    The tempo is the one that most people tapped in the second round of annotation, the first listed
    of equals.
    """

    card = DatasetCard(
        name="giantsteps_genre",
        annotations=(Genre,),
        licence="annotations: CC BY-SA 4.0 as mirdata states it; the music belongs to its owners",
        citation=(
            "Knees et al. Two data sets for tempo estimation and key detection in electronic dance "
            "music. ISMIR 2015; tempi: Schreiber, Müller. A crowdsourced experiment for tempo "
            "estimation of electronic dance music. ISMIR 2018"
        ),
        size="661 of 664 previews of 2 min, 22 h, 1 GB; three without a tempo are left out",
        how_to_get=(
            "run: motionbeat data get giantsteps_genre, which fetches the annotations; put them "
            "into MOTIONBEAT_DATA/giantsteps_tempo/ with the audio of the source's audio_dl.sh as "
            "audio/*.LOFI.mp3"
        ),
        source="https://github.com/GiantSteps/giantsteps-tempo-dataset",
        splits="official folds 1 to 6 for training, 7 and 8 for validation, 9 and 10 for testing",
        when_gone="the previews were at http://geo-samples.beatport.com/lofi/",
        relatives=("giantsteps_genre", "giantsteps_tempo"),
    )
    count = 661
    home = "giantsteps_tempo"
    loader = "giantsteps_tempo"
    classes = names(
        "breaks, chill-out, deep-house, dj-tools, drum-and-bass, dubstep, electro-house, "
        "electronica, funk-r-and-b, glitch-hop, hard-dance, hardcore-hard-techno, hip-hop, house, "
        "indie-dance-nu-disco, minimal, pop-rock, progressive-house, psy-trance, reggae-dub, "
        "tech-house, techno, trance"
    )

    def rows(self) -> Iterable[Row]:
        """Every preview with a tempo, in the order of mirdata's index."""
        folds = [self.text(f"{_FOLDS}/fold{fold:02d}.txt").split() for fold in range(1, 11)]
        shares: dict[Split, list[list[str]]] = {
            "train": folds[:6],
            "validation": folds[6:8],
            "test": folds[8:],
        }
        splits = {name: part for part, own in shares.items() for fold in own for name in fold}
        for number, track in self.loaded.items():
            file = Path(track.audio_path)
            if file.stem not in WITHOUT_TEMPO:
                split = self.lookup(file.stem, "file", file.name, splits)
                genre, tempi = self.known(number, "genre"), self.known(number, "tempo_v2")
                tempo = Tempo(float(tempi.tempos[np.argmax(tempi.confidence)]))
                row = self.row(split, number, file.stem, Genre(genre), tempo)
                yield row._replace(id=file.stem)


class GiantStepsTempo(GiantStepsGenre):
    """The main tempi of the same previews, all for testing, as their beats are not annotated."""

    card = replace(
        GiantStepsGenre.card,
        name="giantsteps_tempo",
        annotations=(Tempo,),
        splits="all previews are for testing, as no beats are annotated to learn from",
        trained_on="groovebox",
    )

    def rows(self) -> Iterable[Row]:
        """Every preview with a tempo, in the order of mirdata's index."""
        return (row._replace(split="test") for row in super().rows())
