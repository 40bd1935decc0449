"""Instruments of a track, and the pitch of single notes."""

from motionbeat.data_modules.base import Instrument, Instruments, Pitch
from motionbeat.tasks.clip_task import MultiLabelTask, SingleLabelTask


class InstrumentClassification(SingleLabelTask):
    """Instrument of a recording of a single instrument, one class."""

    name = "instrument"
    version = 2
    needs = (Instrument,)


class InstrumentTagging(MultiLabelTask):
    """Instruments in a track, several classes."""

    name = "instruments"
    version = 2
    needs = (Instruments,)


class PitchClassification(SingleLabelTask):
    """Pitch of a single note as a MIDI note number, one class."""

    name = "pitch"
    version = 2
    needs = (Pitch,)
