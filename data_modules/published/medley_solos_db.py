"""Medley-solos-DB: three seconds of one instrument alone, trained on stems, tested on records."""

from collections.abc import Iterable

from motionbeat.data_modules.base import DatasetCard, Instrument, Split
from motionbeat.data_modules.published.collection import Row, names
from motionbeat.data_modules.published.mirdata import MirData

_SPLITS: dict[str, Split] = {"training": "train", "validation": "validation", "test": "test"}


class MedleySolosDB(MirData):
    """The instrument of solo clips; the group is the song."""

    card = DatasetCard(
        name="medley_solos_db",
        annotations=(Instrument,),
        licence="CC BY 4.0",
        citation=(
            "Lostanlen, Cella. Deep convolutional networks on the pitch spiral for musical "
            "instrument recognition. ISMIR 2016. https://doi.org/10.5281/zenodo.3464194"
        ),
        size="21 571 clips of 3 s, 17.8 h; 11.3 GB unpacked",
        how_to_get="run: motionbeat data get medley_solos_db",
        source="https://zenodo.org/records/3464194",
        splits="official subsets training (MedleyDB), validation (MedleyDB) and test (solosDb)",
        when_gone="find the record by its DOI, 10.5281/zenodo.3464194",
        relatives=("MedleyDB", "solosDb"),
    )
    count = 21_571
    classes = names(
        "clarinet, distorted electric guitar, female singer, flute, piano, tenor saxophone, "
        "trumpet, violin"
    )

    def rows(self) -> Iterable[Row]:
        """Every clip of the metadata, in their order."""
        columns = ["uuid4", "subset", "instrument", "song_id"]
        table = self.table("annotation/Medley-solos-DB_metadata.csv", columns, dtype=str)
        for id, subset, instrument, song in table[columns].itertuples(index=False):
            split = self.lookup(id, "subset", subset, _SPLITS)
            yield self.row(split, id, f"song {song}", Instrument(instrument))
