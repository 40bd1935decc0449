"""Instruments of a track, and the note where there is one alone."""

from motionbeat.data_modules.base import Instrument, Instruments, Pitch
from motionbeat.tasks.clip_task import MultiLabelTask, SingleLabelTask


class InstrumentClassification(SingleLabelTask):
    """Which instrument plays alone?"""

    name = "instrument"
    version = 2
    needs = (Instrument,)


class InstrumentTagging(MultiLabelTask):
    """Which instruments play together?"""

    name = "instruments"
    version = 2
    needs = (Instruments,)


class PitchClassification(SingleLabelTask):
    """Which note is it?"""

    name = "pitch"
    version = 2
    needs = (Pitch,)
