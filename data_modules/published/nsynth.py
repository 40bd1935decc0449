"""NSynth: single notes of a thousand sampled instruments, four seconds each."""

import json
from collections.abc import Iterable

from motionbeat.data_modules.base import DatasetCard, Instrument, Pitch, Split
from motionbeat.data_modules.published.collection import Published, Row, names

_PARTS: tuple[tuple[Split, str], ...] = (
    ("train", "nsynth-train"),
    ("validation", "nsynth-valid"),
    ("test", "nsynth-test"),
)


class NSynth(Published):
    """Family of the instrument and pitch of single notes.

    Groups are the instruments in training; validation and test share all of theirs, so there each
    note is a group of its own.
    """

    card = DatasetCard(
        name="nsynth",
        annotations=(Instrument, Pitch),
        licence="CC BY 4.0",
        citation=(
            "Engel et al. Neural audio synthesis of musical notes with WaveNet autoencoders. ICML "
            "2017. https://arxiv.org/abs/1704.01279"
        ),
        size="305 979 notes of 4 s, 340 h; 25 GB to fetch, 39 GB unpacked",
        how_to_get=(
            "unpack nsynth-train.jsonwav.tar.gz, nsynth-valid.jsonwav.tar.gz and "
            "nsynth-test.jsonwav.tar.gz of http://download.magenta.tensorflow.org/datasets/nsynth/ "
            "into MOTIONBEAT_DATA/nsynth/; no checksum is published, so they are not fetched"
        ),
        source="https://magenta.tensorflow.org/datasets/nsynth",
        splits=(
            "official; no training instrument is in valid or test, which share all of their "
            "instruments"
        ),
        when_gone="TensorFlow Datasets (nsynth/full) hold the same notes; write them out likewise",
    )
    count = 305_979
    classes = names(
        "bass, brass, flute, guitar, keyboard, mallet, organ, reed, string, synth_lead, vocal"
    )

    def rows(self) -> Iterable[Row]:
        """Every note of the three lists, in their order."""
        for split, part in _PARTS:
            file = f"{part}/examples.json"
            with self.reading(self.folder / file):
                notes = json.loads(self.text(file)).items()
            for note, facts in notes:
                with self.reading(f"{note} in {file}"):
                    known = Instrument(facts["instrument_family_str"]), Pitch(str(facts["pitch"]))
                    group = str(facts["instrument_str"]) if split == "train" else note
                yield Row(split, note, f"{part}/audio/{note}.wav", group, known)
