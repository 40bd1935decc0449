"""Hainsworth: excerpts of about a minute in six styles, with beats and bars."""

from collections.abc import Iterable

from motionbeat.data_modules.base import Beats, DatasetCard
from motionbeat.data_modules.published.collection import Row, hashed_split
from motionbeat.data_modules.published.download import listed
from motionbeat.data_modules.published.mirdata import MirData

_INDEX_URL = (  # it has no record of its own
    "https://raw.githubusercontent.com/mir-dataset-loaders/mirdata/"
    "b95bf3893616ff16082beed7869f144bb711c163/tests/indexes/"
)


class Hainsworth(MirData):
    """Beats of excerpts; neither artist nor song is published, so each is a group of its own."""

    card = DatasetCard(
        name="hainsworth",
        annotations=(Beats,),
        licence="CC BY-NC-SA 4.0 as mirdata states it; the music belongs to its owners",
        citation=(
            "Hainsworth, Macleod. Particle filtering applied to musical tempo tracking. 2004; "
            "revised beats: Böck, Schedl. Enhanced beat tracking with context-aware neural "
            "networks. DAFx 2011"
        ),
        size="222 excerpts of about 1 min, some 3.5 h",
        how_to_get=(
            "audio and annotations have no public link: ask those who use them, put hains001.flac "
            "and so on into MOTIONBEAT_DATA/hainsworth/H_1.0/audio/, hains001.beats and so on (a "
            "beat a line: seconds, a tab, position in the bar) into H_1.0/annotations/beats/, and "
            "the index that motionbeat data get hainsworth fetches beside H_1.0/"
        ),
        source="https://doi.org/10.1155/S1110865704408099",
        splits="ours: by excerpt, hashed; 162, 35 and 25, which may share artists",
        when_gone="the index is in the repository mir-dataset-loaders/mirdata under tests/indexes",
    )
    count = 222
    parts = ()
    links = listed(
        _INDEX_URL,
        "d5e2dcd58bae153d7903208c91d9c57e564148fb1cdafb362760b8379ef3ac4e "
        "hainsworth_full_index_1.0.json",
    )
    any_copy = True

    def rows(self) -> Iterable[Row]:
        """Every excerpt, by number."""
        for id in sorted(self.loaded):
            yield self.row(hashed_split(id), id, id, self.beats(id))
