"""OpenMIC-2018: twenty instruments in ten-second clips, each clip asked about a few of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from motionbeat.data_modules.base import DatasetCard, Instruments
from motionbeat.data_modules.published.collection import Row, hashed_split, names
from motionbeat.data_modules.published.download import Remote
from motionbeat.data_modules.published.fma_small import ARCHIVE
from motionbeat.data_modules.published.mirdata import MirData

_HEARD = 0.5  # relevance from which on an instrument counts as heard


class OpenMIC2018(MirData):
    """Instruments of clips of the Free Music Archive; those nobody was asked about are unknown."""

    card = DatasetCard(
        name="openmic2018",
        annotations=(Instruments,),
        licence="CC BY 4.0 (annotations); Creative Commons or public domain by clip (audio)",
        citation=(
            "Humphrey, Durand, McFee. OpenMIC-2018: an open dataset for multiple instrument "
            "recognition. ISMIR 2018. https://doi.org/10.5281/zenodo.1432913"
        ),
        size="20 000 clips of 10 s, 55.6 h; 2.6 GB to fetch",
        how_to_get="run: motionbeat data get openmic2018",
        source="https://zenodo.org/records/1432913",
        splits=(
            "official partition split01; 15 % of the training artists, by a hash, are validated on"
        ),
        when_gone="find the record by its DOI, 10.5281/zenodo.1432913",
        relatives=ARCHIVE,
    )
    count = 20_000
    classes = names(
        "accordion, banjo, bass, cello, clarinet, cymbals, drums, flute, guitar, "
        "mallet_percussion, mandolin, organ, piano, saxophone, synthesizer, trombone, trumpet, "
        "ukulele, violin, voice"
    )

    @classmethod
    def remotes(cls) -> Sequence[Remote]:
        """The links of mirdata; what the archive's one folder holds goes where mirdata looks."""
        return [
            replace(remote, lifted=("openmic-2018",)) if remote.archive else remote
            for remote in super().remotes()
        ]

    def rows(self) -> Iterable[Row]:
        """Every clip of mirdata's index, in its order."""
        parts = {
            key: part
            for part in ("train", "test")
            for key in self.text(f"partitions/split01_{part}.csv").split()
        }
        metadata = self.table("openmic-2018-metadata.csv", ["sample_key", "artist_id"], dtype=str)
        artists = dict(zip(metadata["sample_key"], metadata["artist_id"], strict=True))
        known = self._relevances()
        trained = {artists.get(key) for key, part in parts.items() if part == "train"}
        for id in self.loaded:
            if not (id in parts and id in artists and id in known):
                raise self.error(f"track {id} lacks a partition, an artist or a label")
            train, group = parts[id] == "train", f"artist {artists[id]}"
            split = hashed_split(group, test=0) if train else "test"
            if not train and artists[id] in trained:
                # The partition took some artists of other names for one; where the metadata tell
                # otherwise, the partition holds.
                group = id
            heard = frozenset(name for name, value in known[id].items() if value >= _HEARD)
            unknown = frozenset(self.classes).difference(known[id])
            yield self.row(split, id, group, Instruments(heard, unknown))

    def _relevances(self) -> dict[str, dict[str, float]]:
        """By clip, how far its listeners heard each instrument they were asked about."""
        types = {"sample_key": str, "instrument": str, "relevance": float}
        table = self.table("openmic-2018-aggregated-labels.csv", list(types), dtype=types)
        known: dict[str, dict[str, float]] = defaultdict(dict)
        for id, instrument, relevance in table[list(types)].itertuples(index=False):
            if not 0 <= relevance <= 1:
                raise self.error(f"track {id} has the relevance {relevance} for {instrument}")
            known[id][instrument] = relevance
        return known
