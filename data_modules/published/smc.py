"""SMC: excerpts chosen because beat trackers disagree on them, with tapped beats."""

from collections.abc import Iterable

import numpy as np

from motionbeat.data_modules.base import Beats, DatasetCard
from motionbeat.data_modules.published.collection import Published, Row, hashed_split

_BEATS = "SMC_MIREX/SMC_MIREX_Annotations_05_08_2014"
_AUDIO = "SMC_MIREX/SMC_MIREX_Audio"


class SMC(Published):
    """Beats of real recordings, nearly all of them hard; bars are unknown.

    Files are called after the excerpt and who tapped: ``SMC_001_2_1_1_a.txt``. Those of 2014 are
    read; the first ones had beats after the end of five excerpts.
    """

    card = DatasetCard(
        name="smc",
        annotations=(Beats,),
        licence="none stated; published for research",
        citation=(
            "Holzapfel et al. Selective sampling for beat tracking evaluation. IEEE Transactions "
            "on Audio, Speech, and Language Processing 20(9), 2012. "
            "https://doi.org/10.1109/TASL.2012.2205244"
        ),
        size="217 excerpts of 40 s, 2.4 h, 0.8 GB",
        how_to_get=(
            "unpack SMC_MIREX.zip into MOTIONBEAT_DATA/smc/ and make its folders readable; no "
            "checksum of the archive is published, so it is not fetched"
        ),
        source="http://smc.inesctec.pt/research/data-2/",
        splits="ours: by excerpt, hashed, as artists are not told; many authors test on all of it",
        when_gone="the archive was at http://smc.inescporto.pt/data/SMC_MIREX.zip; ask the authors",
    )
    count = 217

    def rows(self) -> Iterable[Row]:
        """Every excerpt whose beats are there, in the order of the numbers."""
        files = sorted((self.folder / _BEATS).glob("SMC_[0-9][0-9][0-9]_*.txt"))
        if not files:
            raise self.error(f"{self.folder / _BEATS} holds no beats")
        for file in files:
            id = file.name[: len("SMC_001")]
            with self.reading(file):
                beats = Beats(np.array(file.read_text().split(), dtype=np.float64))
            yield Row(hashed_split(id), id, f"{_AUDIO}/{id}.wav", id, (beats,))
