"""NSynth: single notes of a thousand sampled instruments, four seconds each."""

import json
from collections.abc import Iterable
from typing import Any

from motionbeat.data_modules.base import DatasetCard, Instrument, Pitch, Split
from motionbeat.data_modules.published import Published, Row

FAMILIES = (
    "bass",
    "brass",
    "flute",
    "guitar",
    "keyboard",
    "mallet",
    "organ",
    "reed",
    "string",
    "synth_lead",
    "vocal",
)
"""The classes: families of instruments."""

_PARTS: tuple[tuple[Split, str], ...] = (
    ("train", "nsynth-train"),
    ("validation", "nsynth-valid"),
    ("test", "nsynth-test"),
)


class NSynth(Published):
    """Family of the instrument and pitch of single notes.

    The splits are the official ones. The 953 training instruments are heard in training alone, so
    they are the groups there; the 53 others are all heard in both validation and test, so there
    each note is a group of its own.
    """

    card = DatasetCard(
        name="nsynth",
        revision="1",
        annotations=(Instrument, Pitch),
        licence="CC BY 4.0",
        citation=(
            "Engel, Resnick, Roberts, Dieleman, Norouzi, Eck, Simonyan. Neural audio synthesis of "
            "musical notes with WaveNet autoencoders. ICML 2017. https://arxiv.org/abs/1704.01279"
        ),
        size="305 979 notes of 4 s, 340 h; 25 GB to fetch, 39 GB unpacked",
        how_to_get=(
            "unpack nsynth-train.jsonwav.tar.gz, nsynth-valid.jsonwav.tar.gz and "
            "nsynth-test.jsonwav.tar.gz of http://download.magenta.tensorflow.org/datasets/nsynth/ "
            "into MOTIONBEAT_DATA/nsynth/, so that there are nsynth-train/examples.json, "
            "nsynth-train/audio/*.wav and so on; no checksum of the archives is published, so they "
            "are not fetched for you"
        ),
        source="https://magenta.tensorflow.org/datasets/nsynth",
        splits=(
            "official train, valid and test; no training instrument is in valid or test, but valid "
            "and test share all of their 53 instruments"
        ),
        when_gone=(
            "the TFRecord files of TensorFlow Datasets (nsynth/full) hold the same notes; write "
            "them out in the layout above"
        ),
    )
    count = 305_979

    def rows(self) -> Iterable[Row]:
        """Every note of the three lists, in their order."""
        for split, part in _PARTS:
            for note, facts in self._notes(part).items():
                try:
                    family, pitch = facts["instrument_family_str"], facts["pitch"]
                    instrument = str(facts["instrument_str"])
                except (TypeError, KeyError) as error:
                    raise self.error(f"{part}/examples.json says too little of {note}") from error
                if family not in FAMILIES:
                    raise self.error(f"track {note} has the unknown instrument family '{family}'")
                if pitch not in range(128):
                    raise self.error(f"track {note} has the pitch '{pitch}', which MIDI lacks")
                yield Row(
                    split,
                    note,
                    f"{part}/audio/{note}.wav",
                    instrument if split == "train" else note,
                    (Instrument(family), Pitch(str(pitch))),
                )

    def _notes(self, part: str) -> dict[str, Any]:
        """What is known of each note of a part."""
        file = self.folder / part / "examples.json"
        try:
            examples = json.loads(file.read_bytes())
        except FileNotFoundError as error:
            raise self.error(f"{file} is missing") from error
        except (OSError, ValueError) as error:
            raise self.error(f"{file} is unreadable ({error})") from error
        if not isinstance(examples, dict):
            raise self.error(f"{file} is unreadable (no table of notes)")
        return examples
