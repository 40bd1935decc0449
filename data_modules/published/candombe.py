"""Candombe: Uruguayan drumming in groups of three to five, with beats and bars."""

from collections.abc import Iterable

from motionbeat.data_modules.base import Beats, DatasetCard, Split
from motionbeat.data_modules.published.collection import Row
from motionbeat.data_modules.published.mirdata import MirData

_SPLITS: dict[str, Split] = {
    "csic.1995_ansina1": "train",
    "csic.1995_ansina2": "train",
    "csic.1995_cuareim": "test",
    "proyecto.1992_gimenez": "validation",
    "proyecto.1992_lobo": "validation",
    "proyecto.1992_magarinos": "validation",
    "proyecto.1992_pelado": "validation",
    "zavala.muniz.2014": "train",
}
"""Where each session goes; there are too few of them to hash."""


class Candombe(MirData):
    """Beats of whole performances; the group is the session."""

    card = DatasetCard(
        name="candombe",
        annotations=(Beats,),
        licence="CC BY 4.0",
        citation=(
            "Nunes et al. Beat and downbeat tracking based on rhythmic patterns applied to the "
            "Uruguayan candombe drumming. ISMIR 2015. https://doi.org/10.5281/zenodo.6533068"
        ),
        size="35 performances, over 2 h, stereo at 44.1 kHz",
        how_to_get="run: motionbeat data get candombe",
        source="https://zenodo.org/records/6533068",
        splits=(
            "ours: by session; 23 for training, the 7 of 1992 and the 5 of Cuareim; players may "
            "recur"
        ),
        when_gone="find the record by its DOI, 10.5281/zenodo.6533068",
    )
    count = 35

    def rows(self) -> Iterable[Row]:
        """Every performance, in the order of mirdata's index."""
        for id in self.loaded:
            session = id.rpartition("_")[0]
            split = self.lookup(id, "session", session, _SPLITS)
            yield self.row(split, id, session, self.beats(id))
