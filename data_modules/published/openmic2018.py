"""OpenMIC-2018: twenty instruments in ten-second clips, each clip asked about a few of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from motionbeat.data_modules.base import DatasetCard, Instruments
from motionbeat.data_modules.published.collection import Row, hashed_split, names
from motionbeat.data_modules.published.download import Remote
from motionbeat.data_modules.published.fma_small import ARCHIVE
from motionbeat.data_modules.published.mirdata import MirData

INSTRUMENTS = frozenset(
    names(
        "accordion, banjo, bass, cello, clarinet, cymbals, drums, flute, guitar, "
        "mallet_percussion, mandolin, organ, piano, saxophone, synthesizer, trombone, trumpet, "
        "ukulele, violin, voice"
    )
)
"""The classes."""

_HEARD = 0.5  # relevance from which on an instrument counts as heard


class OpenMIC2018(MirData):
    """Instruments of clips of the Free Music Archive; those nobody was asked about are unknown."""

    card = DatasetCard(
        name="openmic2018",
        revision="1",
        annotations=(Instruments,),
        licence="CC BY 4.0 (annotations); Creative Commons or public domain by clip (audio)",
        citation=(
            "Humphrey, Durand, McFee. OpenMIC-2018: an open dataset for multiple instrument "
            "recognition. ISMIR 2018. https://doi.org/10.5281/zenodo.1432913"
        ),
        size="20 000 clips of 10 s, 55.6 h; 2.6 GB to fetch",
        how_to_get=(
            "run: motionbeat data get openmic2018; or unpack openmic-2018-v1.0.0.tgz and put what "
            "its folder openmic-2018 holds, and mirdata's openmic2018_index_1.0.json, into "
            "MOTIONBEAT_DATA/openmic2018/"
        ),
        source="https://zenodo.org/records/1432913",
        splits=(
            "official partition split01, drawn by artist; 15 % of the training artists, by a hash "
            "of their number, are held out for validation"
        ),
        when_gone=(
            "find the record by its DOI, 10.5281/zenodo.1432913, and mirdata's index at "
            "https://zenodo.org/records/13930335"
        ),
        relatives=ARCHIVE,
    )
    count = 20_000
    loader = "openmic2018"

    @classmethod
    def remotes(cls) -> Sequence[Remote]:
        """The links of mirdata; what the archive's one folder holds goes where mirdata looks."""
        return [
            replace(remote, lifted=("openmic-2018",)) if remote.archive else remote
            for remote in super().remotes()
        ]

    def rows(self) -> Iterable[Row]:
        """Every clip of mirdata's index, in its order."""
        parts = {key: part for part in ("train", "test") for key in self._keys(part)}
        metadata = self.table("openmic-2018-metadata.csv", ["sample_key", "artist_id"], dtype=str)
        artists = dict(zip(metadata["sample_key"], metadata["artist_id"], strict=True))
        known = self._relevances()
        trained = {artists.get(key) for key, part in parts.items() if part == "train"}
        for id in self.loaded:
            if not (id in parts and id in artists and id in known):
                raise self.error(f"track {id} lacks a partition, an artist or a label")
            artist = str(artists[id])
            group = f"artist {artist}"
            train = parts[id] == "train"
            # The partition took some artists of other names for one; where the metadata tell
            # otherwise, the partition holds.
            alone = not train and artist in trained
            heard = frozenset(name for name, value in known[id].items() if value >= _HEARD)
            yield self.row(
                hashed_split(group, test=0) if train else "test",
                id,
                id if alone else group,
                Instruments(heard, INSTRUMENTS - known[id].keys()),
            )

    def _keys(self, part: str) -> Iterable[str]:
        """The clips of a part of the official partition."""
        return self.table(f"partitions/split01_{part}.csv", ["key"], names=["key"], dtype=str)[
            "key"
        ]

    def _relevances(self) -> dict[str, dict[str, float]]:
        """By clip, how far its listeners heard each instrument they were asked about."""
        columns = ["sample_key", "instrument", "relevance"]
        table = self.table(
            "openmic-2018-aggregated-labels.csv",
            columns,
            dtype={"sample_key": str, "instrument": str, "relevance": float},
        )
        known: dict[str, dict[str, float]] = defaultdict(dict)
        for id, instrument, relevance in table[columns].itertuples(index=False):
            self.check(id, "instrument", instrument, INSTRUMENTS)
            if not 0 <= relevance <= 1:
                raise self.error(f"track {id} has the relevance {relevance} for {instrument}")
            known[id][instrument] = relevance
        return known
