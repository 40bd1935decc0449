"""TinySOL: single notes of fourteen orchestral instruments, played without mutes or effects."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from motionbeat.data_modules.base import DatasetCard, Instrument, Pitch, Split
from motionbeat.data_modules.published.collection import Row, names
from motionbeat.data_modules.published.mirdata import MirData

_SPLITS: dict[str, Split] = {**dict.fromkeys("012", "train"), "3": "validation", "4": "test"}
"""Where each of the five official folds goes."""


class TinySOL(MirData):
    """Instrument and pitch of single notes, each a group of its own."""

    card = DatasetCard(
        name="tinysol",
        annotations=(Instrument, Pitch),
        licence="CC BY 4.0",
        citation=(
            "Cella et al. OrchideaSOL: a dataset of extended instrumental techniques for "
            "computer-aided orchestration. ICMC 2020. https://doi.org/10.5281/zenodo.3685367"
        ),
        size="2 913 notes of some seconds, 16 bits mono at 44.1 kHz",
        how_to_get="run: motionbeat data get tinysol",
        source="https://zenodo.org/records/3685367",
        splits="official folds 0 to 2, 3 and 4, which share players and instruments",
        when_gone="find the record by its DOI, 10.5281/zenodo.3685367 (version 6.0)",
        relatives=("OrchideaSOL",),
    )
    count = 2_913
    classes = names(
        "Accordion, Alto Saxophone, Bass Tuba, Bassoon, Cello, Clarinet in Bb, Contrabass, "
        "Flute, French Horn, Oboe, Trombone, Trumpet in C, Viola, Violin"
    )

    def rows(self) -> Iterable[Row]:
        """Every note of the metadata, in their order."""
        columns = ["Path", "Fold", "Instrument (in full)", "Pitch ID"]
        table = self.table("annotation/TinySOL_metadata.csv", columns, dtype=str)
        for path, fold, instrument, pitch in table[columns].itertuples(index=False):
            id = PurePosixPath(str(path)).stem
            split = self.lookup(id, "fold", fold, _SPLITS)
            yield self.row(split, id, id, Instrument(instrument), Pitch(pitch))
