"""IRMAS: the predominant instruments of records of many styles."""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from motionbeat.data_modules.base import DatasetCard, Instruments
from motionbeat.data_modules.published.collection import Row, hashed_split
from motionbeat.data_modules.published.mirdata import MirData

INSTRUMENTS = {
    "cel": "cello",
    "cla": "clarinet",
    "flu": "flute",
    "gac": "acoustic guitar",
    "gel": "electric guitar",
    "org": "organ",
    "pia": "piano",
    "sax": "saxophone",
    "tru": "trumpet",
    "vio": "violin",
    "voi": "voice",
}
"""The classes by their codes in folders, file names and annotations."""


class IRMAS(MirData):
    """Predominant instruments: one of each training clip, one or more of each test excerpt.

    Groups are recordings in training, whose numbers stand in the names of clips, and songs in test.
    19 recordings have two numbers, and are known by clips that are the same byte for byte.
    """

    card = DatasetCard(
        name="irmas",
        annotations=(Instruments,),
        licence="CC BY-NC-SA 3.0",
        citation=(
            "Bosch et al. A comparison of sound segregation techniques for predominant instrument "
            "recognition in musical audio signals. ISMIR 2012. "
            "https://doi.org/10.5281/zenodo.1290750"
        ),
        size="6 660 clips of 3 s (5.6 h, 3.5 GB) to train on and 2 874 longer excerpts to test on",
        how_to_get="run: motionbeat data get irmas",
        source="https://www.upf.edu/web/mtg/irmas",
        splits=(
            "official; 15 % of the training recordings, by a hash of their number, are validated on"
        ),
        when_gone="find the record by its DOI, 10.5281/zenodo.1290750",
    )
    count = 9_534

    def rows(self) -> Iterable[Row]:
        """Every clip and excerpt of mirdata's index, in its order."""
        recordings = self._recordings()
        for id, track in self.loaded.items():
            audio = self._spelled(self.audio(id))
            if track.train:
                group = recordings[id]
                split = hashed_split(group, test=0)
                codes = [str(track.predominant_instrument)]
            else:
                group = PurePosixPath(track.audio_path).stem.rpartition("-")[0]
                split = "test"
                codes = self._codes(audio)
            held = frozenset(self.lookup(id, "instrument", code, INSTRUMENTS) for code in codes)
            yield self.row(split, id, group, Instruments(held), audio=audio)

    def _recordings(self) -> dict[str, str]:
        """By training clip, the number its recording was first published under."""
        firsts: dict[str, str] = {}  # by checksum
        numbers: dict[str, str] = {}
        trained = {id: id.partition("__")[0] for id, track in self.loaded.items() if track.train}
        for id, number in trained.items():
            numbers.setdefault(number, number)
            first = firsts.setdefault(self.checksums.get(id, id), number)
            if first != number:
                numbers[number] = numbers[first]
        return {id: numbers[number] for id, number in trained.items()}

    def _spelled(self, path: str) -> str:
        """A path of the index as it is spelled on this disk.

        The archives do not say that their names are UTF-8, so programs unpack accents in different
        ways; 36 names of test files have some.
        """
        spellings = (path, unicodedata.normalize("NFC", path), path.encode().decode("cp437"))
        return next((name for name in spellings if (self.folder / name).is_file()), path)

    def _codes(self, audio: str) -> list[str]:
        """Codes of the instruments of a test excerpt, one a line of the text beside its audio."""
        if not (self.folder / audio).is_file():
            return []  # a partial copy lacks both
        file = str(PurePosixPath(audio).with_suffix(".txt"))
        codes = self.text(file).split()
        if not codes:
            raise self.error(f"{file} names no instrument")
        return codes
